"""Read folders of images in parallel, reduced as they are read, and cache them as one array.

Nothing is written unless a cache folder is named. A cached array bears in its name a hash of the
names, sizes and times of change of the image files and of the options, so that any change leads
to another name; one that cannot be read, or does not hold what it should, is made again.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.resizing import reduce_images
from wildmiddle.empirical.data.source import DataError, Part, Pixels, Source, data_errors
from wildmiddle.empirical.locks import FolderInUse, hold_folder

# No gif: a palette of 256 colours, often animated, is rarely what a study means by an image.
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
# Pillow is held to these decoders, whatever a file claims to be.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_TASK = 16  # images that a thread reads in turn: few enough for a lively progress bar


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
        return Source(_read_part(folder, options))
    return Source(_read_part(train, options), _read_part(test, options))


def _read_part(folder: Path, options: FolderOptions) -> Part:
    paths = _image_paths(folder)[: options.limit]
    if options.cache is None:
        return Part(_read_images(paths, options))
    cached = options.cache / f"images-{_key(paths, options)}.npz"
    images = _read_cached(cached, len(paths))
    if images is None:
        images = _read_images(paths, options)
        _write_cached(cached, images)
    return Part(images)


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
    if not paths:
        raise DataError(f"{folder}: no images; put {', '.join(SUFFIXES)} files into it")
    return paths


def _read_images(paths: Sequence[Path], options: FolderOptions) -> Pixels:
    first = _read_image(paths[0], options)
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
        data_errors(path, "replace the file or move it out of the folder"),
        Image.open(path, formats=_FORMATS) as image,
    ):
        if image.mode not in ("L", "RGB"):
            raise DataError(
                f"{path}: mode {image.mode}; convert it to 8-bit RGB or grayscale (mode L)"
            )
        frames = getattr(image, "n_frames", 1)
        if frames != 1:
            raise DataError(f"{path}: {frames} frames; save each image as a file of its own")
        pixels = np.asarray(image)
    return reduce_images(pixels[None], str(path), grayscale=options.grayscale, size=options.size)[0]


def _size(image: Pixels) -> str:
    height, width = image.shape[:2]
    return f"{width}x{height} {'RGB' if image.ndim == 3 else 'grayscale'}"


def _key(paths: Sequence[Path], options: FolderOptions) -> str:
    import PIL  # its decoders are part of the result

    digest = hashlib.sha256(
        f"1 Pillow {PIL.__version__} {options.grayscale} {options.size}\0".encode()
    )
    for path in paths:
        with data_errors(path, "replace the file or move it out of the folder"):
            entry = path.stat()
        digest.update(os.fsencode(path.name) + f"\0{entry.st_size} {entry.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _read_cached(path: Path, count: int) -> Pixels | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            images = archive["images"]  # zip's CRC-32 is checked on the way
    except Exception:  # no list of what zip and NumPy raise on broken bytes is complete
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
