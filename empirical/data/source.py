"""A source of images as its reader hands it over, and the choice of classes and of the first N.

Every reader gives a `Source`: pixels as stored, no scaling, no split, nothing written, and nothing
ever unpickled. Whatever is wrong with it is a `DataError`, one line.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]

_SLACK = 1e-6  # how far a float may lie outside the range: rounding, not another unit
_LISTED = 20  # class names that an error lists


class DataError(ValueError):
    """A data source that cannot be used: one line that names the value and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


@dataclass(frozen=True, eq=False)
class Part:
    """Images of shape (N, *shape), and their labels, (N,) integers or strings, where known."""

    images: Pixels
    labels: Pixels | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """All images of a source; `test` is None where it does not set test images apart.

    `class_names` are the names of the integer labels 0, 1, ..., empty where they have none.
    """

    train: Part
    test: Part | None = None
    class_names: tuple[str, ...] = ()


@contextmanager
def reading(path: Path | str, remedy: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into a `DataError` that names the file."""
    try:
        yield
    except (DataError, ImportError):
        raise
    # On corrupt bytes the decoders raise OSError, EOFError, SyntaxError, struct.error, zlib.error
    # and others, none of them promised: a list would miss some.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise DataError(f"{path}: cannot be read ({reason}); {remedy}") from error


def find_classes(
    source: Source, wanted: str | Sequence[str | int] | None, label: str
) -> tuple[str, ...]:
    """The names of the wanted classes, in the order of their labels; () for all.

    `wanted` holds names or numbers; a string is split at its commas. Raises `DataError` where the
    source has no labels that fit its images, and for a class that it does not have.
    """
    if wanted is None:
        return ()
    words = wanted.split(",") if isinstance(wanted, str) else [str(word) for word in wanted]
    for part in filter(None, (source.train, source.test)):
        _check_labels(part, label)
    known = _classes(source)
    numbers = {str(number): name for number, name in enumerate(source.class_names)}
    chosen = set()
    for word in (word.strip() for word in words):
        name = numbers.get(word, word)
        if name not in known:
            listed = ", ".join(known[:_LISTED]) + (", ..." if len(known) > _LISTED else "")
            raise DataError(f"class {word!r}: not one of {label}; choose from {listed}")
        chosen.add(name)
    if not chosen:
        raise DataError(f"classes {wanted!r}: name at least one, or leave the option out for all")
    return tuple(name for name in known if name in chosen)


def positions(
    part: Part, class_names: Sequence[str], classes: Sequence[str], limit: int | None
) -> NDArray[np.int64]:
    """Where in a part the first `limit` images of the classes stand; all classes for ()."""
    if not classes:
        return np.arange(len(part.images))[:limit]
    assert part.labels is not None  # by find_classes
    labels = part.labels.astype(str) if part.labels.dtype.kind != "U" else part.labels
    numbers = {name: str(number) for number, name in enumerate(class_names)}
    return np.flatnonzero(np.isin(labels, [numbers.get(name, name) for name in classes]))[:limit]


def label_numbers(source: Source) -> list[NDArray[np.int64] | None]:
    """The labels of each part as integers, (N,); None where a part has none that fit its images.

    Strings become their place among all names in sorted order.
    """
    known = [_fitting(part) for part in (source.train, source.test) if part is not None]
    found = [labels for labels in known if labels is not None]
    if not any(labels.dtype.kind == "U" for labels in found):
        return [None if labels is None else labels.astype(np.int64) for labels in known]
    names = np.unique(np.concatenate([labels.astype(str) for labels in found]))
    return [
        None if labels is None else np.searchsorted(names, labels.astype(str)).astype(np.int64)
        for labels in known
    ]


def _fitting(part: Part) -> Pixels | None:
    labels = part.labels
    if labels is None or labels.shape != part.images.shape[:1] or labels.dtype.kind not in "iuU":
        return None
    return labels


def _classes(source: Source) -> list[str]:
    if source.class_names:
        return list(source.class_names)
    parts = (source.train, source.test)
    found = np.concatenate([p.labels for p in parts if p is not None and p.labels is not None])
    return [str(value) for value in np.unique(found).tolist()]


def _check_labels(part: Part, label: str) -> None:
    if part.labels is None:
        raise DataError(
            f"{label}: has no labels to choose classes by; use CIFAR-10, the digits, or an .npz "
            "file with labels, or with train_labels and test_labels"
        )
    if part.labels.shape != part.images.shape[:1] or part.labels.dtype.kind not in "iuU":
        raise DataError(
            f"{label}: labels of shape {part.labels.shape} and type {part.labels.dtype} for "
            f"{len(part.images)} images; give one integer or string for each image"
        )


def check_shape(images: Pixels, label: str) -> None:
    """Refuse an array that holds no images: one of fewer than two dimensions, or of no pixels."""
    if images.ndim < 2 or math.prod(images.shape[1:]) == 0:
        raise DataError(
            f"{label}: an array of shape {images.shape}; give one of shape (N, ...), N the number "
            "of images"
        )


def check_pixels(
    images: Pixels, label: str, least: int, use: str, value_range: tuple[float, float]
) -> None:
    """Refuse an array that is not at least `least` images of integers 0..255 or floats in range."""
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
    if low < lo - _SLACK or high > hi + _SLACK:
        raise DataError(
            f"{label}: floats from {low:.10g} to {high:.10g}, outside the range {lo:.10g} to "
            f"{hi:.10g}; give the range of your pixels with --range"
        )
