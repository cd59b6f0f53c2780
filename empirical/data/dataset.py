"""Data sets of images: read, checked, scaled to one range, and split into train and test.

Every sigma is in units of the pixels: halving the range halves every sigma of the geometry. So the
range, the mean that centring subtracts and the standard deviation are part of a data set.

`wildmiddle.empirical.data.stored` reads a source, `wildmiddle.empirical.data.split` divides it.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.conventions import (
    require_resolution,
)
from wildmiddle.empirical.data.source import (
    DataError,
    Pixels,
)
from wildmiddle.empirical.data.split import as_integer, gather_rows, split, subset
from wildmiddle.empirical.data.stored import checksum, read_stored
from wildmiddle.theory.schedules import SCHEDULE_RANGE

__all__ = ["DataError", "DataSet", "Images", "load", "load_images"]

_PART = 1024  # images at a time, where a copy of all would fill the memory


@dataclass(frozen=True, eq=False)
class DataSet:
    """Train and test images in one range, with what is needed to draw them again.

    `train` has shape (N, *shape), `test` (M, *shape), both float64 in the range, or as stored;
    `unit` is the size in the range of one step of their values, and `scale` what is multiplied with
    the range for the pixels that sigma refers to (`rescaled`). `value_range` is the range before
    centring. `train_indices` and `test_indices` count in the source, from 0 in each part
    where the source itself sets test images apart. `sha256` is of the pixels that the split draws
    from, after `classes`, `limit`, `grayscale` and `size`, train before test: of each part the
    little-endian dtype, the shape and the bytes. `sigma_data` is the standard deviation over all
    pixels of `train`. `duplicates` and `test_duplicates` are the numbers of training and of
    held-out images that have an exact copy in their own set, `leaked` that of held-out images that
    are training images as well. `notes` say what the source was taken for, `doubts` where it looks
    otherwise (`wildmiddle.empirical.data.conventions`). `names` are those of the files of the
    source's images, of the part to train on. `train_labels` (N,) and `test_labels` (M,)
    are the classes of the images, None where the source has none; strings become their place among
    all names in sorted order. `mean`, of the shape of an image, is what centring subtracted, None
    without it.
    """

    name: str
    train: Pixels
    test: Pixels
    value_range: tuple[float, float]
    centred: bool
    train_indices: NDArray[np.int64]
    test_indices: NDArray[np.int64]
    sha256: str
    sigma_data: float
    duplicates: int
    classes: tuple[str, ...] = ()
    limit: int | None = None
    grayscale: bool = False
    size: int | None = None
    train_labels: NDArray[np.int64] | None = None
    test_labels: NDArray[np.int64] | None = None
    mean: NDArray[np.float64] | None = None
    test_duplicates: int = 0
    leaked: int = 0
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    unit: float = 1.0
    names: tuple[str, ...] = ()
    scale: float = 1.0

    def rescaled(self, sigma_data: float) -> "DataSet":
        """The same images, with every sigma that of pixels of this standard deviation over all.

        The usual schedules are taken to be in these units then. Raises DataError for images that
        are all of one value, and unless ``sigma_data`` is finite and above 0.
        """
        if not 0 < sigma_data < math.inf:
            raise DataError(f"sigma_data = {sigma_data:g} must be finite and above 0")
        if self.sigma_data == 0:
            raise DataError(f"{self.title}: all pixels are equal; no scale gives them a deviation")
        return replace(self, scale=self.scale * sigma_data / self.sigma_data, sigma_data=sigma_data)

    @property
    def sigma_unit(self) -> float:
        """The size of one step of the images' values in sigma."""
        return self.unit * self.scale

    @property
    def schedule_range(self) -> tuple[float, float]:
        """Pixel range of a model whose schedule is turned to sigma: [-1, 1] is as it stands."""
        return self.value_range if self.scale == 1 else SCHEDULE_RANGE

    @property
    def pixels(self) -> str:
        """The pixels that sigma refers to, in words."""
        if self.scale != 1:
            return f"pixels of standard deviation {self.sigma_data:g}"
        low, high = self.value_range
        return f"pixels in [{low:g}, {high:g}]"

    def place(self, i: int) -> str:
        """What training image i is called: by its file, or by its number in the source."""
        at = int(self.train_indices[i])
        return self.names[at] if self.names else str(at)

    @property
    def copies(self) -> tuple[str, ...]:
        """What exact copies the held-out images are or have, a sentence for each kind."""
        found = (
            (
                self.duplicates * (len(self.test) == 0),
                f"{self.duplicates} of {len(self.train)} images, each held out once, have an exact "
                "copy among the others; they are covered at every noise level, as no new image is",
            ),
            (
                self.leaked,
                f"{leaked_sentence(self.leaked, len(self.test))}; they are covered at every noise "
                "level, as no new image is",
            ),
            (
                self.test_duplicates,
                f"{self.test_duplicates} held-out images have an exact copy among the others",
            ),
        )
        return tuple(sentence for count, sentence in found if count)

    @property
    def dimension(self) -> int:
        """Number of values in an image: the paper's d."""
        return math.prod(self.train.shape[1:])

    @property
    def title(self) -> str:
        """The name, with what was chosen of the source and done to it."""
        first = f"first {self.limit}" if self.limit is not None else ""
        gray = "grayscale" if self.grayscale else ""
        size = f"{self.size}x{self.size}" if self.size is not None else ""
        return ", ".join(filter(None, (self.name, " + ".join(self.classes), first, gray, size)))


