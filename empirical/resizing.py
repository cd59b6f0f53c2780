"""Bring images to one size and to grayscale: luma, the central square, then an area average.

The same for a file and for an array of its pixels. Integers are rounded to integers, as an image
saved at that size would be.
"""

from typing import TYPE_CHECKING

import numpy as np

from empirical.source import DataError, Pixels

if TYPE_CHECKING:
    from PIL import Image

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as in Pillow's conversion to mode L


def resize_image(
    image: "Image.Image", label: str, *, grayscale: bool, size: int | None
) -> "Image.Image":
    """A Pillow image of mode L, RGB or F in grayscale, cropped to its central square and reduced.

    The crop leaves out the odd row or column on the right or at the bottom. Raises `DataError`
    for an image whose shorter side is under `size`: enlarging adds dimensions, not information.
    """
    from PIL import Image  # here, so that other sources do without Pillow

    if grayscale and image.mode == "RGB":
        image = image.convert("L")
    if size is None:
        return image
    width, height = image.size
    side = min(width, height)
    if side < size:
        raise DataError(f"{label}: {width}x{height}, too small for size {size}; ask for less")
    left, top = (width - side) // 2, (height - side) // 2
    # BOX weighs each source pixel by the area that it shares with the new one.
    return image.resize(
        (size, size), Image.Resampling.BOX, box=(left, top, left + side, top + side)
    )


def resize_array(images: Pixels, label: str, *, grayscale: bool, size: int | None) -> Pixels:
    """An array of images, treated alike: (N, H, W), (N, H, W, 1) or (N, H, W, 3).

    Gives (N, H, W) for grayscale. Floats pass through float32 where they are reduced. Raises
    `DataError` for other shapes, and for images smaller than `size`.
    """
    if not grayscale and size is None:
        return images
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
        raise DataError(
            f"{label}: images of shape {images.shape[1:]} are no rows and columns of gray or RGB; "
            "grayscale and size need an array (N, H, W) or (N, H, W, 3)"
        )
    colour = images.ndim == 4 and not grayscale
    if images.shape[1:3] == (size, size) and (colour or images.ndim == 3):
        return images
    if images.dtype.kind == "f":
        if grayscale and images.ndim == 4:
            images = (images @ _LUMA).astype(images.dtype)
        return _resize_floats(images, label, size)
    from PIL import Image

    return np.stack(
        [
            np.asarray(resize_image(Image.fromarray(image), label, grayscale=grayscale, size=size))
            for image in images.astype(np.uint8)
        ]
    )


def _resize_floats(images: Pixels, label: str, size: int | None) -> Pixels:
    from PIL import Image

    if size is None:
        return images

    def plane(pixels: Pixels) -> Pixels:
        image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
        return np.asarray(resize_image(image, label, grayscale=False, size=size))

    if images.ndim == 3:
        resized = np.stack([plane(image) for image in images])
    else:
        resized = np.stack(
            [np.stack([plane(image[..., c]) for c in range(3)], axis=-1) for image in images]
        )
    return resized.astype(images.dtype)
