"""What an array is taken for: its layout, the units of its values, and whether it holds images.

Nothing in an array says which axis counts the images, which one the colours, or which values are
black and white. What is assumed is decided here and nowhere else: an array that cannot be images in
an assumed form is refused, and what was assumed is said in a sentence, with a doubt where the
values look otherwise.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.source import DataError, Pixels

DEFAULT_RANGE = (-1.0, 1.0)
"""Range of the pixels unless another one is given."""

SLACK = 1e-6
"""How far a float may lie outside the range: rounding, not another unit."""

BYTE = 255
"""White, in images of integers."""

_CHANNELS = (1, 3, 4)  # gray, RGB, RGB with alpha
_SIDE = 8  # pixels; an axis of fewer may be something else than the side of an image
_OBLONG = 4  # times as long as wide: hardly any image is more
_DIM = 1 / 2  # of the range of bytes: photographs reach beyond it
_FAINT = 1 / 16  # of a range or of another set's contrast: not the same units
_BEYOND = 1 / 2  # of the training range: more than an overshoot of raw samples
_BELOW = 1 / 4  # of the training range: well below 0
_OVERSHOOT = 1 / 16  # of the training range: as far as raw samples pass their own black
_FAR = 300
"""Mean pixel, in units of the standard deviation about the mean image. Checks that compute about 0
allow for the rounding of pixels near it; at 9,000 it was found five times what they allow."""
_COARSE = 1e-6  # spacing of float64 at a pixel, in units of the spread: six digits are left
_PART = 1024  # images at a time: a copy of all would fill the memory
_LARGEST, _SMALLEST = 1e38, 1e-37  # squares that float32, the precision of the products, holds


class DataWarning(UserWarning):
    """Images that look otherwise than they were taken; the answer may be in other units."""


class Reading(NamedTuple):
    """What images were taken for, and where they look otherwise, in sentences."""

    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def read_layout(images: Pixels, label: str) -> Reading:
    """What the axes of an array are taken for: the first counts images, the rest is one image.

    Of four axes the last is that of the channels where it has 1 to 4 values, else the second.
    `DataError` for an array that is one image, counts the images on its last axis, or is a
    symmetric matrix, such as a covariance.
    """
    shape = images.shape
    if len(shape) == 2:
        return _read_matrix(images, label)
    if len(shape) == 3:
        return _read_gray(shape, label)
    if len(shape) == 4:
        return _read_channels(shape, label)
    doubt = f"{label}: shape {shape} is none of images; the first axis is taken to count them"
    return Reading((), (doubt,))


def _read_matrix(images: Pixels, label: str) -> Reading:
    count, d = images.shape
    note = f"{label}: each of the {count} rows is taken for one image, flattened to d = {d} values"
    if count != d or d < 3:
        return Reading((note,))
    if _is_symmetric(images):
        raise DataError(
            f"{label}: a symmetric matrix of {d} x {d}, as covariances and distances are (FID "
            "statistics hold one), not images; give the images themselves"
        )
    doubt = (
        f"{label}: an array of shape {images.shape} is taken for {count} flattened images of {d} "
        "values; if it is a single image, give a set of images (N, H, W)"
    )
    return Reading((note,), (doubt,))


def _is_symmetric(matrix: Pixels) -> bool:
    if matrix.dtype.kind not in "iuf" or (matrix == matrix.flat[0]).all():
        return False
    size = float(np.abs(matrix).max())
    return bool(np.allclose(matrix, matrix.T, rtol=1e-5, atol=1e-6 * size))


def _read_gray(shape: tuple[int, ...], label: str) -> Reading:
    first, height, width = shape
    if width in _CHANNELS and _is_image(first, height):
        raise DataError(
            f"{label}: shape {shape} is that of a single image of {width} channels; give a set of "
            "images (N, H, W, C), or points as rows (N, d)"
        )
    note = f"{label}: {first} images of {height}x{width} values without an axis of channels"
    if first in _CHANNELS and _is_image(height, width):
        doubt = (
            f"{label}: shape {shape} is taken for {first} images; if it is a single image with "
            "channels first, give a set of images (N, C, H, W)"
        )
        return Reading((note,), (doubt,))
    return Reading((note,))


def _read_channels(shape: tuple[int, ...], label: str) -> Reading:
    last_counts = shape[2] in _CHANNELS and _is_image(shape[0], shape[1])
    last_counts |= shape[0] in _CHANNELS and _is_image(shape[1], shape[2])
    if shape[3] <= max(_CHANNELS):
        note = f"{label}: {shape[0]} images of {shape[1]}x{shape[2]}, {shape[3]} channels last"
        if (shape[1] in _CHANNELS and shape[2] >= _SIDE) or (last_counts and shape[2] in _CHANNELS):
            doubt = (
                f"{label}: the last axis of {shape} is taken for that of the channels, though "
                "another one has as few values"
            )
            return Reading((note,), (doubt,))
        return Reading((note,))
    if shape[1] in _CHANNELS:
        note = f"{label}: {shape[0]} images of {shape[2]}x{shape[3]}, {shape[1]} channels first"
        return Reading((note,))
    if last_counts:
        raise DataError(
            f"{label}: shape {shape} counts the images on its last axis; bring that to the front "
            "with numpy.moveaxis(images, -1, 0)"
        )
    doubt = (
        f"{label}: shape {shape} has no axis of 1 to 4 channels; the first axis is taken to count "
        "the images"
    )
    return Reading((), (doubt,))


def _is_image(height: int, width: int) -> bool:
    small, large = sorted((height, width))
    return small >= _SIDE and large <= _OBLONG * small


def read_units(
    images: Pixels, label: str, value_range: tuple[float, float], *, given: bool, top: int = BYTE
) -> Reading:
    """What the values of an array are taken for; `given` says whether the user gave the range.

    Integers are 0..`top`, mapped to the range; floats are in the range already.
    """
    lo, hi = value_range
    low, high = float(images.min()), float(images.max())
    ends = f"[{lo:g}, {hi:g}]"
    if images.dtype.kind in "iu":
        note = f"{label}: integers 0..{top} are mapped to {ends}"
        if high > top * _DIM:
            return Reading((note,))
        doubt = (
            f"{label}: integers up to {high:g} are taken for bytes 0..{top}, of whose range they "
            f"use a part of {high / top:.2g}; if {high:g} is white, save the images as floats and "
            f"give --range=0,{high:g} (value_range)"
        )
        return Reading((note,), (doubt,))
    note = f"{label}: floats from {low:.6g} to {high:.6g} are taken for pixels in {ends}"
    if not given and low >= -SLACK and high > low:
        doubt = (
            f"{label}: floats from {low:.6g} to {high:.6g} are taken for pixels in {ends}, none of "
            "them below 0; if 0 is black, give --range=0,1 (value_range), else --range=-1,1"
        )
        return Reading((note,), (doubt,))
    if 0 < high - low < _FAINT * (hi - lo):
        doubt = (
            f"{label}: floats from {low:.6g} to {high:.6g} use a part of "
            f"{(high - low) / (hi - lo):.2g} of the range {ends}; give the range of your pixels "
            "with --range (value_range)"
        )
        return Reading((note,), (doubt,))
    return Reading((note,))


def extremes(images: Pixels) -> NDArray[np.float64]:
    """The lowest and the highest value of each image, (2, N), of images (N, ...)."""
    rows = images.reshape(len(images), -1)
    return np.stack([rows.min(1), rows.max(1)]).astype(np.float64)


def compare_units(
    ends: NDArray[np.float64], train_ends: NDArray[np.float64], name: str, *, raw: bool = False
) -> str | None:
    """Why two sets of images look to be in different units, by their `extremes`; None if not.

    They do where most images have values beyond the range of the training images by half of
    it; where no image has a value below 0 and every training image has one well below; and where
    the contrast of either set, the median over its images, is under a sixteenth of the other's. Raw
    samples that overshoot a little, and dark or bright sets, do none of it. ``raw`` says that the
    set are samples that were not clipped, of which a sixteenth of the range below 0 is none.
    """
    (lows, highs), (low, high) = ends, (float(train_ends[0].min()), float(train_ends[1].max()))
    width = high - low
    if width == 0:
        return None
    beyond = (lows < low - _BEYOND * width) | (highs > high + _BEYOND * width)
    least = -(_OVERSHOOT if raw else SLACK) * width
    unsigned = lows.min() >= least and train_ends[0].max() < -_BELOW * width
    faint, strong = sorted(float(np.median(each[1] - each[0])) for each in (ends, train_ends))
    if beyond.mean() > 1 / 2 or unsigned or 0 < faint < _FAINT * strong:
        return (
            f"{name} has values from {lows.min():.4g} to {highs.max():.4g}, train from "
            f"{low:.4g} to {high:.4g}, as if in different units; bring both to one range"
        )
    return None


def require_same_shape(
    shape: Sequence[int], train_shape: Sequence[int], name: str, train_name: str = "train"
) -> None:
    """Refuse two sets whose images, of these shapes without N, cannot be compared value by value.

    Axes of length 1 make no difference, and neither does flattening an image of at most two other
    axes. Of three, as of RGB images, a flat row does not tell which came first, and is refused.
    Raises ValueError that names both shapes and the remedy.
    """
    a, b = (tuple(side for side in each if side != 1) for each in (shape, train_shape))
    if a == b:
        return
    d, e = (int(np.prod(each, dtype=np.int64)) for each in (a, b))
    if d != e:
        raise ValueError(
            f"{train_name} has d = {e} and {name} {d}; must agree "
            f"(images of shape {tuple(train_shape)} and {tuple(shape)})"
        )
    if min(len(a), len(b)) <= 1 and max(len(a), len(b)) <= 2:
        return
    if len(a) == len(b) == 3 and a in ((b[2], *b[:2]), (*b[1:], b[0])):
        remedy = "bring both to channels first with wildmiddle.to_channels_first"
    else:
        remedy = "bring both to one shape"
    raise ValueError(
        f"images of {name} have the shape {tuple(shape)}, those of {train_name} "
        f"{tuple(train_shape)}: their values are in different orders; {remedy}"
    )


def require_resolution(train: NDArray[np.float64], largest: float | None = None) -> None:
    """Refuse images whose differences the arithmetic cannot resolve, or whose squares it cannot.

    `largest` is the largest pixel of the mean image that was subtracted, where one was. `DataError`
    where the mean image is 300 times larger than the standard deviation about it, since distances
    are then the small differences of large numbers; where float64 held the pixels before centring
    to fewer than six digits; and where squared distances overflow or single squares underflow
    float32.
    """
    rows = train.reshape(len(train), -1)
    parts = [rows[k : k + _PART] for k in range(0, len(rows), _PART)]
    if all((part == rows[0]).all() for part in parts):
        return
    # In parts: halves of float64's largest number have no finite sum.
    mean = sum((part / len(rows)).sum(0) for part in parts)
    most = max(float(np.abs(part - mean).max()) for part in parts)
    offset = float(np.abs(mean).max())
    if most > (_LARGEST / rows.shape[1]) ** 0.5 / 2 or most < _SMALLEST**0.5:
        raise DataError(
            f"pixels that differ by up to {most:.4g} from their mean, d = {rows.shape[1]}: squared "
            "distances overflow or underflow; scale the pixels to a range such as -1 to 1"
        )
    squares = sum(float(np.square((part - mean) / most).sum()) for part in parts)
    spread = most * (squares / rows.size) ** 0.5
    if np.spacing(offset if largest is None else largest) > _COARSE * spread:
        raise DataError(
            f"pixels near {largest or offset:.6g} that differ by {spread:.2g} only: float64 has no "
            "digits left for them; subtract the offset before the images are saved"
        )
    if offset > _FAR * spread:
        raise DataError(
            f"pixels near {offset:.6g} that differ by {spread:.4g} only: squared distances would "
            "lose their digits; subtract the offset, as --centre (centre=True) does"
        )
