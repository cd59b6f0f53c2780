"""Gaussian shell coverage of held-out points, and the exact bounds beside it (Theorem 4.8)."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from empirical.device import as_rows, resolve_device
from empirical.noise import blocks
from empirical.posterior import squared_distances
from theory.coverage import overlap_probability
from theory.shells import radii

Array = NDArray[np.float64]

# Step of the table of p_sigma in units of sigma: the cubic's error is below 1e-8 of the value.
_TABLE_STEP = 0.02


def hits(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    sigmas: ArrayLike,
    *,
    c: float = 5.0,
    queries: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    stream: str = "coverage",
) -> NDArray[np.int64]:
    """How many noised held-out points lie in the union of the training shells, per sigma.

    ``train`` (N, ...), ``test`` (M, ...), ``sigmas`` (K,); returns (K,) counts out of ``queries``.
    A query noises a uniformly drawn held-out point; all sigmas share the noise. An exact union
    event over all N shells, both ends included. Source: Def 4.6.
    """
    where = resolve_device(device)
    points, held_out = as_rows(train, where), as_rows(test, where)
    sigmas = np.atleast_1d(np.asarray(sigmas, np.float64))
    r_in, r_out = (float(r) for r in radii(points.shape[1], c))
    counts = torch.zeros(len(sigmas), dtype=torch.int64, device=where)
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
            covered = (closest >= low) & (closest <= high)
            # Inside the hole of the closest shell a farther one may still cover: look at them all.
            hole = torch.nonzero(closest < low).squeeze(1)
            rest = gap[hole]
            covered[hole] = ((rest >= low[hole, None]) & (rest <= high[hole, None])).any(1)
            counts[k] += covered[: queries - start].sum()
    return counts.cpu().numpy()


def distances(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    device: str | torch.device = "auto",
) -> Array:
    """Distances of every held-out point to every training point, (M, N) float64."""
    where = resolve_device(device)
    squared = squared_distances(as_rows(test, where), as_rows(train, where))
    return squared.sqrt_().double().cpu().numpy()


def mean_overlap(pair_distances: ArrayLike, sigmas: ArrayLike, d: int, c: float = 5.0) -> Array:
    """Mean of ``p_sigma`` over all given distances, one value per sigma.

    All pairs, no sampling: at small sigma a few close pairs carry the whole mean. ``p_sigma(r)``
    depends on r/sigma alone, so one table of the exact law serves every pair and sigma.
    Source: Theorem 4.8, right; the two-sample U-statistic of ``p_sigma``.
    """
    pairs = np.sort(np.asarray(pair_distances, np.float64), axis=None)
    table, reach = _log_overlap_table(d, c)
    means = []
    for sigma in np.atleast_1d(np.asarray(sigmas, np.float64)).tolist():
        near = pairs[: np.searchsorted(pairs, reach * sigma)]
        means.append(np.exp(table(near / sigma)).sum() / len(pairs))
    # Rounding may lift a mean of probabilities above 1 by a few units in the last place.
    return np.minimum(1, np.array(means))


def _log_overlap_table(d: int, c: float) -> tuple[CubicSpline, float]:
    # Knots up to where p falls under 1e-60: all that lies beyond adds nothing.
    end = 8.0
    while overlap_probability(end, 1.0, d, c) > 1e-60:
        end *= 1.25
    knots = np.arange(0, end, _TABLE_STEP)
    values = overlap_probability(knots, 1.0, d, c)
    kept = values > 1e-60
    last = len(kept) if kept.all() else int(np.argmin(kept))
    return CubicSpline(knots[:last], np.log(values[:last])), float(knots[last - 1])
