"""Read images from folders and NumPy files, as stored: no scaling, no split, nothing written.

Every reader gives `(train, test)`, arrays of shape (N, *shape) and (M, *shape); `test` is None
where the source does not set test images apart. Nothing is ever unpickled.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Parts = tuple[Pixels, Pixels | None]

# No gif: a palette of 256 colours, often animated, is rarely what a study means by an image.
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
# Pillow is held to these decoders, whatever a file claims to be.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


class DataError(ValueError):
    """A data source that cannot be used: one line that names the value and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


@contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into a `DataError` that names the file."""
    try:
        yield
    except (DataError, ImportError):
        raise
    # On corrupt bytes the decoders raise OSError, EOFError, SyntaxError, struct.error, zlib.error
    # and others, none of them promised: a list would miss some.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise DataError(f"{path}: cannot be read ({reason}); {remedy}") from error


def read_folder(folder: Path) -> Parts:
    """Read a folder of images in the order of their names.

    Subfolders `train` and `test`, if both exist, are the two parts, and nothing else in the
    folder is read. Grayscale images give shape (N, H, W), RGB images (N, H, W, 3), uint8. Hidden
    files are skipped. Raises `DataError` for an empty folder, any other file or subfolder, an
    unreadable image, and images that differ in size or mode.
    """
    train, test = folder / "train", folder / "test"
    if not (train.is_dir() and test.is_dir()):
        return _read_images(folder), None
    return _read_images(train), _read_images(test)


def _read_images(folder: Path) -> Pixels:
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
    first = _read_image(paths[0])
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    images[0] = first
    for i, path in enumerate(paths[1:], start=1):
        image = _read_image(path)
        if image.shape != first.shape:
            raise DataError(
                f"{path}: {_size(image)}, but {paths[0].name} is {_size(first)}; bring all images "
                "to one size and mode"
            )
        images[i] = image
    return images


def _read_image(path: Path) -> NDArray[np.uint8]:
    from PIL import Image  # here, so that the other sources do without Pillow

    with (
        reading(path, "replace the file or move it out of the folder"),
        Image.open(path, formats=_FORMATS) as image,
    ):
        if image.mode not in ("L", "RGB"):
            raise DataError(
                f"{path}: mode {image.mode}; convert it to 8-bit RGB or grayscale (mode L)"
            )
        frames = getattr(image, "n_frames", 1)
        if frames != 1:
            raise DataError(f"{path}: {frames} frames; save each image as a file of its own")
        return np.asarray(image)


def _size(image: Pixels) -> str:
    height, width = image.shape[:2]
    return f"{width}x{height} {'RGB' if image.ndim == 3 else 'grayscale'}"


def read_numpy(path: Path) -> Parts:
    """Read an `.npy` array of images, or an `.npz` file of one or two such arrays.

    Of an `.npz` file: the arrays `train` and `test`; else `images`; else the only array with two
    or more dimensions. Other arrays, such as labels, are left alone. Raises `DataError` for
    object arrays, a file that NumPy cannot read, and names that do not settle the choice.
    """
    remedy = "write it again with numpy.save or numpy.savez"
    # Opened here, since numpy.load leaves the file open when an .npz file is broken.
    with reading(path, remedy), path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        # NumPy answers any other bytes with the advice to unpickle them: do not pass that on.
        if start != b"\x93NUMPY" and not start.startswith(b"PK"):
            raise DataError(f"{path}: not a NumPy file; {remedy}")
        with _no_objects(path, "the array"):
            loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded:
            return _read_npz(path, loaded)


def _read_npz(path: Path, archive: Mapping[str, Any]) -> Parts:
    def array(name: str) -> Pixels:
        with _no_objects(path, f"array '{name}'"):
            return np.asarray(archive[name])

    if "train" in archive and "test" in archive:
        return array("train"), array("test")
    if "images" in archive:
        return array("images"), None
    arrays = {name: array(name) for name in archive}
    choice = [name for name in arrays if arrays[name].ndim >= 2]
    if len(choice) != 1:
        listed = ", ".join(f"{name} {arrays[name].shape}" for name in arrays) or "no arrays"
        raise DataError(
            f"{path}: {len(choice)} arrays could be the images, of {listed}; name two of them "
            "train and test, or one images"
        )
    return arrays[choice[0]], None


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
