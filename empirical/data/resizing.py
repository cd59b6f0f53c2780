"""Bring images to grayscale and to one size: luma, the central square, then an area average.

Each new pixel is the mean over its area, in which the old pixels at its border count by their
share. (Pillow's BOX filter takes them wholly or not at all: from 4 columns to 3 it drops one.)
Integers are summed exactly and rounded once, at the end, so every machine gives the same bytes.
"""

from functools import cache
from typing import Any

import numpy as np

from wildmiddle.empirical.data.source import DataError, Pixels

_LUMA = (299, 587, 114)  # ITU-R BT.601, in thousandths
_BLOCK = 64  # images whose sums are held at a time, eight bytes a pixel


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
    side, scale = min(images.shape[1:3]), 1
    if size is not None:
        height, width = images.shape[1:3]
        top, left = (height - side) // 2, (width - side) // 2
        images = images[:, top : top + side, left : left + side]
    sums: Pixels = images.astype(np.float64)  # whole numbers below 2^53 stay exact
    if luma:
        red, green, blue = (part * sums[..., channel] for channel, part in enumerate(_LUMA))
        sums, scale = red + green + blue, sum(_LUMA)
    if size is not None and size != side:
        sums = _area_sums(_area_sums(sums, size, 1), size, 2)
        scale *= side**2
    means = sums / scale
    return (np.rint(means) if images.dtype.kind in "iu" else means).astype(images.dtype)


def _area_sums(values: Pixels, size: int, axis: int) -> Pixels:
    """Sums over `size` equal stretches of an axis, times `size`, which makes the weights whole."""
    front = np.moveaxis(values, axis, 0)
    sums = _overlaps(len(front), size) @ front.reshape(len(front), -1)
    return np.moveaxis(sums.reshape(size, *front.shape[1:]), 0, axis)


@cache
def _overlaps(side: int, size: int) -> Any:
    # In units in which an old pixel is `size` long and a new one `side`. Sparse: it is nearly
    # empty, and its product, unlike a dense one, starts no threads inside those of a folder.
    from scipy.sparse import csr_array

    new, old = np.arange(size)[:, None] * side, np.arange(side) * size
    return csr_array(np.clip(np.minimum(new + side, old + size) - np.maximum(new, old), 0.0, None))