def load(
    source: str | Path = "digits",
    *,
    train_size: int | None = None,
    test_size: int | None = None,
    value_range: tuple[float, float] | None = None,
    centre: bool = False,
    seed: int = 0,
    classes: str | Sequence[str | int] | None = None,
    limit: int | None = None,
    grayscale: bool = False,
    size: int | None = None,
    cache: str | Path | None = None,
    progress: bool = False,
    as_stored: bool = False,
    whole: bool = False,
) -> DataSet:
    """Read a source of images into a `DataSet`.

    `source` is the string "digits" (scikit-learn's 1,797 images of 8x8) or a path: a folder of
    images, with or without subfolders train/ and test/, or with one for each class; a .zip or .tar
    of images, with their labels in dataset.json or in .cls files; an .npy, .npz, .pt or
    .safetensors file; Parquet or Arrow of Hugging Face, a file or a folder; CIFAR-10 in the binary
    version or the one for Python. Integers 0..255 are mapped to `value_range`, -1 to 1 unless it is
    given; floats must lie in it already. `centre` subtracts the training mean from both parts after
    scaling.

    `classes`, names or numbers, keeps these alone, where the source has labels. `limit` then keeps
    the first images in the order of the source, of each part where it sets test images apart; the
    split draws from these. `grayscale` takes the luma of ITU-R BT.601; `size` crops the central
    square and averages it down to `size` x `size`. `cache` is a folder that keeps the images of
    a folder as read; `progress` shows a bar meanwhile, on a terminal.

    Where the source sets test images apart, each part is a random subset of the source's, by
    default of at most 1,000 images. Otherwise both are drawn from the n images there are: by
    default min(1,000, 0.6 n) for train, and of the rest at most 1,000 for test. The images stand
    in random order, so the first few are a random sample as well. `seed` is that of the split.

    `whole` uses all images that no size is given for. Where the source sets none apart and no
    sizes are given, all are training images in the order of the source, and `test` is empty.

    `as_stored` is for large sets, of which distances alone are wanted: integers stay bytes, neither
    scaled nor centred, those of an `.npy` file stay on disk until they are used, and the training
    images stand in no random order.

    Warns with `DataWarning` where the images look otherwise than they are taken, as floats none
    of which is below 0 in a range from -1. Raises `DataError`, a ValueError of one line, for every
    source or value that cannot be used, and for images that take more memory than
    `wildmiddle.empirical.data.source.memory_limit`.
    """
    seed = as_integer("seed", seed, 0)
    stored = read_stored(
        source,
        value_range=value_range,
        classes=classes,
        limit=limit,
        grayscale=grayscale,
        size=size,
        cache=cache,
        progress=progress,
    )
    pools, kept, labels, value_range = stored.pools, stored.kept, stored.labels, stored.value_range
    train, test = pools[0], pools[-1]
    if len(pools) == 1:
        if whole and train_size is None and test_size is None:
            train_indices = np.arange(len(train))
            test_indices = train_indices[:0]
        else:
            if whole and train_size is None and test_size is not None:
                train_size = max(2, len(train) - test_size)
            train_indices, test_indices = split(len(train), train_size, test_size, seed)
    else:
        if whole and train_size is None:
            train_size = len(train)
        train_indices = subset("train_size", train_size, len(train), 2, [seed, 0])
        test_indices = subset("test_size", test_size, len(test), 1, [seed, 1])
    sha256, unit = stored.sha256, 1.0
    if as_stored and train.dtype.kind in "iu":
        unit, mean = (value_range[1] - value_range[0]) / stored.top, None
        test = test[test_indices].astype(np.uint8)
        train, train_indices = gather_rows(train.astype(np.uint8, copy=False), train_indices)
        copies = _count_copies(train, test)
    else:
        stored.require_memory(len(train_indices) + len(test_indices))
        train = stored.scale(train[train_indices])
        test = stored.scale(test[test_indices])
        copies = _count_copies(train, test)
        mean = train.mean(axis=0) if centre else None
        if mean is not None:
            train -= mean
            test -= mean
        require_resolution(train, None if mean is None else float(np.abs(mean).max()))
    train_indices, test_indices = kept[0][train_indices], kept[-1][test_indices]
    return DataSet(
        name=stored.name,
        train=train,
        test=test,
        value_range=value_range,
        centred=centre,
        train_indices=train_indices,
        test_indices=test_indices,
        sha256=sha256,
        sigma_data=unit * _spread(train),
        duplicates=copies.train,
        classes=stored.classes,
        limit=limit,
        grayscale=grayscale,
        size=size,
        train_labels=None if labels[0] is None else labels[0][train_indices],
        test_labels=None if labels[-1] is None else labels[-1][test_indices],
        mean=mean,
        test_duplicates=copies.test,
        leaked=copies.leaked,
        notes=stored.notes,
        doubts=stored.warn_of_doubts(),
        unit=unit,
        names=stored.file_names[0],
    )


