"""Read CIFAR-10 (Krizhevsky 2009), binary or for Python: archive, folder or one batch file.

A binary record is one label byte and 3,072 pixel bytes, the 32x32 red, green and blue planes in
turn. A batch for Python is a pickled dict of the same rows and a list of labels; it is read by
`wildmiddle.empirical.data.pickles`, which runs nothing. Archives are read in memory and by expected
names only (`wildmiddle.empirical.data.archives`); no path in them reaches the disk.

What bears an official name must be the official file: the archives and the batches for Python have
published MD5 sums, a binary batch 10,000 records. Smaller sets pass under any other name.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.archives import members
from wildmiddle.empirical.data.pickles import read_pickle
from wildmiddle.empirical.data.source import (
    DataError,
    Part,
    Pixels,
    Source,
    data_errors,
    open_regular,
)
from wildmiddle.theory.constants import DEFAULT_MEMORY

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_PIXELS = 3 * 32 * 32
_RECORD = 1 + _PIXELS
_BATCH = 10_000 * _RECORD
_RENAME = "rename the file or folder if the change is yours"


@dataclass(frozen=True, kw_only=True)
class Version:
    """One of the two published versions, and how a batch of it becomes images and labels."""

    archive: str
    md5: str
    """Of the archive, as published on the page of the data set."""
    folder: str
    train: tuple[str, ...]
    test: str
    batch_md5: Mapping[str, str]
    """Of single batches; empty where none are published."""
    batch_size: int | None
    """Bytes of a batch, where all have as many."""
    most: int
    """Bytes that no batch exceeds: bounds what an archive can make us read."""
    decode: Callable[[bytes, str], Part]

    @property
    def batches(self) -> tuple[str, ...]:
        """The names of all six batches."""
        return (*self.train, self.test)

    @property
    def remedy(self) -> str:
        """What to do about a broken file."""
        return f"download {self.archive} again"


def is_cifar(path: Path) -> bool:
    """Whether a path is for this module, by its name or by the files in the folder."""
    if path.is_dir():
        return any(path.name == v.folder or _folder_batches(path, v) for v in VERSIONS)
    return path.name in PYTHON.batches or path.name.lower().endswith((".bin", ".tar.gz", ".tgz"))


def read_cifar(path: Path) -> Source:
    """Read CIFAR-10: images uint8 (N, 32, 32, 3), labels (N,), the names of the classes.

    The archive and the folder give the official split and must hold all six batches; one batch
    file gives no split. Raises `DataError` naming the file for a missing, cut, changed or foreign
    batch, and for a pickle that holds or asks for anything else.
    """
    if path.is_dir():
        version, batches = _read_folder(path)
    elif path.suffix.lower() == ".bin" or path.name in PYTHON.batches:
        version = BINARY if path.suffix.lower() == ".bin" else PYTHON
        return Source(_read_batch(path, version), class_names=CLASSES)
    else:
        version, batches = _read_archive(path)
    missing = [name for name in version.batches if name not in batches]
    if missing:
        raise DataError(
            f"{path}: holds no {', '.join(missing)} of {version.folder}; {version.remedy}"
        )
    parts = [batches[name] for name in version.train]
    train = Part(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts if part.labels is not None]),
    )
    return Source(train, batches[version.test], CLASSES)


def md5_sum(content: bytes | Path) -> str:
    """The MD5 sum of a file, or of the bytes of one, in hexadecimal digits."""
    with open_regular(content) if isinstance(content, Path) else BytesIO(content) as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def verify_md5(content: bytes | Path, expected: str, label: str, remedy: str) -> None:
    """Refuse a file, or the bytes of one, with another MD5 sum than the official one."""
    found = md5_sum(content)
    if found != expected:
        raise DataError(
            f"{label}: MD5 {found}, officially {expected}, so cut or changed; {remedy}, or "
            f"{_RENAME}"
        )


def _remedy(path: Path) -> str:
    for version in VERSIONS:
        if path.name in (version.archive, version.folder):
            return version.remedy
    return BINARY.remedy


def _folder_batches(folder: Path, version: Version) -> dict[str, Path]:
    return {name: folder / name for name in version.batches if (folder / name).is_file()}


def _read_folder(folder: Path) -> tuple[Version, dict[str, Part]]:
    # Of the official name where it has one; else of the version of which there is more.
    named = [version for version in VERSIONS if version.folder == folder.name]
    version = max(named or VERSIONS, key=lambda v: len(_folder_batches(folder, v)))
    batches = _folder_batches(folder, version)
    return version, {name: _read_batch(path, version) for name, path in batches.items()}


def _read_batch(path: Path, version: Version) -> Part:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > DEFAULT_MEMORY:
            raise DataError(
                f"{path}: more than {DEFAULT_MEMORY} bytes, so no batch; {version.remedy}"
            )
        content = file.read(size)
    if path.resolve().parent.name == version.folder and path.name in version.batches:
        if version.batch_size not in (None, len(content)):
            raise DataError(
                f"{path}: {len(content)} bytes, officially {version.batch_size}, so cut or "
                f"changed; {version.remedy}, or {_RENAME}"
            )
        if path.name in version.batch_md5:
            verify_md5(content, version.batch_md5[path.name], str(path), version.remedy)
    return version.decode(content, str(path))


def _read_archive(path: Path) -> tuple[Version, dict[str, Part]]:
    for version in VERSIONS:
        if path.name == version.archive:
            verify_md5(path, version.md5, str(path), version.remedy)
    contents = _archive_contents(path)
    version = max(VERSIONS, key=lambda v: len(contents[v.folder]))
    batches = contents[version.folder]
    return version, {
        name: version.decode(data, f"{path}: {name}") for name, data in batches.items()
    }


def _archive_contents(path: Path) -> dict[str, dict[str, bytes]]:
    expected = {f"{v.folder}/{name}": (v, name) for v in VERSIONS for name in v.batches}
    contents: dict[str, dict[str, bytes]] = {version.folder: {} for version in VERSIONS}
    # Both versions whole, and a little besides: files that users pack with them.
    limit = sum(v.most * len(v.batches) for v in VERSIONS) + (1 << 20)
    with data_errors(path, _remedy(path)), open_regular(path) as file:
        for member in members(file, limit):
            version, name = expected.get(member.name, (None, ""))
            if version is None:
                continue
            if member.size > version.most:
                raise DataError(
                    f"{path}: {name} has {member.size} bytes, more than a batch; {version.remedy}"
                )
            contents[version.folder][name] = member.read()
    return contents


def _decode_binary(data: bytes, label: str) -> Part:
    if not data or len(data) % _RECORD:
        raise DataError(
            f"{label}: {len(data)} bytes, not a multiple of {_RECORD} (a label and 3072 pixels), "
            f"so cut or not CIFAR-10 binary; {BINARY.remedy}"
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    _check_labels(labels, label, BINARY)
    return Part(_images(records[:, 1:]), labels)


def _decode_python(data: bytes, label: str) -> Part:
    content = read_pickle(data, label, PYTHON.remedy)
    rows, labels = content.get(b"data"), content.get(b"labels")
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != _PIXELS:
        shape = rows.shape if isinstance(rows, np.ndarray) else "none"
        raise DataError(
            f"{label}: no array of rows of 3072 bytes under 'data' (its shape: {shape}), so not "
            f"CIFAR-10 for Python; {PYTHON.remedy}"
        )
    if type(labels) is not list or any(type(entry) is not int for entry in labels):
        raise DataError(f"{label}: no list of integers under 'labels'; {PYTHON.remedy}")
    if not labels or len(labels) != len(rows):
        raise DataError(
            f"{label}: {len(labels)} labels for {len(rows)} images, so changed; {PYTHON.remedy}"
        )
    numbers = np.array(labels, dtype=np.int64)
    _check_labels(numbers, label, PYTHON)
    return Part(_images(rows), numbers)


def _images(rows: NDArray[np.uint8]) -> Pixels:
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _check_labels(labels: NDArray[np.int64], label: str, version: Version) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels > 9))
    if wrong.size:
        raise DataError(
            f"{label}: label {labels[wrong[0]]} in record {wrong[0]} is not in 0..9, so not "
            f"CIFAR-10; {version.remedy}"
        )


_NAMES = tuple(f"data_batch_{i}" for i in range(1, 6))

BINARY = Version(
    archive="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    train=tuple(f"{name}.bin" for name in _NAMES),
    test="test_batch.bin",
    batch_md5={},
    batch_size=_BATCH,
    most=_BATCH,
    decode=_decode_binary,
)
PYTHON = Version(
    archive="cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    folder="cifar-10-batches-py",
    train=_NAMES,
    test="test_batch",
    batch_md5={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    batch_size=None,
    most=_BATCH + 10_000 * 100,  # the names of the image files, some 30 bytes each
    decode=_decode_python,
)
VERSIONS = (BINARY, PYTHON)
