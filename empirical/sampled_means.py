"""Where means over images pass a level, from images drawn at random until that is known.

A mean over N images whose every value takes the distances to all others costs N^2 of them; the mean
of a few hundred values, drawn independently, has an interval that does not depend on N.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from wildmiddle.empirical.crossings import near_crossing
from wildmiddle.empirical.intervals import bounded_mean
from wildmiddle.empirical.kernels.processes import add_up
from wildmiddle.empirical.noise import BLOCK, indices

_log = logging.getLogger(__name__)

Array = NDArray[np.float64]

Values = Callable[[Array], tuple[Array, Array]]
"""Takes noise levels (C, K) and gives between what the C values in [0, 1] of each row lie, at each
of its K levels: (C, R, K) twice. They rise with sigma."""

Surplus = Callable[[Array], Array]
"""Takes means (K,) of such values and gives what rises with them and passes 0 at the crossing."""

_LEVELS, _AROUND = 29, 0.7
"""Noise levels at which the drawn rows are looked at, and how far in log sigma they reach."""


@dataclass(frozen=True)
class Passing:
    """Noise levels at which the means pass their levels, (C,) each, by ``rows`` that were drawn."""

    low: Array
    """The crossings lie between these and ``high``, with the error rate that was asked for; 0 and
    infinity where the rows do not say."""
    high: Array
    rows: int


def near_passing(values: Values, surplus: Sequence[Surplus], scale: float) -> Array:
    """Near log sigma where the means of some rows' values pass their levels, (C,)."""

    def falling(sigmas: Array) -> Array:
        means = np.mean(values(sigmas), (0, 2))
        return -np.array([rises(mean) for rises, mean in zip(surplus, means, strict=True)])

    return near_crossing(falling, len(surplus), scale)


def passing(
    count: Callable[[torch.Tensor], Values],
    surplus: Sequence[Surplus],
    scale: float,
    population: int,
    *,
    most: int,
    alpha: float,
    resolution: float,
    until: float,
    seed: int,
    stream: str,
) -> Passing:
    """The crossings of C means over all ``population`` rows, of rows drawn with replacement.

    ``count`` takes the numbers of rows (R,); ``surplus`` has a function for each mean; the
    crossings are looked for about the noise level ``scale``.
    Rows are drawn in looks, each as large as all before, until every crossing is known to
    ``resolution`` octaves, or the next look would end after ``until`` on the monotonic clock, or
    more rows would be drawn than there are or than ``most``. Look k has the share
    ``1 / (k (k + 1))`` of the error rate, so that looking more than once costs nothing; it is split
    evenly over the means. A crossing is one noise level, and the betting interval at it misses with
    its error rate whatever the others do: what is returned are the levels at which the interval
    holds the crossing's mean, its ends interpolated between levels a twentieth apart in log sigma.
    Of a mean that passes its level more than once, ``low`` is below the first crossing, with the
    same error rate.
    """
    means = range(len(surplus))
    drawn: list[Values] = []
    total, look = 0, 1

    def values(sigmas: Array) -> tuple[Array, Array]:
        low, high = np.clip(np.concatenate([each(sigmas) for each in drawn], axis=2), 0, 1)
        return low, high

    while True:
        rows = torch.from_numpy(indices(seed, stream, BLOCK * 2 ** (look - 1), population))
        started = monotonic()
        drawn.append(count(rows[total:]))
        more = (monotonic() - started) * len(rows) / (len(rows) - total)
        total = len(rows)
        guess = near_passing(values, surplus, scale)
        levels = guess[:, None] + np.linspace(-_AROUND, _AROUND, _LEVELS)
        found = np.array(values(np.exp(levels)))
        each = alpha / (len(means) * look * (look + 1))
        ends = np.array([_ends(found[:, c], levels[c], surplus[c], each) for c in means])
        low, high = np.exp(ends).T
        low, high = np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=np.inf)
        octaves = np.where(low > 0, np.log2(high / np.maximum(low, 1e-300)), np.inf)
        _log.info("%d rows: the ends are known to %s octaves", total, octaves.round(2).tolist())
        known = octaves <= resolution
        late = torch.tensor(monotonic() + more > until)
        # The clocks of several processes may differ: none goes on alone.
        if known.all() or bool(add_up(late)) or 2 * total > min(population, most):
            return Passing(low, high, total)
        look += 1


def _ends(drawn: Array, levels: Array, surplus: Surplus, alpha: float) -> tuple[float, float]:
    # log sigma where the upper and the lower limit of a rising mean pass, or nan, of values that
    # lie between the two of `drawn`.
    least, most = (bounded_mean(end, alpha) for end in drawn)
    first, last = (_roots(levels, surplus(limit)) for limit in (most.high, least.low))
    return float(first[0]), float(last[-1])


def _roots(levels: Array, rising: Array) -> Array:
    # All levels at which the interpolated function passes 0; nan where its ends have one sign.
    if not rising[0] <= 0 < rising[-1]:
        return np.array([np.nan])
    return np.asarray(PchipInterpolator(levels, rising).solve(0, extrapolate=False))
