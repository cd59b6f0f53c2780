"""Copies among the images: equal ones, and pairs that are much nearer than images usually are.

Training images that are equal count as one image with the weight of its copies
(:mod:`wildmiddle.theory.copies`). A held-out image that is a training image, or nearly one, is
covered at every noise level, and a training image with a near copy has no noise level at which its
weight is high: both curves then say less about new images than they seem to.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.data.dataset import digests
from wildmiddle.empirical.kernels.device import rows_of_both, working_dtype
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
class Distinct:
    """Which of N listed images differ, and which each of them equals."""

    first: NDArray[np.int64]
    """The first of each of the G different images in the list, (G,), rising."""
    group: NDArray[np.int64]
    """For each listed image which of the G it is, (N,)."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each of the G is listed, (G,)."""
        return np.bincount(self.group)

    def points_and_prior(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The G different ones of the listed ``rows`` (N, d), and their prior (G,).

        None for the prior where all are listed equally often.
        """
        if len(self.first) == len(self.group):
            return rows, None
        points = rows[torch.as_tensor(self.first).to(rows.device)]
        if (self.counts == self.counts[0]).all():
            return points, None
        prior = torch.as_tensor(self.counts / len(self.group), dtype=working_dtype(rows.device))
        return points, prior.to(rows.device)


def distinct(rows: torch.Tensor) -> Distinct:
    """The different ones of listed training images (N, d).

    Raises ValueError where all are equal.
    """
    number: dict[bytes, int] = {}
    group = np.array([number.setdefault(one, len(number)) for one in digests(rows.cpu().numpy())])
    if len(number) < 2:
        raise ValueError(f"all {len(rows)} training images are equal; give two different ones")
    return Distinct(np.unique(group, return_index=True)[1], group)


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
