"""Bring images to grayscale and to one size: luma, the central square, then an area average.

Each new pixel is the mean over its area, in which the old pixels at its border count by their
share. (Pillow's BOX filter takes them wholly or not at all: from 4 columns to 3 it drops one.)
Integers are summed exactly and rounded once, at the end, so every machine gives the same bytes.
"""

from collections.abc import Iterable
from functools import cache, reduce
from typing import Any

import numpy as np

from wildmiddle.empirical.data.source import DataError, Pixels

_LUMA = (299, 587, 114)  # ITU-R BT.601, in thousandths
_BLOCK = 64  # images that are reduced at a time
_STRIP = 1 << 22  # values of theirs whose sums are held at a time, eight bytes each


def reduce_images(images: Pixels, label: str, *, grayscale: bool, size: int | None) -> Pixels:
    """Reduce images of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), of integers or floats.

    Gives (N, `size`, `size`) or (N, `size`, `size`, 3) of the same type, H x W where `size` is
    None. The crop leaves out the odd row or column at the bottom or on the right. Raises
    `DataError` for other shapes, and for images with a side under `size`: enlarging them would add
    dimensions, not information.
    """
    if not grayscale and size is None:
        return images
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
        raise DataError(
            f"{label}: images of shape {images.shape[1:]} are no rows and columns of gray or RGB; "
            "grayscale and size need an array (N, H, W) or (N, H, W, 3)"
        )
    height, width = images.shape[1:3]
    if size is not None and min(height, width) < size:
        raise DataError(f"{label}: {width}x{height}, too small for size {size}; ask for less")
    luma = grayscale and images.ndim == 4
    if not luma and size in (None, height) and size in (None, width):
        return images
    starts = range(0, len(images), _BLOCK)
    return np.concatenate([_reduce(images[at : at + _BLOCK], luma, size) for at in starts])


def _reduce(images: Pixels, luma: bool, size: int | None) -> Pixels:
    side = min(images.shape[1:3])
    if size is not None:
        height, width = images.shape[1:3]
        top, left = (height - side) // 2, (width - side) // 2
        images = images[:, top : top + side, left : left + side]
    # Sums of integers are exact in any order, so a large image is taken strip by strip.
    rows, whole = images.shape[1], images.dtype.kind in "iu"
    step = max(1, _STRIP // images[:, 0].size) if whole else rows
    strips = [slice(at, at + step) for at in range(0, rows, step)]
    scale = sum(_LUMA) if luma else 1
    if size in (None, side):
        means: Iterable[Pixels] = (_values(images[:, strip], luma) / scale for strip in strips)
    else:
        weights = _overlaps(side, size)
        parts = (
            _area_sums(_values(images[:, strip], luma), weights[:, strip], 1) for strip in strips
        )
        means = [_area_sums(reduce(np.add, parts), weights, 2) / (scale * side**2)]
    return np.concatenate(
        [(np.rint(mean) if whole else mean).astype(images.dtype) for mean in means], axis=1
    )


def _values(images: Pixels, luma: bool) -> Pixels:
    values: Pixels = images.astype(np.float64)  # whole numbers below 2^53 stay exact
    if not luma:
        return values
    red, green, blue = (part * values[..., channel] for channel, part in enumerate(_LUMA))
    return red + green + blue


def _area_sums(values: Pixels, weights: Any, axis: int) -> Pixels:
    """Sums over equal stretches of an axis: `weights` (new, old) times the values along it."""
    front = np.moveaxis(values, axis, 0)
    sums = weights @ front.reshape(len(front), -1)
    return np.moveaxis(sums.reshape(-1, *front.shape[1:]), 0, axis)


@cache
def _overlaps(side: int, size: int) -> Any:
    # In units in which an old pixel is `size` long and a new one `side`. Sparse: it is nearly
    # empty, and its product, unlike a dense one, starts no threads inside those of a folder.
    from scipy.sparse import csr_array

    new, old = np.arange(size)[:, None] * side, np.arange(side) * size
    return csr_array(np.clip(np.minimum(new + side, old + size) - np.maximum(new, old), 0.0, None))
