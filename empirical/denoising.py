"""Error, sensitivity and entropy of the empirical optimum on its own noised images (Eq. 5).

All of them are linear in the posterior weights, so they come from the two products of the weights
themselves, for every sigma at once: no output is computed. What is quadratic in the weights, such
as the angle of Corollary A.2, needs the outputs.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.distinct import distinct
from wildmiddle.empirical.intervals import Estimate, bounded_mean
from wildmiddle.empirical.kernels.device import training_rows
from wildmiddle.empirical.kernels.noise_pass import noise_levels, run_pass
from wildmiddle.empirical.kernels.products import mean_of, norms_about
from wildmiddle.empirical.noise import blocks, indices
from wildmiddle.empirical.posterior import weight_accumulator
from wildmiddle.theory.constants import DEFAULT_MEMORY
from wildmiddle.theory.domain import require

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Denoising:
    """What is known of the empirical optimal denoiser at each sigma, (K,) in every estimate."""

    sigmas: Array
    error: Estimate
    """Mean squared error ``E |m(x_i + sigma Z) - x_i|^2`` on training images, over pixels."""
    sensitivity: Estimate
    """Mean trace of the Jacobian ``dm(y) / dy``: the error over sigma squared, by Stein."""
    entropy: Estimate
    """Mean entropy of the posterior weights, in nats. It falls with 1/(2 sigma^2) at the rate of
    the error (Guo, Shamai and Verdu 2005)."""


def denoising(
    train: ArrayLike | torch.Tensor,
    sigmas: ArrayLike,
    *,
    queries: int = 4000,
    seed: int = 0,
    device: str | torch.device = "auto",
    alpha: float = 0.05,
    stream: str = "denoising",
    memory: int = DEFAULT_MEMORY,
) -> Denoising:
    """Estimate error, sensitivity and entropy of the optimum on its training images.

    ``train`` (N, d) or (N, ...), ``sigmas`` (K,) in the same units. Given y, the image and a draw
    x' from the weights are independent and of one distribution, so ``E |x' - x|^2`` is twice the
    error: ``E |m(y) - x_i|^2 = E sum_j w_j(y) |x_j - x_i|^2 / 2``. The intervals of one estimate
    hold at all K sigmas together with probability at least ``1 - alpha``, by betting: no draw
    exceeds half the squared diameter, or log N. Images that are equal count as one, with the weight
    of its copies. ``memory`` bounds the buffers in bytes. Raises ValueError for fewer than two
    images that differ, no sigma or sigma <= 0, alpha outside (0, 1) or too little memory. Source:
    Eq. 5.
    """
    listed = training_rows(train, device)
    different = distinct(listed)
    rows, prior = different.points_and_prior(listed)
    levels = noise_levels(sigmas)
    require(0 < alpha < 1, "alpha", alpha, "must lie strictly between 0 and 1")
    origin, chosen = mean_of(rows), different.group[indices(seed, stream, queries, len(listed))]
    accumulator, result = weight_accumulator(
        rows, levels, queries, origin, chosen, prior=prior, moments=True
    )
    drawn = blocks(seed, stream, queries, rows.shape[1], dtype=np.float32)
    found = result(run_pass(rows, origin, drawn, [accumulator], memory))
    assert found.spread is not None
    assert found.entropy is not None
    each = alpha / len(levels)
    # Twice the largest distance from the origin is no less than the diameter.
    error = _mean(found.spread, 2 * float(norms_about(rows, origin).max()) ** 2, each)
    return Denoising(
        sigmas=levels,
        error=error,
        sensitivity=scale(error, 1 / levels**2),
        entropy=_mean(found.entropy, float(np.log(len(rows))), each),
    )


def _mean(draws: Array, top: float, alpha: float) -> Estimate:
    # Rounding may carry a draw past its ends, by a few units.
    share = bounded_mean(np.clip(draws / top, 0, 1) if top else np.zeros_like(draws), alpha)
    return scale(share, np.asarray(top))


def scale(found: Estimate, by: Array) -> Estimate:
    """An estimate and its interval times a positive factor."""
    return replace(found, mean=by * found.mean, low=by * found.low, high=by * found.high)
