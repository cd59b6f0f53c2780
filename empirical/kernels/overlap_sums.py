"""The mean overlap probability of all pairs, from blocks of their distances (Theorem 4.8).

``sum_ij p_sigma(r_ij)`` is wanted for many sigmas, but the M N distances are not kept: each is
spread over the four nearest nodes of one grid in log r, with the weights of cubic interpolation.
The sum of the weighted nodes is then the sum of the interpolated values, for every sigma and
whatever the function: with steps of 1e-4 it differs by less than 2e-8 of each value down to
p = 1e-60, where the slope d log p / d log r is below 300.
"""

from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from wildmiddle.empirical.kernels.processes import add_up
from wildmiddle.theory.coverage import mean_overlap

Array = NDArray[np.float64]

_STEP = 1e-4
_NEAR = 1e-4
"""Below this share of the smallest sigma all distances overlap alike, to 1e-8 of the value."""


class PairSums:
    """Distances of pairs on a grid from ``1e-4 smallest``, a noise level, to ``farthest``."""

    def __init__(self, smallest: float, farthest: float) -> None:
        self._least = _NEAR * smallest
        span = max(np.log(max(farthest, self._least) / self._least), 0.0)
        self._weights = np.zeros(int(span / _STEP) + 8)
        self._lock = Lock()

    def add(self, squared: torch.Tensor) -> None:
        """Add a block of squared distances, of any shape; threads may call this together.

        Infinite ones are of no pair and do not count.
        """
        flat = squared.flatten().to("cpu", torch.float64)
        flat = flat[flat.isfinite()]
        if not len(flat):
            return
        place = flat.clamp(min=self._least**2).log_().mul_(0.5).sub_(np.log(self._least))
        place.div_(_STEP).clamp_(max=len(self._weights) - 8)
        node = place.long()
        t = place.sub_(node).numpy()
        index = node.numpy()
        first = int(index.min())
        index = index - first
        count = int(index.max()) + 4
        part = np.zeros(count)
        # Nodes at -1, 0, 1 and 2, from the one below the value.
        u, v, w = t + 1, t - 1, t - 2
        for k, weight in enumerate((-t * v * w / 6, u * v * w / 2, -u * t * w / 2, u * t * v / 6)):
            part[k:] += np.bincount(index, weight, count)[: count - k]
        with self._lock:
            self._weights[first : first + count] += part

    def combine(self) -> None:
        """Add what other processes have added, where there are several."""
        self._weights = add_up(torch.from_numpy(self._weights)).numpy()

    def mean_overlap(self, sigmas: Array, d: int, c: float) -> Array:
        """Mean of ``p_sigma`` over all pairs that were added, (K,), from the smallest sigma on."""
        used = np.flatnonzero(self._weights)
        nodes = self._least * np.exp((used - 1) * _STEP)
        return mean_overlap(nodes, sigmas, d, c, self._weights[used])