@dataclass(frozen=True, eq=False)
class Images:
    """All images of a source, undivided, in one range.

    `pixels` has shape (N, *shape), float64. `places` name the images: by their file where they come
    from a folder, by their number in the source elsewhere. `set_apart` are the test images, where
    the source itself has some. `sha256`, `notes` and `doubts` are as in `DataSet`, of both parts.
    """

    title: str
    pixels: NDArray[np.float64]
    places: tuple[str, ...]
    value_range: tuple[float, float]
    sha256: str
    notes: tuple[str, ...]
    doubts: tuple[str, ...]
    set_apart: "Images | None" = None

    @classmethod
    def of_samples(cls, samples: NDArray[Any], like: "Images", title: str) -> "Images":
        """Samples (S, C, H, W) that a model drew, in the range and the order of axes of others.

        Values beyond the range are cut, as they are where images are saved.
        """
        low, high = like.value_range
        pixels = np.clip(samples.astype(np.float64), low, high)
        shape = like.pixels.shape[1:]
        if pixels.shape[1:] != shape and len(shape) == 3:
            pixels = np.moveaxis(pixels, 1, -1)
        return cls(
            title=title,
            pixels=pixels.reshape(len(pixels), *shape),
            places=tuple(map(str, range(len(pixels)))),
            value_range=like.value_range,
            sha256=checksum(samples),
            notes=(),
            doubts=(),
        )


def load_images(
    source: str | Path,
    *,
    value_range: tuple[float, float] | None = None,
    classes: str | Sequence[str | int] | None = None,
    limit: int | None = None,
    grayscale: bool = False,
    size: int | None = None,
    cache: str | Path | None = None,
    progress: bool = False,
) -> Images:
    """Read all images of a source, in its order and without a split.

    Arguments, warnings and errors as `load`; one image is enough.
    """
    stored = read_stored(
        source,
        value_range=value_range,
        classes=classes,
        limit=limit,
        grayscale=grayscale,
        size=size,
        cache=cache,
        progress=progress,
        least=1,
    )
    stored.require_memory(sum(map(len, stored.pools)))
    title = ", ".join(filter(None, (stored.name, " + ".join(stored.classes))))
    sides = (title,) if len(stored.pools) == 1 else (f"{title}, train", f"{title}, test")
    sha256, doubts, set_apart = stored.sha256, stored.warn_of_doubts(), None
    for k in reversed(range(len(sides))):
        names = stored.file_names[k]
        set_apart = Images(
            title=sides[k],
            pixels=stored.scale(stored.pools[k]),
            places=tuple(names[at] if names else str(at) for at in stored.kept[k].tolist()),
            value_range=stored.value_range,
            sha256=sha256,
            notes=stored.notes,
            doubts=doubts,
            set_apart=set_apart,
        )
    assert set_apart is not None
    return set_apart


def _spread(images: Pixels) -> float:
    # Standard deviation of all pixels, some images at a time; of bytes from whole numbers.
    parts = range(0, len(images), _PART)
    rows = images.reshape(len(images), -1)
    if rows.dtype == np.uint8:
        squared = (np.square(rows[k : k + _PART], dtype=np.uint16).sum(dtype=int) for k in parts)
        total = sum(int(rows[k : k + _PART].sum(dtype=int)) for k in parts)
        return math.sqrt(rows.size * sum(map(int, squared)) - total**2) / rows.size
    mean = sum(rows[k : k + _PART].sum(dtype=np.float64) for k in parts) / rows.size
    squares = sum(np.square(rows[k : k + _PART] - mean).sum() for k in parts)
    return float(np.sqrt(squares / rows.size))


class _Copies(NamedTuple):
    # Images with an exact copy in their own set, and held-out images that train holds as well.
    train: int
    test: int
    leaked: int


def digests(images: Pixels) -> Iterator[bytes]:
    """SHA-256 of each image's pixels (N, ...): equal images have equal ones."""
    if images.dtype == np.uint8:
        return (hashlib.sha256(image).digest() for image in np.ascontiguousarray(images))
    # Adding 0 makes -0.0 and 0.0, equal pixels, equal bytes.
    zero = images.dtype.type(0)
    return (hashlib.sha256((image + zero).tobytes()).digest() for image in images)


def leaked_sentence(leaked: int, total: int) -> str:
    """What is said where ``leaked`` of the held-out images are training images."""
    return f"{leaked} of {total} held-out images are training images as well"


def _count_copies(train: NDArray[np.float64], test: NDArray[np.float64]) -> _Copies:
    in_train, in_test = Counter(digests(train)), Counter(digests(test))
    return _Copies(
        train=sum(n for n in in_train.values() if n > 1),
        test=sum(n for n in in_test.values() if n > 1),
        leaked=sum(n for image, n in in_test.items() if image in in_train),
    )
