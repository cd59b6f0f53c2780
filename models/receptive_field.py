"""Receptive fields: how far away the pixels are that an output pixel depends on, by noise level.

Every query noises a uniformly drawn image and asks for one uniformly drawn output value, so that
one backward pass over a block answers as many queries as the block has images, whatever their
size; the whole Jacobian of one input is :func:`wildmiddle.empirical.locality.jacobian`. For
stationary Gaussian data :mod:`wildmiddle.theory.locality` has the sensitivities in closed form,
with their bounds.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.intervals import Estimate, bounded_mean
from wildmiddle.empirical.noise import generator
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.models.images import Images, as_tensor
from wildmiddle.models.one_step import noise_levels, queries
from wildmiddle.theory.domain import require_positive

Array = NDArray[np.float64]

STREAM = "receptive field"
"""Name of the queries' noise stream."""


def jacobian_rows(
    denoiser: Denoiser, noisy: torch.Tensor, sigma: float, outputs: torch.Tensor
) -> torch.Tensor:
    """Row ``dD(y_b)_i / dy_b`` of the Jacobian for each image of a batch, (B, ...).

    ``noisy`` (B, ...); ``outputs`` (B,) is i for each, counted over the flattened image. The
    denoiser must treat its images one by one, as all here do in evaluation mode. Raises ValueError
    unless sigma is finite and above 0. Source: Section 4.2.1, ``J_ij``.
    """
    require_positive("sigma", sigma)
    chosen = torch.zeros_like(noisy).flatten(1).scatter_(1, outputs[:, None], 1)
    pull = torch.func.vjp(lambda y: denoiser(y, sigma), noisy)[1]
    (rows,) = pull(chosen.reshape(noisy.shape))
    return rows.detach()


def sensitivity_by_offset(
    denoiser: Denoiser,
    images: Images,
    sigmas: ArrayLike,
    count: int,
    seed: int = 0,
    *,
    stream: str = STREAM,
) -> Array:
    """Mean ``|J_ij|`` by how many rows and columns j is away from i, (K, H, W).

    ``images`` (M, C, H, W) are noised ``count`` times, all levels with the same noise. Entry (a, b)
    is the mean over queries and over the pixels j of the same channel that lie a rows and b columns
    away on either side; NaN where no query had such a pixel. Raises ValueError for other shapes and
    sigmas that are not finite and above 0.
    """
    pool, levels = _check_images(images), noise_levels(sigmas)
    _, _, height, width = pool.shape
    total, pixels = np.zeros((len(levels), height, width)), np.zeros((height, width))
    for clean, noise, outputs, kept in _queries(pool, count, seed, stream):
        channel, away = _offsets(outputs[:kept], pool.shape)
        where = np.ravel_multi_index(tuple(away), (height, width))
        pixels += np.bincount(where.ravel(), minlength=height * width).reshape(height, width)
        for k, sigma in enumerate(levels):
            rows = jacobian_rows(denoiser, clean + sigma * noise, sigma, outputs)[:kept]
            same = np.abs(_numpy(rows)[np.arange(kept), channel])
            found = np.bincount(where.ravel(), weights=same.ravel(), minlength=height * width)
            total[k] += found.reshape(height, width)
    with np.errstate(invalid="ignore"):
        return total / pixels


def receptive_field(
    denoiser: Denoiser,
    images: Images,
    sigmas: ArrayLike,
    count: int,
    seed: int = 0,
    *,
    alpha: float = 0.05,
    stream: str = STREAM,
) -> Estimate:
    """Mean share of ``sum_j J_ij^2`` that comes from within r rows and columns of i, (K, R).

    ``images`` (M, C, H, W) are noised ``count`` times, all levels with the same noise; r runs over
    0, ..., max(H, W) - 1, and j over all channels. Each interval misses with probability ``alpha``,
    by betting: shares lie in [0, 1]. An output that depends on no input counts as decided within
    0. Raises ValueError for other shapes, sigmas that are not finite and above 0, or derivatives
    that are not finite. The share within a window is what a patch-wise denoiser of that size could
    use.
    """
    pool, levels = _check_images(images), noise_levels(sigmas)
    reach = max(pool.shape[2:])
    shares = np.empty((count, len(levels), reach))
    start = 0
    for clean, noise, outputs, kept in _queries(pool, count, seed, stream):
        _, away = _offsets(outputs[:kept], pool.shape)
        ring = away.max(0)  # (kept, H, W): in which square ring around i
        for k, sigma in enumerate(levels):
            rows = jacobian_rows(denoiser, clean + sigma * noise, sigma, outputs)[:kept]
            energy = np.square(_numpy(rows)).sum(1)
            if not np.isfinite(energy).all():
                raise ValueError("the denoiser's derivatives hold NaN or infinite values")
            by_ring = [np.where(ring == r, energy, 0).sum((1, 2)) for r in range(reach)]
            within = np.cumsum(by_ring, axis=0).T
            whole = within[:, -1:]
            # The last entry is 1 exactly, and none above it by rounding.
            shares[start : start + kept, k] = np.divide(
                within, whole, out=np.ones_like(within), where=whole > 0
            )
        start += kept
    return bounded_mean(shares, alpha)


def radius(field: Estimate, share: float = 0.9) -> NDArray[np.int64]:
    """Smallest r within which a mean ``share`` of the squared sensitivity lies, (K,).

    ``field`` is that of :func:`receptive_field`. Raises ValueError unless 0 < share <= 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share = {share} must be above 0 and at most 1")
    return np.argmax(field.mean >= share, axis=-1)


def _queries(
    pool: torch.Tensor, count: int, seed: int, stream: str
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]]:
    # The queries of a block and the output value that each of them asks for.
    for number, (clean, noise, kept) in enumerate(queries(pool, count, seed, stream)):
        drawn = generator(seed, f"{stream}/output", number)
        outputs = drawn.integers(clean[0].numel(), size=len(clean))
        yield clean, noise, torch.as_tensor(outputs).to(pool.device), kept


def _offsets(
    outputs: torch.Tensor, shape: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Each output's channel, (B,); all pixels' distance from it in rows and columns, (2, B, H, W).
    channel, row, column = np.unravel_index(outputs.cpu().numpy(), tuple(shape[1:]))
    rows, columns = np.indices(tuple(shape[2:]))
    away = np.stack(
        [
            np.abs(rows - row[:, None, None]),
            np.abs(columns - column[:, None, None]),
        ]
    )
    return channel, away


def _numpy(rows: torch.Tensor) -> Array:
    return rows.cpu().double().numpy()


def _check_images(images: Images) -> torch.Tensor:
    pool = as_tensor(images)
    if pool.ndim != 4:
        raise ValueError(f"images of shape {tuple(pool.shape)}; bring them to (M, C, H, W)")
    return pool
