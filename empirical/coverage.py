"""Gaussian shell coverage of held-out points, by Monte Carlo (Definition 4.6)."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from empirical.device import as_rows, resolve_device
from empirical.noise import BLOCK, blocks
from empirical.posterior import squared_distances
from theory.shells import radii

Array = NDArray[np.float64]


def covered(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    sigmas: ArrayLike,
    *,
    c: float = 5.0,
    queries: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    stream: str = "coverage",
) -> NDArray[np.bool_]:
    """Which noised held-out points lie in the union of the training shells, at every sigma.

    ``train`` (N, ...), ``test`` (M, ...), ``sigmas`` (K,); returns (queries, K). A query
    noises a uniformly drawn held-out point; all sigmas share the noise. An exact union event over
    all N shells, both ends included. Source: Def 4.6, whose coverage is the mean over queries.
    """
    where = resolve_device(device)
    points, held_out = as_rows(train, where), as_rows(test, where)
    sigmas = np.atleast_1d(np.asarray(sigmas, np.float64))
    r_in, r_out = (float(r) for r in radii(points.shape[1], c))
    whole = -(-queries // BLOCK) * BLOCK
    result = np.empty((whole, len(sigmas)), dtype=np.bool_)
    for start, i, noise in blocks(seed, stream, queries, points.shape[1], len(held_out)):
        z = torch.as_tensor(noise).to(points)
        x = held_out[torch.as_tensor(i).to(where)]
        squared = squared_distances(x, points)
        inner = (z * x).sum(1, keepdim=True) - z @ points.T
        own = z.square().sum(1)
        for k, sigma in enumerate(sigmas.tolist()):
            # |x + sigma z - x_j|^2 - sigma^2 |z|^2, for which the shell's ends are
            gap = torch.add(squared, inner, alpha=2 * sigma)
            low, high = sigma**2 * (r_in**2 - own), sigma**2 * (r_out**2 - own)
            closest = gap.amin(1)
            inside = (closest >= low) & (closest <= high)
            # Inside the hole of the closest shell a farther one may still cover: look at them all.
            hole = torch.nonzero(closest < low).squeeze(1)
            rest = gap[hole]
            inside[hole] = ((rest >= low[hole, None]) & (rest <= high[hole, None])).any(1)
            result[start : start + len(i), k] = inside.cpu().numpy()
    return result[:queries]


def distances(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    device: str | torch.device = "auto",
) -> Array:
    """Distances of every held-out point to every training point, (M, N) float64."""
    where = resolve_device(device)
    squared = squared_distances(as_rows(test, where), as_rows(train, where))
    return squared.sqrt_().double().cpu().numpy()
