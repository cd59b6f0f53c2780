"""The labels of a source: which classes it has, where their images stand, and labels as numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.source import DataError, Part, Source

_LISTED = 20  # class names that an error lists


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
    for part in source.parts:
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
    known = [part.labels if _labels_fit(part) else None for part in source.parts]
    found = [labels for labels in known if labels is not None]
    if not any(labels.dtype.kind == "U" for labels in found):
        return [None if labels is None else labels.astype(np.int64) for labels in known]
    names = np.unique(np.concatenate([labels.astype(str) for labels in found]))
    return [
        None if labels is None else np.searchsorted(names, labels.astype(str)).astype(np.int64)
        for labels in known
    ]


def _labels_fit(part: Part) -> bool:
    labels = part.labels
    return (
        labels is not None and labels.shape == part.images.shape[:1] and labels.dtype.kind in "iuU"
    )


def _classes(source: Source) -> list[str]:
    if source.class_names:
        return list(source.class_names)
    found = np.concatenate([part.labels for part in source.parts if part.labels is not None])
    return [str(value) for value in np.unique(found).tolist()]


def _check_labels(part: Part, label: str) -> None:
    if part.labels is None:
        raise DataError(
            f"{label}: has no labels to choose classes by; use CIFAR-10, the digits, a folder with "
            "a subfolder for each class, or an .npz file with labels, or with train_labels and "
            "test_labels"
        )
    if not _labels_fit(part):
        raise DataError(
            f"{label}: labels of shape {part.labels.shape} and type {part.labels.dtype} for "
            f"{len(part.images)} images; give one integer or string for each image"
        )
