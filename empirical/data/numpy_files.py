"""Read images and labels from `.npy` and `.npz` files, as stored; nothing is ever unpickled."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from wildmiddle.empirical.data.source import DataError, Part, Pixels, Source, data_errors


def read_numpy(path: Path, *, labels: bool = False) -> Source:
    """Read an `.npy` array of images, or an `.npz` file of one or two such arrays.

    Of an `.npz` file: the arrays `train` and `test`; else `images`; else the only array with two
    or more dimensions. `train_labels` and `test_labels`, or `labels`, are read too, and with
    `labels` they must not be objects; other arrays are left alone. Raises `DataError` for object
    arrays, a file that NumPy cannot read, and names that do not settle the choice.
    """
    remedy = "write it again with numpy.save or numpy.savez"
    # Opened here, since numpy.load leaves the file open when an .npz file is broken.
    with data_errors(path, remedy), path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        # NumPy answers any other bytes with the advice to unpickle them: do not pass that on.
        if start != b"\x93NUMPY" and not start.startswith(b"PK"):
            raise DataError(f"{path}: not a NumPy file; {remedy}")
        with _no_objects(path, "the array"):
            loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return Source(Part(loaded))
        with loaded:
            return _read_npz(path, loaded, labels)


def _read_npz(path: Path, archive: Mapping[str, Any], labels: bool) -> Source:
    def array(name: str) -> Pixels:
        with _no_objects(path, f"array '{name}'"):
            return np.asarray(archive[name])

    def part(name: str, its_labels: str) -> Part:
        images = array(name)
        if its_labels not in archive:
            return Part(images)
        try:
            return Part(images, array(its_labels))
        except DataError:
            if labels:
                raise
            return Part(images)  # nobody asked for them

    if "train" in archive and "test" in archive:
        return Source(part("train", "train_labels"), part("test", "test_labels"))
    if "images" in archive:
        return Source(part("images", "labels"))
    arrays = {name: array(name) for name in archive}
    choice = [name for name in arrays if arrays[name].ndim >= 2]
    if len(choice) != 1:
        listed = ", ".join(f"{name} {arrays[name].shape}" for name in arrays) or "no arrays"
        raise DataError(
            f"{path}: {len(choice)} arrays could be the images, of {listed}; name two of them "
            "train and test, or one images"
        )
    return Source(part(choice[0], f"{choice[0]}_labels" if choice[0] == "train" else "labels"))


@contextmanager
def _no_objects(path: Path, which: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"{path}: {which} holds Python objects, refused because loading them can run code; "
            "save the images as one uint8 or float array"
        ) from error
