"""How many points lie at which distance from some rows, for bounds at every noise level.

The bounds of the posterior weight take, of each row, the sum over all other points of a function of
``r / sigma``. Counts on a grid of log r give such sums at any number of noise levels: the two ends
of each bin enclose the terms of its points.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from wildmiddle.empirical.kernels.processes import add_up
from wildmiddle.empirical.kernels.products import tiles
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.theory.posterior import margin
from wildmiddle.theory.regimes import MEAN_LOG_TERM

Array = NDArray[np.float64]

_STEP, BINS = 1e-3, 10_000
"""Of log r: down to a 20,000th of the farthest distance; what is nearer is in the first bin."""
_SLACK = 0.1
"""Of a bin: how far its points may lie outside of it, by the four digits of a float32 distance."""
_PART = 16  # rows whose distances are counted by one thread at a time


def bytes_of_row(copies: NDArray[np.int64]) -> int:
    """What the counts of one row take, in bytes, with what is made of them: three times itself."""
    return 12 * (BINS + 1) * len(np.unique(_kinds(copies)))


def _kinds(copies: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.log2(copies).astype(np.int64)


class DistanceCounts:
    """Numbers of points by distance from ``rows`` rows, none farther than ``farthest``.

    ``copies`` (N,) of the points, where they have any: points are counted apart by the power of two
    that their number of copies reaches.
    """

    def __init__(
        self, rows: int, farthest: float, copies: NDArray[np.int64], device: torch.device
    ) -> None:
        kinds, kind = np.unique(_kinds(copies), return_inverse=True)
        logs = np.log(copies)
        self._kinds = [(logs[kind == k].min(), logs[kind == k].max()) for k in range(len(kinds))]
        self._least = farthest * np.exp(-_STEP * (BINS - 1))  # a bin to spare for rounding
        self._offset = torch.from_numpy(kind * (BINS + 1)).to(device)
        # Beside the bins a place for the row itself, at infinite distance.
        shape = (rows, len(kinds) * (BINS + 1))
        self._counts = torch.zeros(shape, dtype=torch.int32, device=device)

    def add(self, rows: slice, columns: slice, squared: torch.Tensor, threads: int) -> None:
        """Add squared distances (R, T) of some rows to some points; they are overwritten."""
        own, offset = self._counts[rows], self._offset[columns]
        one = own.new_ones(()).expand(_PART, len(offset))

        def count(part: tuple[int, int]) -> None:
            place = squared[slice(*part)].log_().div_(2 * _STEP).sub_(np.log(self._least) / _STEP)
            index = place.clamp_(0, BINS).long().add_(offset)
            own[slice(*part)].scatter_add_(1, index, one[: len(index)])

        for_each(count, tiles(len(squared), _PART), squared.device, threads)

    def combine(self) -> None:
        """Add what other processes have counted; then keep the bins that are in use."""
        counts = add_up(self._counts).unflatten(1, (len(self._kinds), BINS + 1))[..., :BINS]
        used = counts.any(0).any(0).nonzero().squeeze(1)
        self._counts, self._used = counts[..., used], used.cpu().numpy()

    def terms(self, own: NDArray[np.int64], sigmas: Array) -> tuple[Array, Array]:
        """Between what the bounds of the weight lie for each row, (2, R, K) twice.

        ``own`` (R,) are the rows' copies, ``sigmas`` (2, K): the decoding error's bound at the
        first, that of the posterior's entropy at the second, as of
        :func:`wildmiddle.theory.posterior.decoding_error` and
        :func:`wildmiddle.theory.regimes.posterior_entropy`.
        """
        ends = (self._used - _SLACK, self._used + 1 + _SLACK)
        near, far = (self._least * np.exp(_STEP * end)[:, None] for end in ends)
        near[self._used == 0] = 0
        counts = self._counts.cpu().numpy()
        sums = np.zeros((2, 2, len(own), sigmas.shape[1]))
        for copies in np.unique(own):
            rows = np.flatnonzero(own == copies)
            for kind, logs in enumerate(self._kinds):
                tables = _enclose(near, far, *(logs - np.log(copies)), *sigmas)
                sums[:, :, rows] += counts[rows, kind].astype(np.float64) @ tables
        np.minimum(sums[:, 0], 1, out=sums[:, 0])
        np.log1p(sums[:, 1], out=sums[:, 1])
        return sums[0], sums[1]


def _enclose(
    near: Array, far: Array, least: float, most: float, first: Array, second: Array
) -> Array:
    # Lower and upper ends of the two terms of points from `near` to `far` (B, 1), whose prior is
    # `least` to `most` times the row's, in logarithms: (2, 2, B, K).
    def error(r: Array, ratio: float) -> Array:
        return ndtr(-margin(r, first, ratio))

    def overlap(r: Array, ratio: float) -> Array:
        return np.exp(MEAN_LOG_TERM * (r / second) ** 2 + ratio)

    # The error falls with r, but near a point of smaller prior, where it rises first.
    turn = np.clip(first * np.sqrt(2 * max(-most, 0)), near, far)
    low = np.minimum(error(near, least), error(far, least)), overlap(far, least)
    return np.array([low, (error(turn, most), overlap(near, most))])
