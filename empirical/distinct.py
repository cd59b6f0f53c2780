"""Training images that are equal, as one image that has the weight of its copies.

What follows from their numbers is in :mod:`wildmiddle.theory.copies`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wildmiddle.empirical.data.dataset import digests
from wildmiddle.empirical.kernels.device import working_dtype

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Distinct:
    """Which of N listed images differ, and which of these each listed one equals."""

    first: NDArray[np.int64]
    """Where each of the G different images is listed first, (G,), rising."""
    group: NDArray[np.int64]
    """Which of the G each listed image is, (N,)."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each of the G is listed, (G,)."""
        return np.bincount(self.group)

    @property
    def prior(self) -> Array | None:
        """Probability of each of the G, (G,); None where all are listed equally often."""
        counts = self.counts
        return None if (counts == counts[0]).all() else counts / counts.sum()

    def sentences(self, within: float = 0.0) -> tuple[str, ...]:
        """What was found, in one sentence; none where all listed images differ.

        ``within`` is the distance up to which images were made equal.
        """
        n, left = len(self.group), len(self.first)
        near = f", or within {within:g} of one" if within else ""
        found = (
            f"{n - left:,} of {n:,} training images are copies of others{near}: {left:,} distinct "
            "images, each with the weight of its copies"
        )
        return (found,) if n > left else ()

    def points_and_prior(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The G different ones of the listed ``rows`` (N, d), and :attr:`prior` as a tensor."""
        if len(self.first) < len(rows):
            rows = rows[torch.as_tensor(self.first).to(rows.device)]
        prior = self.prior
        if prior is None:
            return rows, None
        return rows, torch.as_tensor(prior, dtype=working_dtype(rows.device)).to(rows.device)


def distinct(rows: torch.Tensor, shape: tuple[int, ...] | None = None) -> Distinct:
    """The different ones of listed training images, rows (N, d).

    With the ``shape`` of one image, mirror images along its last axis are equal too. Raises
    ValueError where all are equal.
    """
    pixels = rows.cpu().numpy()
    names: Iterable[bytes] = digests(pixels)
    if shape is not None:
        names = map(min, names, digests(pixels.reshape(len(pixels), *shape)[..., ::-1]))
    number: dict[bytes, int] = {}
    group = np.array([number.setdefault(name, len(number)) for name in names])
    if len(number) < 2:
        mirrored = "" if shape is None else " or mirror images of one another"
        raise ValueError(
            f"all {len(rows)} training images are equal{mirrored}; give two different ones"
        )
    return Distinct(np.unique(group, return_index=True)[1], group)
