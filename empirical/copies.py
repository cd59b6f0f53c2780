"""Copies among the images: exact ones, and pairs that are much nearer than images usually are.

A held-out image that is a training image, or nearly one, is covered at every noise level, and a
training image with a near copy has no noise level at which its weight is high: both curves then say
less about new images than they seem to.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from wildmiddle.empirical.kernels.device import rows_of_both
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.theory.constants import DEFAULT_MEMORY

_SHARE = 1 / 10
"""Of the typical distance to the nearest other training image. Nearest distances concentrate as
the dimension grows: of independent points in 8 dimensions one in 10^8 has a neighbour so near."""
_DIMENSIONS = 8  # in fewer, independent points come so near by chance
_MOST = 2_000
"""Images of each set that are looked at, against all training images: the cost of a large set is
that of a small share of one pass over all pairs. The images of a data set stand in random order."""


@dataclass(frozen=True)
class NearCopies:
    """Images within ``distance`` of a training image that is not the same, exact copies apart."""

    train: int
    """Training images with a near copy among the others."""
    test: int
    """Held-out images with a near copy among the training images."""
    train_examined: int
    test_examined: int
    """Images of each set that were looked at."""
    distance: float
    """A tenth of the median distance of a training image to its nearest other one, exact copies
    apart; 0 below 8 dimensions, where nothing is called a near copy."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, a sentence for each set that has near copies."""
        found = (
            (self.train, self.train_examined, "training", "another one"),
            (self.test, self.test_examined, "held-out", "a training image"),
        )
        return tuple(
            f"{count} of {examined} {name} images are a near copy of {other}: within "
            f"{self.distance:.3g}, a tenth of the median distance between nearest training images"
            for count, examined, name, other in found
            if count
        )


def near_copies(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    *,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
) -> NearCopies:
    """Count near copies among training images (N, ...) and of them in held-out ones (M, ...).

    The first 2,000 images of each set are looked at, against all training images. Where more than
    half of the training images have a near copy, the median is that of near copies, and they are
    not seen. Raises ValueError for N < 2 and images of different shapes.
    """
    points, held_out = rows_of_both(train, test, "test", device, units=False)
    some, others = points[:_MOST], held_out[:_MOST]
    # Of the two nearest one is the image itself, or a copy of it.
    apart = nearest_two(some, points, memory=memory)[0][:, 1].double().cpu().numpy()
    away = nearest_two(others, points, memory=memory)[0][:, 0].double().cpu().numpy()
    distinct = apart[apart > 0]
    told = points.shape[1] >= _DIMENSIONS and len(distinct) > 0
    limit = _SHARE * float(np.median(distinct)) if told else 0.0
    near_train, near_test = (int(((d > 0) & (d < limit)).sum()) for d in (apart, away))
    return NearCopies(near_train, near_test, len(some), len(others), limit)
