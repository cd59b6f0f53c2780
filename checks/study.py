"""What one run of the checks is about: the data, the noise levels, the constants, the seed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.kernels.products import DEFAULT_MEMORY
from wildmiddle.empirical.neighbours import distances_to_others, extreme_distances
from wildmiddle.empirical.regimes import Thresholds
from wildmiddle.empirical.two_curves import Curves

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """Everything that a check may look at; the same study always gives the same records."""

    images: Array
    """Training images in their own shape, (N, ...)."""
    train: Array
    """Training images as rows, (N, d)."""
    test: Array
    """Held-out images as rows, (M, d)."""
    curves: Curves
    """Posterior weight and coverage over the schedule."""
    c: float
    """Width of the Gaussian shells (Lemma 4.5)."""
    w: float
    """Weight that counts as concentrated (Theorem 4.2, part 2)."""
    delta: float
    """Failure probability of Theorem 4.2."""
    seed: int
    samples: int
    """Most draws of a comparison on the data; the cheap two-point ones may take ten times that."""
    device: str
    memory: int = DEFAULT_MEMORY
    """Bytes that the buffers of one estimate may take."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """When the curves count as high or low."""

    @property
    def n(self) -> int:
        """Number N of training images."""
        return len(self.train)

    @property
    def d(self) -> int:
        """Dimension d of an image."""
        return self.train.shape[1]

    def images_like(self, rows: Array) -> Array:
        """Rows (B, d) in the images' own shape, (B, ...)."""
        return rows.reshape(len(rows), *self.images.shape[1:])

    def mean_over_images(self, bound: Callable[[Array], Array]) -> Array:
        """``bound`` of all training images, for a mean over the images, some of them at a time.

        ``bound`` takes the distances (R, N - 1) from R images to all others.
        """
        total = sum(
            len(apart) * bound(apart)
            for apart in distances_to_others(self.train, self.device, self.memory)
        )
        return np.asarray(total / self.n)

    @cached_property
    def _extremes(self) -> Array:
        return extreme_distances(self.train, self.device, self.memory)

    @property
    def nearest(self) -> Array:
        """``d_min`` of every training image, (N,); 0 for a duplicate."""
        return self._extremes[:, 0]

    @property
    def farthest(self) -> Array:
        """``d_max`` of every training image, (N,)."""
        return self._extremes[:, 1]

    @property
    def diameter(self) -> float:
        """Largest distance between two training images."""
        return float(self.farthest.max())
