"""Posterior weight of noised training points, by Monte Carlo (Definition 4.1, Equations 2 and 3).

With ``y = x_i + sigma z``, ``|y - x_j|^2 - |y - x_i|^2 = D_j - 2 sigma G_j`` where
``D_j = |x_i - x_j|^2`` and ``G_j = <z, x_j - x_i>``: two matrix products serve every sigma.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from empirical.device import as_rows, resolve_device
from empirical.noise import BLOCK, blocks

Array = NDArray[np.float64]


def squared_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``|a_i - b_j|^2`` of all pairs, (A, B), by one matrix product, never below 0."""
    norms = a.square().sum(1)[:, None] + b.square().sum(1)[None, :]
    return torch.addmm(norms, a, b.T, alpha=-2).clamp_(min=0)


def posterior_mean(y: torch.Tensor, points: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Empirical optimal denoiser ``sum_i w_i(y, sigma) x_i`` of flat inputs.

    ``y`` (B, d), ``points`` (N, d), ``sigma`` (B,); returns (B, d). Source: Eq. 2 and 3.
    """
    # |y|^2 is common to all points and drops out of the softmax.
    logits = torch.addmm(-points.square().sum(1) / 2, y, points.T) / sigma[:, None].square()
    return torch.softmax(logits, dim=1) @ points


def weights(
    train: ArrayLike | torch.Tensor,
    sigmas: ArrayLike,
    *,
    queries: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    index: int | None = None,
    stream: str = "weight",
) -> tuple[Array, Array]:
    """Largest and own posterior weight of noised training points, ``(max, self)``.

    ``train`` (N, d) or (N, ...), ``sigmas`` (K,); each result is (queries, K) float64. A query
    noises a uniformly drawn training point, or always the one at ``index``. All sigmas share the
    noise; queries are independent. Without ``index``, rounding in the squared distances puts about
    ``1e-16 |x|^2 / sigma^2`` on the exponents. Source: Def 4.1, Eq. 9, Figure 7.
    """
    points = as_rows(train, resolve_device(device))
    if index is not None:
        # About the one point no digits cancel, however close its nearest neighbour.
        points = points - points[index]
    sigmas = np.atleast_1d(np.asarray(sigmas, np.float64))
    whole = -(-queries // BLOCK) * BLOCK
    largest, own = np.empty((2, whole, len(sigmas)))
    for start, i, noise in blocks(seed, stream, queries, points.shape[1], len(points)):
        # One fixed point is one row, which broadcasts over the queries.
        chosen = torch.as_tensor(i if index is None else [index]).to(points.device)
        rows = slice(start, start + len(i))
        for k, (top, total) in enumerate(_log_terms(points, chosen, noise, sigmas)):
            largest[rows, k] = torch.exp(top - total).cpu().numpy()
            own[rows, k] = torch.exp(-total).cpu().numpy()
    return largest[:queries], own[:queries]


def _log_terms(
    points: torch.Tensor, chosen: torch.Tensor, noise: Array, sigmas: Array
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    # For each sigma: the largest log t_j and log sum_j t_j, where t_i = 1 for the noised point.
    z = torch.as_tensor(noise).to(points)
    x = points[chosen]
    squared = squared_distances(x, points)
    inner = z @ points.T - (z * x).sum(1, keepdim=True)
    # The noised point's own terms are 0 exactly, not up to rounding.
    squared.scatter_(1, chosen[:, None], 0)
    inner.scatter_(1, chosen[:, None].expand(len(z), 1), 0)
    squared.mul_(-0.5)
    for sigma in sigmas.tolist():
        log_t = torch.add(squared, inner, alpha=sigma)
        top = log_t.amax(1)
        rest = log_t.sub_(top[:, None]).div_(sigma**2).exp_().sum(1)
        yield top / sigma**2, top / sigma**2 + rest.log()
