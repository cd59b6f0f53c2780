"""Read CIFAR-10 (Krizhevsky 2009) in its binary version: archive, folder or one batch file.

A record is one label byte and 3,072 pixel bytes, the 32x32 red, green and blue planes in turn.
The archive is read in memory and by expected names only; no path in it reaches the disk. The
version for Python is a set of pickles, which run code when opened, and is refused.
"""

import gzip
import posixpath
import tarfile
from pathlib import Path

import numpy as np

from empirical.image_files import DataError, Parts, Pixels, reading

FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = "test_batch.bin"
_RECORD = 1 + 3 * 32 * 32
_BATCH = 10_000 * _RECORD  # the size of a full batch: bounds what an archive can make us read
_PICKLE_FOLDER = "cifar-10-batches-py"
_AGAIN = "download cifar-10-binary.tar.gz again"


def is_cifar(path: Path) -> bool:
    """Whether a path is for this module, by its name or by the files in the folder."""
    if path.is_dir():
        return path.name == FOLDER or _is_pickled(path) or bool(_folder_batches(path))
    return _is_pickled(path) or path.name.lower().endswith((".bin", ".tar.gz", ".tgz"))


def read_cifar(path: Path) -> Parts:
    """Read CIFAR-10 images as uint8 arrays of shape (N, 32, 32, 3); labels are checked, not kept.

    The archive and the folder give the official split and must hold all six batches, of any
    number of records; one batch file gives no split. Raises `DataError` naming the file for a
    missing, cut or foreign batch, and for the version for Python.
    """
    if _is_pickled(path):
        raise _refusal(path)
    if path.is_dir():
        batches = {name: file.read_bytes() for name, file in _folder_batches(path).items()}
    elif path.suffix.lower() == ".bin":
        return _records(path.read_bytes(), str(path)), None
    else:
        batches = _archive_batches(path)
    missing = [name for name in (*TRAIN, TEST) if name not in batches]
    if missing:
        raise DataError(f"{path}: holds no {', '.join(missing)} of {FOLDER}; {_AGAIN}")
    images = {name: _records(data, f"{path}: {name}") for name, data in batches.items()}
    return np.concatenate([images[name] for name in TRAIN]), images[TEST]


def _folder_batches(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in (*TRAIN, TEST) if (folder / name).is_file()}


def _archive_batches(path: Path) -> dict[str, bytes]:
    expected = {f"{FOLDER}/{name}": name for name in (*TRAIN, TEST)}
    batches = {}
    with (
        reading(path, _AGAIN),
        gzip.open(path) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        for member in archive:
            member_name = posixpath.normpath(member.name)
            if member_name.split("/")[0] == _PICKLE_FOLDER:
                raise _refusal(path)
            name = expected.get(member_name)
            if name is None or not member.isreg():
                continue
            if member.size > _BATCH:
                raise DataError(
                    f"{path}: {name} has {member.size} bytes, more than a batch; {_AGAIN}"
                )
            content = archive.extractfile(member)
            assert content is not None  # a regular file
            batches[name] = content.read()
        # The checksum stands at the very end, behind the padding that tarfile leaves unread.
        while stream.read(1 << 20):
            pass
    return batches


def _records(data: bytes, label: str) -> Pixels:
    if not data or len(data) % _RECORD:
        raise DataError(
            f"{label}: {len(data)} bytes, not a multiple of {_RECORD} (a label and 3072 pixels), "
            f"so cut or not CIFAR-10 binary; {_AGAIN}"
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, _RECORD)
    wrong = np.flatnonzero(records[:, 0] > 9)
    if wrong.size:
        raise DataError(
            f"{label}: label {records[wrong[0], 0]} in record {wrong[0]} is over 9, so not "
            f"CIFAR-10 binary; {_AGAIN}"
        )
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _is_pickled(path: Path) -> bool:
    if path.is_dir():
        return path.name == _PICKLE_FOLDER
    batches = [posixpath.splitext(name)[0] for name in (*TRAIN, TEST)]
    return path.name in batches or path.suffix.lower() in (".pkl", ".pickle")


def _refusal(path: Path) -> DataError:
    return DataError(
        f"{path}: a Python pickle, refused because opening it can run code; use the binary "
        "version of CIFAR-10, cifar-10-binary.tar.gz, or save the images as .npz"
    )
