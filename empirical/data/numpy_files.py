"""Read images and labels from `.npy` and `.npz` files, as stored; nothing is ever unpickled.

The header of every array is read first, by itself: which arrays are read, and whether they fit into
memory, is settled before any memory is asked for. A header that says more or less than the file
holds is refused.
"""

import math
import os
import zipfile
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wildmiddle.empirical.data.source import (
    DataError,
    Part,
    Pixels,
    Source,
    data_errors,
    open_regular,
    require_memory,
)

_REMEDY = "write it again with numpy.save or numpy.savez"
_HEADER = 10_000  # bytes; those that numpy.save writes for images have 128
_IMAGE = 128  # bytes of indices and labels that an image takes besides its pixels
_PACKED = 1032  # bytes at most into which deflate expands one (RFC 1951: 258 from 2 bits)
_ARRAYS = 1_000  # of an .npz file that names none for the images
_LISTED = 8  # arrays that an error lists


@dataclass(frozen=True)
class _Header:
    """Shape, type and length of an array, and of the header itself, in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int
    start: int
    rows_first: bool
    """Whether the pixels of an image stand side by side (C order)."""

    @property
    def memory(self) -> int:
        """Bytes that the array takes, with what each of its rows takes besides."""
        return self.size + _IMAGE * (self.shape[0] if self.shape else 1)


def read_numpy(path: Path, *, labels: bool = False) -> Source:
    """Read an `.npy` array of images, or an `.npz` file of one or two such arrays.

    Of an `.npz` file: the arrays `train` and `test`; else `images`; else the only array with two
    or more dimensions. `train_labels` and `test_labels`, or `labels`, are read too, and with
    `labels` they must not be objects; other arrays are left alone. The pixels of an `.npy` file
    stay on disk until they are used; changes of the array stay in memory. Raises
    `DataError` for object arrays, a file that NumPy cannot read, one that does not fit into memory
    (`wildmiddle.empirical.data.source.memory_limit`), and names that do not settle the choice.
    """
    with data_errors(path, _REMEDY), open_regular(path) as file:
        start = file.read(6)
        stored = os.fstat(file.fileno()).st_size
        if start == b"\x93NUMPY":
            return Source(Part(_read_npy(path, file, stored)), stored=stored)
        if not start.startswith(b"PK"):
            raise DataError(f"{path}: not a NumPy file; {_REMEDY}")
        with zipfile.ZipFile(file) as archive:
            found = _read_npz(path, _Archive(path, archive, stored), labels)
            return replace(found, stored=stored)


def read_array(path: Path, name: str) -> Pixels:
    """One array of an `.npz` file; `DataError` where it cannot be read."""
    with data_errors(path, _REMEDY), open_regular(path) as file, zipfile.ZipFile(file) as archive:
        return _Archive(path, archive, os.fstat(file.fileno()).st_size).array(name)


def _read_npy(path: Path, file: BinaryIO, stored: int) -> Pixels:
    file.seek(0)
    header = _read_header(path, "the array", file)
    _refuse_objects(path, "the array", header)
    held = stored - header.start
    if header.size != held:
        raise DataError(
            f"{path}: its header says {header.size} bytes of pixels, but it holds {held}, so cut "
            f"or changed; {_REMEDY}"
        )
    require_memory(path, header.memory, stored)
    if header.rows_first and header.size:
        return np.memmap(file, header.dtype, "c", header.start, header.shape)
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _read_header(path: Path, which: str, stream: Any) -> _Header:
    content = BytesIO(stream.read(_HEADER))
    version = np.lib.format.read_magic(content)
    if version not in ((1, 0), (2, 0)):  # a third is for names of fields
        raise DataError(f"{path}: {which} is no array of plain numbers; {_REMEDY}")
    read = np.lib.format.read_array_header_1_0
    if version == (2, 0):
        read = np.lib.format.read_array_header_2_0
    shape, columns_first, dtype = read(content, max_header_size=_HEADER)
    if min(shape, default=0) < 0:
        raise DataError(f"{path}: {which} has the shape {shape}; {_REMEDY}")
    # At least a byte each, so that the empty string takes memory too.
    size = math.prod(shape) * max(1, dtype.itemsize)
    return _Header(shape, dtype, size, content.tell(), not columns_first)


class _Archive:
    """The arrays of an `.npz` file by name."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, stored: int) -> None:
        self._path, self._archive, self._stored = path, archive, stored
        self._needed = 0  # bytes of memory for the arrays so far
        names = {entry.filename: entry for entry in archive.infolist()}
        self.members = {
            name.removesuffix(".npy"): entry
            for name, entry in names.items()
            if name.endswith(".npy")
        }

    def header(self, name: str) -> _Header:
        """What an array says of itself; its pixels are not read."""
        entry = self.members[name]
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{self._path}: array '{name}' is packed in no way of NumPy; {_REMEDY}")
        with self._archive.open(entry) as stream:
            header = _read_header(self._path, f"array '{name}'", stream)
        held = entry.file_size - header.start
        if not header.dtype.hasobject and (
            header.size != held
            or entry.file_size > _PACKED * min(entry.compress_size, self._stored)
        ):
            raise DataError(
                f"{self._path}: array '{name}' says {header.size} bytes of pixels, which is not "
                f"what the file holds of it; {_REMEDY}"
            )
        return header

    def array(self, name: str) -> Pixels:
        """An array, read once it is known to fit into memory beside those read before."""
        header = self.header(name)
        _refuse_objects(self._path, f"array '{name}'", header)
        self._needed += header.memory
        require_memory(self._path, self._needed, self._stored)
        with self._archive.open(self.members[name]) as stream:  # its CRC-32 is checked on the way
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _read_npz(path: Path, archive: _Archive, labels: bool) -> Source:
    def part(name: str, its_labels: str) -> Part:
        images = archive.array(name)
        if its_labels not in names:
            return Part(images)
        try:
            return Part(images, archive.array(its_labels))
        except DataError:
            if labels:
                raise
            return Part(images)  # nobody asked for them

    names = archive.members
    if "train" in names and "test" in names:
        return Source(part("train", "train_labels"), part("test", "test_labels"))
    if "images" in names:
        return Source(part("images", "labels"))
    if len(names) > _ARRAYS:
        raise DataError(
            f"{path}: {len(names)} arrays; name two of them train and test, or one images"
        )
    headers = {name: archive.header(name) for name in names}
    choice = [name for name in names if len(headers[name].shape) >= 2]
    for name in choice:
        _refuse_objects(path, f"array '{name}'", headers[name])
    if len(choice) != 1:
        first = islice(headers.items(), _LISTED)
        listed = ", ".join(f"{name[:80]} {header.shape}" for name, header in first)
        more = ", ..." if len(headers) > _LISTED else ""
        raise DataError(
            f"{path}: {len(choice)} arrays could be the images, of {listed or 'no arrays'}{more}; "
            "name two of them train and test, or one images"
        )
    # arr_0 and arr_1 are the images and the labels of samples by OpenAI's guided-diffusion.
    labels_of = {"train": "train_labels", "arr_0": "arr_1"}
    return Source(part(choice[0], labels_of.get(choice[0], "labels")))


def _refuse_objects(path: Path, which: str, header: _Header) -> None:
    if header.dtype.hasobject:
        raise DataError(
            f"{path}: {which} holds Python objects, refused because loading them can run code; "
            "save the images as one uint8 or float array"
        )
