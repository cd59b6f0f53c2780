"""Decode many image files in parallel, each reduced as it is read.

A file is read whole and decoded from memory, once its header shows that the image is not too large.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.resizing import reduce_images
from wildmiddle.empirical.data.source import DataError, Pixels, data_errors, require_memory
from wildmiddle.theory.constants import DEFAULT_MEMORY

if TYPE_CHECKING:
    from PIL.Image import Image

# No gif: a palette of 256 colours, often animated, is rarely what a study means by an image.
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
# Pillow is held to these decoders, whatever a file claims to be.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_TASK = 16  # images that a thread reads in turn: few enough for a lively progress bar
# Decoding holds up to 16 bytes for a pixel: no image has more pixels than these, nor all those that
# are decoded at a time. Each scan of a progressive JPEG, of ten or so, goes over all pixels.
_PIXELS = DEFAULT_MEMORY // 16
_SCANNED = 16 * _PIXELS
_PLAIN = {"1": "L", "P": "RGB", "LA": "L", "PA": "RGB", "RGBA": "RGB"}
"""Modes that are read without any loss where all pixels are opaque, and what they become."""
REMEDY = "replace the file or move it out"
_ORIENTATION = 0x0112  # of EXIF: 1, or none, is upright


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How images are read: the first `limit` images of each part, in grayscale, `size` x `size`.

    `cache` is where the array of a folder is kept; `progress` asks for a bar on a terminal.
    """

    limit: int | None = None
    grayscale: bool = False
    size: int | None = None
    cache: Path | None = None
    progress: bool = False


@dataclass(frozen=True)
class ImageFile:
    """One file: its name, what an error calls it, and how its bytes are read."""

    name: str
    label: str
    read: Callable[[], bytes]


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images (N, H, W) or (N, H, W, 3), uint8, and how many of their files ask to be turned."""

    images: Pixels
    turned: int

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader of the files should know."""
        if not self.turned:
            return ()
        return (
            f"{self.turned} images have an EXIF orientation, which is not applied: most training "
            "code does not apply it; save them turned where yours does",
        )


def decode(
    files: Sequence[ImageFile], options: ReadOptions, label: Path | str, stored: int
) -> Decoded:
    """Decode files that hold images of one size and mode after ``options``.

    ``stored`` bytes on disk bound what is held in memory; ``label`` names the source. Raises
    `DataError` for an image that cannot be read, has transparent pixels, 16 bits or several frames,
    or differs from the first one. A palette and an opaque alpha channel are resolved.
    """
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", DecompressionBombWarning)  # for too many pixels
        first, turned = _decode_one(files[0], options)
        require_memory(label, first.nbytes * len(files), stored)
        images = np.empty((len(files), *first.shape), dtype=np.uint8)
        images[0] = first

        def read(start: int) -> tuple[int, int]:
            task, found = range(start, min(start + _TASK, len(files))), 0
            for i in task:
                image, upright = _decode_one(files[i], options)
                if image.shape != first.shape:
                    raise DataError(
                        f"{files[i].label}: {_size(image)}, but {files[0].name} is {_size(first)}; "
                        "bring all images to one size and mode, or let --size and --grayscale do it"
                    )
                images[i] = image
                found += upright
            return len(task), found

        # Threads: Pillow decodes and NumPy sums outside Python's lock. The results come in order,
        # so the first broken file in the order of names is the one that is reported.
        with ThreadPoolExecutor() as pool, _bar(len(files), options) as advance:
            advance(1)
            for done, found in pool.map(read, range(1, len(files), _TASK)):
                turned += found
                advance(done)
    return Decoded(images, turned)


def _plain(image: "Image", label: str) -> "Image":
    # The same pixels in grayscale or RGB.
    if image.mode not in _PLAIN:
        return image
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            raise DataError(
                f"{label}: mode {image.mode} with transparent pixels; lay it on the background "
                "that training sees, and save it as RGB or grayscale"
            )
    return image.convert(_PLAIN[image.mode])


@contextmanager
def _bar(total: int, options: ReadOptions) -> Iterator[Callable[[int], object]]:
    from tqdm import tqdm

    # disable=None: shown on a terminal only.
    off = None if options.progress else True
    with tqdm(total=total, unit=" images", leave=False, disable=off) as bar:
        yield bar.update


def _decode_one(file: ImageFile, options: ReadOptions) -> tuple[NDArray[np.uint8], int]:
    from PIL.Image import open as open_image  # here: the other sources do without Pillow

    with data_errors(file.label, REMEDY):
        content = file.read()
    with (
        data_errors(file.label, REMEDY),
        io.BytesIO(content) as stream,
        open_image(stream, formats=_FORMATS) as image,
    ):
        if image.mode not in ("L", "RGB", *_PLAIN):
            raise DataError(
                f"{file.label}: mode {image.mode}; convert it to 8-bit RGB or grayscale (mode L)"
            )
        if image.format == "PNG" and any(";16" in str(tile[3]) for tile in image.tile):
            # Pillow would keep the high byte of each value alone.
            raise DataError(
                f"{file.label}: 16 bits a channel; convert it to 8 bits, or give floats as .npz in "
                "the range of --range"
            )
        frames = getattr(image, "n_frames", 1)
        if frames != 1:
            raise DataError(f"{file.label}: {frames} frames; save each image as a file of its own")
        count = image.width * image.height
        scans = content.count(b"\xff\xda") if image.format == "JPEG" else 1
        if count > _PIXELS or count * scans > _SCANNED:
            raise DataError(
                f"{file.label}: {image.width}x{image.height} pixels in {scans} scans, too many; "
                f"save it again with at most {_PIXELS} pixels, a JPEG as baseline"
            )
        turned = int(image.getexif().get(_ORIENTATION, 1) not in (0, 1))
        with _in_hand.take(count):
            pixels = np.asarray(_plain(image, file.label))[None]
            reduced = reduce_images(
                pixels, file.label, grayscale=options.grayscale, size=options.size
            )
            return reduced[0], turned


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
