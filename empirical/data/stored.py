"""The images of a source as stored: read by the module of its kind, chosen, checked and reduced.

The module of its kind reads a source. Then its classes are chosen
(`wildmiddle.empirical.data.labels`) and its images reduced (`wildmiddle.empirical.data.resizing`),
in this order.
"""

import hashlib
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.arrow_files import find_arrow_files, read_arrow
from wildmiddle.empirical.data.cifar import is_cifar, read_cifar
from wildmiddle.empirical.data.conventions import (
    BYTE,
    DEFAULT_RANGE,
    SLACK,
    DataWarning,
    Reading,
    compare_units,
    extremes,
    read_layout,
    read_units,
)
from wildmiddle.empirical.data.decoding import SUFFIXES, ReadOptions
from wildmiddle.empirical.data.folders import read_folder
from wildmiddle.empirical.data.image_archives import read_tar, read_zip
from wildmiddle.empirical.data.labels import find_classes, label_numbers, positions
from wildmiddle.empirical.data.numpy_files import read_numpy
from wildmiddle.empirical.data.resizing import reduce_images
from wildmiddle.empirical.data.source import (
    DataError,
    Part,
    Pixels,
    Source,
    data_errors,
    irregular,
    require_memory,
)
from wildmiddle.empirical.data.split import as_integer

_SOURCES = (
    "'digits', a folder of images, a .zip or .tar of them, an .npy, .npz, .pt or .safetensors "
    "file, Parquet or Arrow, cifar-10-binary.tar.gz or cifar-10-python.tar.gz"
)
ARRAYS = (".npy", ".npz", ".pt", ".pth", ".safetensors")
"""Files that hold images as arrays, whose layout has to be told from the numbers."""


