"""Eigenvalues of the covariance of a set of images, tile by tile.

They come from the smaller of the d x d covariance and the N x N matrix of inner products. Where the
memory holds neither, from the covariances of blocks of pixels: by Fischer's inequality, ``det(1 +
S / sigma^2)`` is at most the product of the blocks' own determinants, so what
:mod:`wildmiddle.theory.spectrum` bounds with them stays true and only gets weaker. So it does, by
the same inequality in another basis, with the variances of all images along the leading axes of
some of them, and the rest of the variance spread evenly over the other axes: for large sets.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.kernels.device import training_rows, working_dtype
from wildmiddle.empirical.kernels.processes import add_up, share
from wildmiddle.empirical.kernels.products import (
    LARGE,
    centre,
    distance_dtype,
    evenly,
    mean_of,
    origin_of,
    product_dtype,
    squared_norms,
    tiles,
)
from wildmiddle.empirical.noise import BLOCK
from wildmiddle.theory.constants import DEFAULT_MEMORY

Array = NDArray[np.float64]

_COPIES = 4
"""Matrices of the size of the one whose eigenvalues are taken that are held at once."""
_AXES, _IMAGES = 256, 2048
"""Leading axes that a large set is looked at along, and the images that they come from."""


def eigenvalues(
    train: ArrayLike | torch.Tensor,
    *,
    device: str | torch.device | None = None,
    memory: int = DEFAULT_MEMORY,
    exact: bool = True,
) -> Array:
    """Eigenvalues of the covariance S of the images, the largest first, (min(N, d),).

    ``train`` (N, ...), N >= 2, S divided by N; on the ``device`` of a tensor unless told.
    ``memory`` bounds the buffers in bytes: where it holds no matrix of that size, they are the
    eigenvalues of blocks of pixels, (d,), and the largest may be too small. The error is about
    1e-15 of the largest (1e-7 on MPS), or for bytes of the square of a pixel's distance from 128,
    where that is more. Unless ``exact``, a set that would take more than 1e12
    products has the variances along 256 leading axes of 2,048 images, and the mean of all others,
    (d,), in float32. Raises ValueError for fewer than 2 images or values that are not finite.
    """
    own = train.device if isinstance(train, torch.Tensor) else "auto"
    points = training_rows(train, own if device is None else device, keep_bytes=True)
    n, d = points.shape
    if not exact and n * d * min(n, d) > LARGE and min(n, d) > _AXES:
        return _along_leading_axes(points)
    most = max(1, int((memory / (8 * _COPIES)) ** 0.5))
    if n < d and n <= most:
        found = torch.linalg.eigvalsh(_inner_products(points) / n)
    else:
        found = torch.cat(
            [
                torch.linalg.eigvalsh(_covariance(points, slice(*ends)), UPLO="U")
                for ends in tiles(d, min(d, most))
            ]
        )
    return np.sort(np.maximum(found.double().cpu().numpy(), 0))[::-1]


def _along_leading_axes(points: torch.Tensor) -> Array:
    # Variances of all images along the leading axes of a few, and the mean of all other variances.
    (n, d), work = points.shape, working_dtype(points.device)
    origin, best = mean_of(points), product_dtype(points.shape[1], points.device)
    some = centre(points[evenly(n, _IMAGES)], origin, work)
    some -= some.mean(0)
    leading = torch.linalg.eigh(some @ some.T)[1][:, -_AXES:]
    axes = torch.linalg.qr(some.T @ leading)[0].to(best)
    total = torch.zeros(d, dtype=work, device=points.device)
    along, squares = torch.zeros(2, _AXES, dtype=work, device=points.device)
    whole = torch.zeros((), dtype=work, device=points.device)
    for start, end in share(list(tiles(n, 4 * BLOCK))):
        part = centre(points[start:end], origin, best)
        total += part.sum(0)
        whole += squared_norms(part).sum()
        place = (part @ axes).to(work)
        along += place.sum(0)
        squares += place.square_().sum(0)
    total, along, squares, whole = map(add_up, (total, along, squares, whole))
    variances = squares / n - (along / n).square()
    rest = whole / n - (total / n).square().sum() - variances.sum()
    others = torch.full((d - _AXES,), float(rest.clamp(min=0)) / (d - _AXES), dtype=work)
    found = torch.cat([variances.cpu(), others]).double().numpy()
    return np.sort(np.maximum(found, 0))[::-1]


def _inner_products(points: torch.Tensor) -> torch.Tensor:
    # <x_i - mu, x_j - mu> of all pairs, (N, N), over a few pixels at a time.
    n, work = len(points), working_dtype(points.device)
    total = torch.zeros(n, n, dtype=work, device=points.device)
    for start, end in tiles(points.shape[1], BLOCK):
        part = points[:, start:end].to(work)
        part = part - part.mean(0)
        total.addmm_(part, part.T)
    return total


def _covariance(points: torch.Tensor, pixels: slice) -> torch.Tensor:
    # Of some pixels, over some images at a time; about a point near the mean, then about the mean.
    # Its upper triangle, and some more.
    n, work = len(points), working_dtype(points.device)
    whole = distance_dtype(points, points) == torch.int8  # bytes, whose products are exact
    best, multiply = (torch.int8, torch._int_mm) if whole else (work, torch.mm)
    origin = origin_of(points, best)[pixels]
    total = torch.zeros(len(origin), len(origin), dtype=work, device=points.device)
    shift = torch.zeros_like(origin, dtype=work)
    for start, end in share(list(tiles(n, 4 * BLOCK))):
        part = centre(points[start:end, pixels], origin, best)
        for first, last in tiles(len(origin), 2 * BLOCK):
            total[first:last, first:] += multiply(part[:, first:last].T, part[:, first:])
        shift += part.sum(0)
    total, shift = add_up(total), add_up(shift) / n
    return total.div_(n).sub_(torch.outer(shift, shift))
