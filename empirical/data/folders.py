"""Read folders of images, and cache them as one array.

Nothing is written unless a cache folder is named. A cached array bears in its name a hash of the
names and bytes of the image files and of the options, so that any change leads to another name;
one that cannot be read, or does not hold what it should, is made again. Times and sizes would not
do: two files may agree in both. To read and hash the bytes takes a small part of the time that
decoding takes.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from wildmiddle.empirical.data.decoding import (
    REMEDY,
    SUFFIXES,
    Decoded,
    ImageFile,
    ReadOptions,
    decode,
)
from wildmiddle.empirical.data.numpy_files import read_array
from wildmiddle.empirical.data.source import (
    DataError,
    Part,
    Source,
    data_errors,
    irregular,
    open_regular,
)
from wildmiddle.empirical.locks import FolderInUse, hold_folder
from wildmiddle.theory.constants import DEFAULT_MEMORY

_BESIDE = ("metadata.jsonl", "metadata.csv", "thumbs.db", "desktop.ini")
"""Files beside the images of a folder of the Hugging Face Hub, and those that Windows adds."""


def read_folder(folder: Path, options: ReadOptions) -> Source:
    """Read a folder of images in the order of their names.

    Subfolders `train` and `test`, if both exist, are the two parts, and nothing else in the
    folder is read. A part whose entries are all subfolders has a class in each, named by it.
    Grayscale images give shape (N, H, W), RGB images (N, H, W, 3), uint8. Hidden files are skipped,
    and captions as a folder of the Hub has them, `metadata.jsonl`. Raises `DataError` for an empty
    folder, any other file or subfolder, an unreadable image, images that differ in size or mode
    after `options`, and a cache folder that cannot be written.
    """
    train, test = folder / "train", folder / "test"
    if not (train.is_dir() and test.is_dir()):
        return _read_part(folder, options)
    first, second = _read_part(train, options), _read_part(test, options)
    assert first.stored is not None
    assert second.stored is not None
    return Source(
        first.train,
        second.train,
        stored=first.stored + second.stored,
        doubts=first.doubts + second.doubts,
    )


def _read_part(folder: Path, options: ReadOptions) -> Source:
    every = _image_paths(folder)
    stored = sum(path.stat().st_size for path in every)
    # Of classes, all are read, since they are chosen before the limit counts.
    classes = every[0].parent != folder
    paths = every if classes else every[: options.limit]
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    labels = np.array([path.parent.name for path in paths]) if classes else None
    found = None
    cached = None
    if options.cache is not None:
        key = _key(paths, options)
        cached = options.cache / f"images-{key}.npz"
        found = _read_cached(cached, len(paths))
    if found is None:
        found = decode([_file(path) for path in paths], options, folder, stored)
        if cached is not None and _key(paths, options) == key:  # else a file has changed meanwhile
            _write_cached(cached, found)
    return Source(Part(found.images, labels, names), stored=stored, doubts=found.doubts)


def _file(path: Path) -> ImageFile:
    return ImageFile(path.name, str(path), partial(_read_bytes, path))


def _read_bytes(path: Path) -> bytes:
    # What a damaged file says of its length is never asked for.
    with open_regular(path) as file:
        return file.read(min(os.fstat(file.fileno()).st_size, DEFAULT_MEMORY))


def _image_paths(folder: Path) -> list[Path]:
    entries = _entries(folder)
    if entries and all(path.is_dir() for path in entries):
        if any(path.name in ("train", "test") for path in entries):
            raise DataError(
                f"{folder}: subfolders {', '.join(path.name for path in entries[:9])}; give "
                "exactly train/ and test/, or the folder of one part"
            )
        return [path for entry in entries for path in _flat(entry)]
    return _flat(folder)


def _entries(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _BESIDE
    )


def _flat(folder: Path) -> list[Path]:
    paths = _entries(folder)
    for path in paths:
        # Skipped in silence, these would change N, on which every bound depends.
        if path.is_dir():
            raise DataError(
                f"{path}: a subfolder among the images; give one flat folder, one of subfolders "
                "that are the classes, or exactly the two subfolders train/ and test/"
            )
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(
                f"{path}: not one of {', '.join(SUFFIXES)}; convert it or move it out of the folder"
            )
        if not path.is_file():
            raise DataError(irregular(path))
    if not paths:
        raise DataError(f"{folder}: no images; put {', '.join(SUFFIXES)} files into it")
    return paths


def _key(paths: Sequence[Path], options: ReadOptions) -> str:
    import PIL  # its decoders are part of the result

    def digest_of(path: Path) -> bytes:
        with data_errors(path, REMEDY), open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").digest()

    digest = hashlib.sha256(
        f"3 Pillow {PIL.__version__} {options.grayscale} {options.size}\0".encode()
    )
    with ThreadPoolExecutor() as pool:
        for path, content in zip(paths, pool.map(digest_of, paths), strict=True):
            digest.update(os.fsencode(path.name) + b"\0" + content)
    return digest.hexdigest()


def _read_cached(path: Path, count: int) -> Decoded | None:
    if not path.is_file():
        return None
    try:
        images, turned = read_array(path, "images"), read_array(path, "turned")
    except DataError:
        return None
    fits = images.dtype == np.uint8 and images.ndim in (3, 4) and len(images) == count
    fits = fits and turned.shape == () and turned.dtype.kind == "i"
    return Decoded(images, int(turned)) if fits else None


def _write_cached(path: Path, found: Decoded) -> None:
    with data_errors(path.parent, "name a folder for --cache that can be written"):
        try:
            with hold_folder(path.parent):
                for left in path.parent.glob("images-*.partial"):  # by a run that was killed
                    left.unlink()
                partial = path.with_suffix(".partial")
                try:
                    with partial.open("wb") as file:
                        np.savez(file, images=found.images, turned=found.turned)
                    os.replace(partial, path)
                finally:
                    partial.unlink(missing_ok=True)
        except FolderInUse:
            return  # another run fills the cache: this one does without
