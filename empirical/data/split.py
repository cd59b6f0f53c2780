"""The split into train and test: which images, in which order.

It has a seed of its own, 0 unless told, apart from the seeds of Monte-Carlo runs, and is the order
of the raw outputs of `numpy.random.Philox`, a stream that NumPy keeps fixed across versions. Train
images are taken from the front of that order and test images from its back, so a smaller train
size gives a subset of a larger one and leaves the test images alone.
"""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.source import DataError

MOST = 1_000  # images of each part, unless told: the size of the paper's own geometry studies


def as_integer(name: str, value: int, least: int) -> int:
    """The value as an int; `DataError` for anything but an integer of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise DataError(f"{name} {value!r}: give an integer of at least {least}")
    return number


def _order(count: int, seed: int | Sequence[int]) -> NDArray[np.int64]:
    return np.argsort(np.random.Philox(seed).random_raw(count), kind="stable").astype(np.int64)


def split(
    count: int, train_size: int | None, test_size: int | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the train and the test images of one pool of `count` stand; sizes by default if None.

    Raises `DataError` for sizes that do not leave at least 2 and 1 images.
    """
    held_out = 1 if test_size is None else _size("test_size", test_size, 1, count - 2)
    n_train = min(MOST, max(2, count * 3 // 5), count - held_out)
    if train_size is not None:
        n_train = _size("train_size", train_size, 2, count - held_out)
    n_test = min(MOST, count - n_train) if test_size is None else held_out
    order = _order(count, seed)
    return order[:n_train], order[::-1][:n_test].copy()


def subset(
    name: str, size: int | None, count: int, least: int, seed: Sequence[int]
) -> NDArray[np.int64]:
    """Where a part's images stand, of the `count` that the source sets apart for it."""
    size = min(MOST, count) if size is None else _size(name, size, least, count)
    return _order(count, seed)[:size]


def gather_rows(
    pool: NDArray[Any], chosen: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The chosen images as the first of the pool, changed in place, and where each stood.

    Images that are not chosen give way to those that stand too far back, so that of a large file
    that is mapped (copy on write) few are copied: their order is not that of `chosen`. A pool that
    cannot be changed is left alone.
    """
    if not pool.flags.writeable:
        return pool[chosen], chosen
    order = np.arange(len(chosen))
    holes = np.setdiff1d(order, chosen)
    back = chosen[chosen >= len(chosen)]
    for hole, place in zip(holes, back, strict=True):
        pool[hole] = pool[place]
    order[holes] = back
    return pool[: len(chosen)], order


def _size(name: str, size: int, least: int, available: int) -> int:
    size = as_integer(name, size, least)
    if size > available:
        raise DataError(f"{name} {size}: the source has {available} for it; ask for at most that")
    return size
