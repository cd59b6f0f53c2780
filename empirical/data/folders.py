"""Read folders of images in parallel, reduced as they are read, and cache them as one array.

Nothing is written unless a cache folder is named. A cached array bears in its name a hash of the
names and bytes of the image files and of the options, so that any change leads to another name;
one that cannot be read, or does not hold what it should, is made again. Times and sizes would not
do: two files may agree in both. To read and hash the bytes takes a small part of the time that
decoding takes.

A file is read whole and decoded from memory, once its header shows that the image is not too large.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.numpy_files import read_array
from wildmiddle.empirical.data.resizing import reduce_images
from wildmiddle.empirical.data.source import (
    DataError,
    Part,
    Pixels,
    Source,
    data_errors,
    irregular,
    open_regular,
    require_memory,
)
from wildmiddle.empirical.locks import FolderInUse, hold_folder
from wildmiddle.theory.constants import DEFAULT_MEMORY

# No gif: a palette of 256 colours, often animated, is rarely what a study means by an image.
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
# Pillow is held to these decoders, whatever a file claims to be.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_TASK = 16  # images that a thread reads in turn: few enough for a lively progress bar
# Decoding holds up to 16 bytes for a pixel: no image has more pixels than these, nor all those that
# are decoded at a time. Each scan of a progressive JPEG, of ten or so, goes over all pixels.
_PIXELS = DEFAULT_MEMORY // 16
_SCANNED = 16 * _PIXELS
_REMEDY = "replace the file or move it out of the folder"


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """How a folder is read: the first `limit` images of each part, in grayscale, `size` x `size`.

    `cache` is the folder for cached arrays, `progress` asks for a bar where stderr is a terminal.
    """

    limit: int | None = None
    grayscale: bool = False
    size: int | None = None
    cache: Path | None = None
    progress: bool = False


def read_folder(folder: Path, options: FolderOptions) -> Source:
    """Read a folder of images in the order of their names.

    Subfolders `train` and `test`, if both exist, are the two parts, and nothing else in the
    folder is read. Grayscale images give shape (N, H, W), RGB images (N, H, W, 3), uint8. Hidden
    files are skipped. Raises `DataError` for an empty folder, any other file or subfolder, an
    unreadable image, images that differ in size or mode after `options`, and a cache folder that
    cannot be written.
    """
    train, test = folder / "train", folder / "test"
    if not (train.is_dir() and test.is_dir()):
        return Source(_read_part(folder, options), stored=_stored(folder))
    stored = _stored(train) + _stored(test)
    return Source(_read_part(train, options), _read_part(test, options), stored=stored)


def _read_part(folder: Path, options: FolderOptions) -> Part:
    paths = _image_paths(folder)[: options.limit]
    names = tuple(path.name for path in paths)
    if options.cache is None:
        return Part(_read_images(paths, options), names=names)
    key = _key(paths, options)
    cached = options.cache / f"images-{key}.npz"
    images = _read_cached(cached, len(paths))
    if images is None:
        images = _read_images(paths, options)
        if _key(paths, options) == key:  # else a file has changed meanwhile
            _write_cached(cached, images)
    return Part(images, names=names)


def _image_paths(folder: Path) -> list[Path]:
    paths = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    for path in paths:
        # Skipped in silence, these would change N, on which every bound depends.
        if path.is_dir():
            raise DataError(
                f"{path}: a subfolder among the images; give one flat folder, or exactly the two "
                "subfolders train/ and test/"
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


def _stored(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _read_images(paths: Sequence[Path], options: FolderOptions) -> Pixels:
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", DecompressionBombWarning)  # for too many pixels
        return _decode(paths, options)


def _decode(paths: Sequence[Path], options: FolderOptions) -> Pixels:
    first = _read_image(paths[0], options)
    folder = paths[0].parent
    require_memory(folder, first.nbytes * len(paths), _stored(folder))
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    images[0] = first

    def read(start: int) -> int:
        task = range(start, min(start + _TASK, len(paths)))
        for i in task:
            image = _read_image(paths[i], options)
            if image.shape != first.shape:
                raise DataError(
                    f"{paths[i]}: {_size(image)}, but {paths[0].name} is {_size(first)}; bring all "
                    "images to one size and mode, or let --size and --grayscale do it"
                )
            images[i] = image
        return len(task)

    # Threads: Pillow decodes and NumPy sums outside Python's lock. The results come in order, so
    # the first broken file in the order of names is the one that is reported.
    with ThreadPoolExecutor() as pool, _bar(len(paths), options) as advance:
        advance(1)
        for done in pool.map(read, range(1, len(paths), _TASK)):
            advance(done)
    return images


@contextmanager
def _bar(total: int, options: FolderOptions) -> Iterator[Callable[[int], object]]:
    from tqdm import tqdm

    # disable=None: shown on a terminal only.
    off = None if options.progress else True
    with tqdm(total=total, unit=" images", leave=False, disable=off) as bar:
        yield bar.update


def _read_image(path: Path, options: FolderOptions) -> NDArray[np.uint8]:
    from PIL import Image  # here, so that the other sources do without Pillow

    with (
        data_errors(path, _REMEDY),
        open_regular(path) as file,
        # From memory: what a damaged file says of its length is never asked for.
        io.BytesIO(file.read(min(os.fstat(file.fileno()).st_size, DEFAULT_MEMORY))) as content,
        Image.open(content, formats=_FORMATS) as image,
    ):
        if image.mode not in ("L", "RGB"):
            raise DataError(
                f"{path}: mode {image.mode}; convert it to 8-bit RGB or grayscale (mode L)"
            )
        if image.format == "PNG" and any(";16" in str(tile[3]) for tile in image.tile):
            # Pillow would keep the high byte of each value alone.
            raise DataError(
                f"{path}: 16 bits a channel; convert it to 8 bits, or give floats as .npz in the "
                "range of --range"
            )
        frames = getattr(image, "n_frames", 1)
        if frames != 1:
            raise DataError(f"{path}: {frames} frames; save each image as a file of its own")
        count = image.width * image.height
        scans = _count_scans(file) if image.format == "JPEG" else 1
        if count > _PIXELS or count * scans > _SCANNED:
            raise DataError(
                f"{path}: {image.width}x{image.height} pixels in {scans} scans, too many; "
                f"save it again with at most {_PIXELS} pixels, a JPEG as baseline"
            )
        with _in_hand.take(count):
            pixels = np.asarray(image)[None]
            return reduce_images(pixels, str(path), grayscale=options.grayscale, size=options.size)[
                0
            ]


def _count_scans(file: BinaryIO) -> int:
    """How often the mark of a new scan stands in a JPEG."""
    file.seek(0)
    count, last = 0, b""
    while chunk := file.read(1 << 20):
        count += (last + chunk).count(b"\xff\xda")
        last = chunk[-1:]
    return count


class _Budget:
    """Pixels that all threads together may decode at a time."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._changed = Condition()

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Wait until so many are left; they are given back at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._left >= count)
            self._left -= count
        try:
            yield
        finally:
            with self._changed:
                self._left += count
                self._changed.notify_all()