@dataclass(frozen=True, eq=False)
class Stored:
    """All chosen images of a source as stored, each part apart, reduced, and what is known of them.

    `pools` are those of the one part, or of the training and the test images; so are `kept`, their
    numbers in the part, `labels` and `file_names`. `top` is the integer that the upper end of the
    range stands for.
    """

    source: str
    name: str
    pools: list[Pixels]
    kept: list[NDArray[np.int64]]
    labels: list[NDArray[np.int64] | None]
    file_names: list[tuple[str, ...]]
    readings: list[Reading]
    classes: tuple[str, ...]
    value_range: tuple[float, float]
    top: int
    size_in_memory: int | None

    @property
    def sha256(self) -> str:
        """Checksum of all images as stored."""
        return checksum(*self.pools)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the images were taken for, in sentences."""
        return tuple(note for reading in self.readings for note in reading.notes)

    def warn_of_doubts(self) -> tuple[str, ...]:
        """Warn whoever called the caller of what may have been taken wrongly; the sentences."""
        doubts = tuple(doubt for reading in self.readings for doubt in reading.doubts)
        for doubt in doubts:
            warnings.warn(doubt, DataWarning, stacklevel=3)
        return doubts

    def require_memory(self, count: int) -> None:
        """Raise DataError where `count` images in float64 are more than there is memory for."""
        if self.size_in_memory is not None:
            needed = 8 * count * math.prod(self.pools[0].shape[1:])
            require_memory(self.source, needed, self.size_in_memory)

    def scale(self, images: Pixels) -> NDArray[np.float64]:
        """Some of the images in the range: integers are mapped to it, floats lie in it already."""
        pixels = images.astype(np.float64)
        if images.dtype.kind == "f":
            return pixels
        lo, hi = self.value_range
        pixels /= self.top  # in place: the images may fill most of the memory
        pixels *= hi - lo
        pixels += lo
        return pixels


def read_stored(
    source: str | Path,
    *,
    value_range: tuple[float, float] | None,
    classes: str | Sequence[str | int] | None,
    limit: int | None,
    grayscale: bool,
    size: int | None,
    cache: str | Path | None,
    progress: bool,
    least: int = 3,
) -> Stored:
    """Read a source; arguments as of `wildmiddle.empirical.data.load`.

    `least` images are needed where the source has one part.
    """
    given = value_range is not None
    value_range = _as_range(DEFAULT_RANGE if value_range is None else value_range)
    limit = None if limit is None else as_integer("limit", limit, 1)
    size = None if size is None else as_integer("size", size, 1)
    top = BYTE
    # The string only: a folder of that name is within reach as ./digits.
    if source == "digits":
        name, top = "digits", 16
        whole = _digits()
    else:
        options = ReadOptions(
            limit=limit,
            grayscale=grayscale,
            size=size,
            cache=None if cache is None else Path(cache),
            progress=progress,
        )
        whole = _read(source, options, labels=classes is not None)
        name = _printable(Path(source).resolve().name)
    for part in whole.parts:
        _check_shape(part.images, str(source))
    sides = ("train", "test") if whole.test is not None else ("images",)
    readings = [Reading(doubts=whole.doubts)]
    if source != "digits" and Path(source).suffix.lower() in ARRAYS and not is_cifar(Path(source)):
        # Of all other sources the layout is known.
        readings += [
            read_layout(part.images, f"{name}, {side}")
            for part, side in zip(whole.parts, sides, strict=True)
        ]
    chosen = find_classes(whole, classes, str(source))
    kept = [positions(part, whole.class_names, chosen, limit) for part in whole.parts]
    labels = label_numbers(whole)
    pools = [_take(part.images, at) for part, at in zip(whole.parts, kept, strict=True)]
    pools = _check_and_reduce(pools, str(source), value_range, grayscale, size, least)
    readings += [
        read_units(pool, f"{name}, {side}", value_range, given=given, top=top)
        for pool, side in zip(pools, sides, strict=True)
    ]
    return Stored(
        source=str(source),
        name=name,
        pools=pools,
        kept=kept,
        labels=labels,
        file_names=[part.names for part in whole.parts],
        readings=readings,
        classes=chosen,
        value_range=value_range,
        top=top,
        size_in_memory=whole.stored,
    )


def _printable(name: str) -> str:
    # A file name that is not UTF-8 has lone surrogates in Python, which no report can hold.
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _digits() -> Source:
    from sklearn.datasets import load_digits  # here, because it takes a second to import

    digits = load_digits()
    return Source(Part(np.asarray(digits.images).astype(np.uint8), digits.target))  # 0..16


def _read(source: str | Path, options: ReadOptions, *, labels: bool) -> Source:
    path = Path(source)
    with data_errors(path, "give a file or folder that can be opened"):
        if not str(source) or not path.exists():
            raise DataError(f"{str(source)!r}: no such file or folder; give {_SOURCES}")
        if not (path.is_dir() or path.is_file()):
            raise DataError(irregular(path))
        suffix = path.suffix.lower()
        if is_cifar(path):
            return read_cifar(path)
        arrow_files = find_arrow_files(path)
        if arrow_files:
            return read_arrow(path, arrow_files, options)
        if path.is_dir():
            return read_folder(path, options)
        if suffix in (".npy", ".npz"):
            return read_numpy(path, labels=labels)
        if suffix == ".zip":
            return read_zip(path, options)
        if suffix == ".tar":
            return read_tar(path, options)
        if suffix in ARRAYS:
            from wildmiddle.empirical.data.tensors import read_tensors  # torch takes its time

            return read_tensors(path)
        if suffix in SUFFIXES:
            raise DataError(f"{path}: a single image; give the folder that holds the images")
        if suffix in (".pkl", ".pickle"):
            raise DataError(
                f"{path}: a Python pickle, refused because opening it can run code; save the "
                f"images as .npz, or give {_SOURCES}"
            )
        raise DataError(f"{path}: not a kind of file that is read here; give {_SOURCES}")


def _take(images: Pixels, at: NDArray[np.int64]) -> Pixels:
    first = images[: len(at)]  # no copy where these are kept
    return first if len(at) and at[-1] == len(at) - 1 else images[at]


def _check_and_reduce(
    pools: list[Pixels],
    source: str,
    value_range: tuple[float, float],
    grayscale: bool,
    size: int | None,
    least: int,
) -> list[Pixels]:
    if len(pools) == 1:
        use = "2 to train on and 1 to test on" if least > 1 else "of any kind"
        _check_pixels(pools[0], source, least, use, value_range)
        return [reduce_images(pools[0], source, grayscale=grayscale, size=size)]
    labels = (f"{source}, train", f"{source}, test")
    _check_pixels(pools[0], labels[0], 2, "to train on", value_range)
    _check_pixels(pools[1], labels[1], 1, "to test on", value_range)
    train, test = (
        reduce_images(pool, label, grayscale=grayscale, size=size)
        for pool, label in zip(pools, labels, strict=True)
    )
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise DataError(
            f"{source}: train images are {train.shape[1:]} {train.dtype}, test images "
            f"{test.shape[1:]} {test.dtype}; bring them to one size and type"
        )
    doubt = compare_units(extremes(test), extremes(train), "test")
    if doubt is not None:
        raise DataError(f"{source}: {doubt}")
    return [train, test]


def _check_shape(images: Pixels, label: str) -> None:
    # At least two dimensions, and pixels.
    if images.ndim < 2 or math.prod(images.shape[1:]) == 0:
        raise DataError(
            f"{label}: an array of shape {images.shape}; give one of shape (N, ...), N the number "
            "of images"
        )


def _check_pixels(
    images: Pixels, label: str, least: int, use: str, value_range: tuple[float, float]
) -> None:
    # At least `least` images, of integers 0..255 or of floats in the range.
    if images.dtype.kind not in "iuf":
        raise DataError(
            f"{label}: values of type {images.dtype}; save the images as uint8 0..255, or as "
            "floats in the range given with --range"
        )
    if len(images) < least:
        raise DataError(f"{label}: {len(images)} images; give at least {least}, {use}")
    if images.dtype.kind == "f":
        _check_floats(images, label, value_range)
        return
    low, high = int(images.min()), int(images.max())
    if low < 0 or high > 255:
        raise DataError(
            f"{label}: holds the integer {low if low < 0 else high}, outside 0..255; save the "
            "images as uint8, or as floats in the range given with --range"
        )


def _check_floats(images: Pixels, label: str, value_range: tuple[float, float]) -> None:
    wrong = ~np.isfinite(images)
    if wrong.any():
        first = int(np.flatnonzero(wrong.reshape(len(images), -1).any(axis=1))[0])
        raise DataError(
            f"{label}: {int(wrong.sum())} pixels are NaN or infinite, the first in image {first}; "
            "remove or repair those images"
        )
    lo, hi = value_range
    low, high = float(images.min()), float(images.max())
    if low < lo - SLACK or high > hi + SLACK:
        raise DataError(
            f"{label}: floats from {low:.10g} to {high:.10g}, outside the range {lo:.10g} to "
            f"{hi:.10g}; give the range of your pixels with --range"
        )


def _as_range(value_range: tuple[float, float]) -> tuple[float, float]:
    try:
        lo, hi = (float(end) for end in value_range)
    except (TypeError, ValueError, OverflowError):
        lo, hi = math.nan, math.nan
    if not (lo < hi and math.isfinite(hi - lo)):
        raise DataError(f"range {value_range!r}: give two finite numbers, the lower one first")
    return lo, hi


def checksum(*parts: Pixels) -> str:
    """SHA-256 of arrays with their types and shapes, the same on every machine."""
    digest = hashlib.sha256()
    for part in parts:
        stored = np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("<"))
        digest.update(f"{stored.dtype.str} {stored.shape} ".encode())
        digest.update(stored.data)
    return f"sha256:{digest.hexdigest()}"
