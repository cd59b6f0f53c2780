"""Images and labels in the form that networks and training take."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.noise import generator
from wildmiddle.models.networks import channels_first
from wildmiddle.models.settings import Training

Images = ArrayLike | torch.Tensor


def as_tensor(images: Images) -> torch.Tensor:
    """Images as a tensor without gradient, in the shape and precision that they have."""
    if isinstance(images, torch.Tensor):
        return images.detach()
    # torch takes no negative strides, and warns of arrays that are read-only.
    return torch.as_tensor(np.require(images, requirements=["C", "W"]))


def to_channels_first(images: Images) -> torch.Tensor:
    """Images (N, H, W), (N, H, W, C) or (N, C, H, W) as a tensor (N, C, H, W) without gradient.

    The precision stays. Raises ValueError for any other shape.
    """
    found = as_tensor(images)
    shape = channels_first(tuple(found.shape[1:]))
    if found.ndim == 4 and found.shape[1:] != shape:
        found = found.movedim(-1, 1)
    return found.reshape(len(found), *shape)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Images (N, C, H, W) and labels (N,) or none, dummies included where training has them.

    ``count``, ``image_shape`` and ``sha256`` are those of the images as given, with their labels,
    before dummies; ``sigma_data`` is the standard deviation over all their pixels. ``classes`` is
    the number of labels, ``label`` the one that sampling takes where none is given.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    classes: int
    label: int | None
    count: int
    image_shape: tuple[int, ...]
    sigma_data: float
    sha256: str


def prepare_training_set(
    images: ArrayLike, labels: ArrayLike | None, training: Training
) -> TrainingSet:
    """Check images (N, H, W), (N, H, W, C) or (N, C, H, W) and labels (N,), and add the dummies.

    Dummies are as many images of noise with the mean and standard deviation of the pixels, as the
    class after all others; sampling is then from class 0 where there are no labels. Raises
    ValueError for shapes and values that cannot be used.
    """
    given = np.asarray(images, np.float64)
    if given.ndim < 3 or len(given) == 0 or not np.isfinite(given).all():
        raise ValueError(
            f"images of shape {given.shape}: give (N, H, W), (N, H, W, C) or (N, C, H, W), N >= 1, "
            f"without NaN or infinite values"
        )
    sigma_data = float(given.std())
    if sigma_data == 0:
        raise ValueError("all pixels of the images are equal; there is nothing to learn")
    pixels = given.astype(np.float32)
    classes = None if labels is None else _check_labels(labels, len(pixels))
    digest = hashlib.sha256(f"{pixels.shape} ".encode() + pixels.astype("<f4").tobytes())
    if classes is not None:
        digest.update(b" labels " + classes.astype("<i8").tobytes())
    stack = to_channels_first(pixels).numpy()
    count, label = 0 if classes is None else int(classes.max()) + 1, None
    if training.dummy:
        # The dummy class: independent Gaussian pixels (Yoon et al. 2023).
        noise = generator(training.seed, "dummy images").standard_normal(stack.shape, np.float32)
        noise = np.float32(given.mean()) + np.float32(sigma_data) * noise
        if classes is None:
            classes, count, label = np.zeros(len(stack), np.int64), 1, 0
        stack = np.concatenate([stack, noise])
        classes = np.concatenate([classes, np.full(len(noise), count)])
        count += 1
    return TrainingSet(
        images=np.ascontiguousarray(stack),
        labels=classes,
        classes=count,
        label=label,
        count=len(given),
        image_shape=given.shape[1:],
        sigma_data=sigma_data,
        sha256=f"sha256:{digest.hexdigest()}",
    )


def _check_labels(labels: ArrayLike, count: int) -> NDArray[np.int64]:
    found = np.asarray(labels)
    if found.shape != (count,) or found.dtype.kind not in "iu" or found.min() < 0:
        raise ValueError(
            f"labels of shape {found.shape} and type {found.dtype} for {count} images; give one "
            f"integer from 0 for each"
        )
    return found.astype(np.int64)