_in_hand = _Budget(_PIXELS)


def _size(image: Pixels) -> str:
    height, width = image.shape[:2]
    return f"{width}x{height} {'RGB' if image.ndim == 3 else 'grayscale'}"


def _key(paths: Sequence[Path], options: FolderOptions) -> str:
    import PIL  # its decoders are part of the result

    def digest_of(path: Path) -> bytes:
        with data_errors(path, _REMEDY), open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").digest()

    digest = hashlib.sha256(
        f"2 Pillow {PIL.__version__} {options.grayscale} {options.size}\0".encode()
    )
    with ThreadPoolExecutor() as pool:
        for path, content in zip(paths, pool.map(digest_of, paths), strict=True):
            digest.update(os.fsencode(path.name) + b"\0" + content)
    return digest.hexdigest()


def _read_cached(path: Path, count: int) -> Pixels | None:
    if not path.is_file():
        return None
    try:
        images = read_array(path, "images")
    except DataError:
        return None
    fits = images.dtype == np.uint8 and images.ndim in (3, 4) and len(images) == count
    return images if fits else None


def _write_cached(path: Path, images: Pixels) -> None:
    with data_errors(path.parent, "name a folder for --cache that can be written"):
        try:
            with hold_folder(path.parent):
                for left in path.parent.glob("images-*.partial"):  # by a run that was killed
                    left.unlink()
                partial = path.with_suffix(".partial")
                try:
                    with partial.open("wb") as file:
                        np.savez(file, images=images)
                    os.replace(partial, path)
                finally:
                    partial.unlink(missing_ok=True)
        except FolderInUse:
            return  # another run fills the cache: this one does without
