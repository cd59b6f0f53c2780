"""Read image files in one archive: a zip such as EDM's data sets, or a tar such as WebDataset's.

The images are read one by one from the archive, which is never unpacked as a whole.
"""

import json
import os
import posixpath
import zipfile
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.archives import index_tar
from wildmiddle.empirical.data.decoding import REMEDY, SUFFIXES, ImageFile, ReadOptions, decode
from wildmiddle.empirical.data.source import DataError, Part, Source, data_errors, open_regular
from wildmiddle.theory.constants import DEFAULT_MEMORY

_LABELS = "dataset.json"
_LARGEST = DEFAULT_MEMORY // 4  # bytes of a file in the archive, or of its labels
_PACKED = 1032  # bytes at most into which deflate expands one (RFC 1951: 258 from 2 bits)


def read_zip(path: Path, options: ReadOptions) -> Source:
    """Read the images of a zip in the order of their names; ``dataset.json`` has the labels.

    Its ``labels`` are pairs of a name and an integer, or null. Raises `DataError` for any other
    file, for one that is too large, and for what `decode` refuses.
    """
    with data_errors(path, "make the zip again"), open_regular(path) as file:
        stored = os.fstat(file.fileno()).st_size
        with zipfile.ZipFile(file) as archive:
            entries = sorted(
                (e for e in archive.infolist() if not _hidden(e.filename)),
                key=lambda entry: entry.filename,
            )
            for entry in entries:
                if entry.file_size > min(_LARGEST, _PACKED * min(entry.compress_size, stored)):
                    raise DataError(f"{path}: {entry.filename} says {entry.file_size} bytes")
            _require_images(path, [e.filename for e in entries if e.filename != _LABELS])
            images = [entry for entry in entries if entry.filename != _LABELS]
            labels = None
            if len(images) < len(entries):
                labels = _labels(path, archive.read(_LABELS), [e.filename for e in images])
            images = images if labels is not None else images[: options.limit]
            files = [
                ImageFile(e.filename, f"{path}: {e.filename}", partial(archive.read, e))
                for e in images
            ]
            found = decode(files, options, path, stored)
    names = tuple(entry.filename for entry in images)
    return Source(Part(found.images, labels, names), stored=stored, doubts=found.doubts)


def read_tar(path: Path, options: ReadOptions) -> Source:
    """Read the images of an unpacked tar in their order; files NAME.cls hold the labels.

    Other files, such as captions, are left alone. Raises `DataError` for a packed tar, one without
    images, and for what `decode` refuses.
    """
    with data_errors(path, "make the tar again"), open_regular(path) as file:
        stored = os.fstat(file.fileno()).st_size
        if file.read(2) == b"\x1f\x8b":
            raise DataError(f"{path}: a packed tar, which can only be read in order; gunzip it")
        places = {name: (at, size) for name, at, size in index_tar(file) if not _hidden(name)}
        names = [name for name in places if name.lower().endswith(SUFFIXES)]
        _require_images(path, names)
        classes = {name: posixpath.splitext(name)[0] + ".cls" for name in names}
        labels = None
        if all(other in places for other in classes.values()):
            labels = np.array([_number(path, file, *places[classes[name]]) for name in names])
        else:
            names = names[: options.limit]
        files = [
            ImageFile(name, f"{path}: {name}", partial(_read_at, file, *places[name]))
            for name in names
        ]
        found = decode(files, options, path, stored)
    return Source(Part(found.images, labels, tuple(names)), stored=stored, doubts=found.doubts)


def _hidden(name: str) -> bool:
    # Folders, and what systems add: .DS_Store, __MACOSX/.
    return name.endswith("/") or any(part[:1] in (".", "_") for part in name.split("/"))


def _require_images(path: Path, names: list[str]) -> None:
    for name in names:
        if not name.lower().endswith(SUFFIXES):
            raise DataError(f"{path}: {name} is not one of {', '.join(SUFFIXES)}; {REMEDY}")
    if not names:
        raise DataError(f"{path}: no images; put {', '.join(SUFFIXES)} files into it")


def _labels(path: Path, content: bytes, names: list[str]) -> NDArray[Any] | None:
    try:
        pairs = json.loads(content)["labels"]
        if pairs is None:
            return None
        known = {str(name): int(label) for name, label in pairs}
        return np.array([known[name] for name in names])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: {_LABELS} does not name a label for each image ({error!r}); write it again, "
            "or leave it out"
        ) from error


def _read_at(file: BinaryIO, start: int, size: int) -> bytes:
    # By position: several threads read from one file.
    if size > _LARGEST:
        raise DataError(f"{size} bytes; at most {_LARGEST} are read")
    return os.pread(file.fileno(), size, start)


def _number(path: Path, file: BinaryIO, start: int, size: int) -> int:
    try:
        return int(_read_at(file, start, min(size, 20)))
    except ValueError as error:
        raise DataError(f"{path}: a .cls file holds no whole number") from error
