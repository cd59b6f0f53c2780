"""Where means over images pass a level, from images drawn at random until that is known.

A mean over N images whose every value takes the distances to all others costs N^2 of them; the mean
of a few hundred values, drawn independently, has an interval that does not depend on N.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from wildmiddle.empirical.intervals import bounded_mean
from wildmiddle.empirical.noise import BLOCK, indices

Array = NDArray[np.float64]

Values = Callable[[torch.Tensor, Array], Array]
"""Takes numbers of rows (R,) and noise levels (C, K), and gives C values in [0, 1] that rise with
sigma, of each row and at each of its K levels: (C, R, K)."""

Surplus = Callable[[Array], Array]
"""Takes means (K,) of such values and gives what rises with them and passes 0 at the crossing."""

_LEVELS, _AROUND = 15, 0.35
"""Noise levels at which the drawn rows are looked at, and how far in log sigma they reach."""
_SHIFTS = 8
"""Times that these are moved to where a mean may pass, before it is left unknown."""


@dataclass(frozen=True)
class Passing:
    """Noise levels at which the means pass their levels, (C,) each, by ``rows`` that were drawn."""

    sigma: Array
    low: Array
    """The crossings lie between these and ``high``, with the error rate that was asked for; 0 and
    infinity where the rows do not say."""
    high: Array
    rows: int


def passing(
    values: Values,
    surplus: Sequence[Surplus],
    guess: Array,
    population: int,
    *,
    alpha: float,
    resolution: float,
    until: float,
    seed: int,
    stream: str,
) -> Passing:
    """The crossings of C means over all ``population`` rows, of rows drawn with replacement.

    ``surplus`` has a function for each mean, ``guess`` (C,) is where they may pass, in log sigma.
    Rows are drawn in looks, each as large as all before, until every crossing is known to
    ``resolution`` octaves, or the next look would end after ``until`` on the monotonic clock, or as
    many rows would be drawn as there are. Look k has the share ``1 / (k (k + 1))`` of the error
    rate, so that looking more than once costs nothing; it is split evenly over the means. A
    crossing is one noise level, and the betting interval at it misses with its error rate whatever
    the others do: what is returned are the levels at which the interval holds the crossing's mean,
    its ends interpolated between levels a twentieth apart in log sigma. Of a mean that passes its
    level more than once, ``low`` is below the first crossing, with the same error rate.
    """
    means = range(len(surplus))
    levels = guess[:, None] + np.linspace(-_AROUND, _AROUND, _LEVELS)
    drawn, look, shifts = np.zeros((len(means), 0, _LEVELS)), 1, 0
    while True:
        rows = torch.from_numpy(indices(seed, stream, BLOCK * 2 ** (look - 1), population))
        started = monotonic()
        fresh = values(rows[drawn.shape[1] :], np.exp(levels))
        spent = monotonic() - started
        drawn = np.concatenate([drawn, fresh], axis=1)
        each = alpha / (len(means) * look * (look + 1))
        ends = np.array([_ends(drawn[c], levels[c], surplus[c], each) for c in means])
        away = np.isnan(ends[:, 1])
        if away.any() and shifts < _SHIFTS:  # a poor guess: the rows once more, half a window on
            above = np.array([surplus[c](drawn[c].mean(0))[-1] <= 0 for c in means])
            levels[away] += np.where(above, _AROUND, -_AROUND)[away, None]
            drawn, shifts = drawn[:, :0], shifts + 1
            continue
        low, sigma, high = np.exp(ends).T
        low, high = np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=np.inf)
        known = (low > 0) & (np.log2(high / np.maximum(low, 1e-300)) <= resolution)
        more = spent * len(rows) / fresh.shape[1]
        if known.all() or monotonic() + more > until or 2 * len(rows) > population:
            return Passing(sigma, low, high, len(rows))
        look += 1


def _ends(drawn: Array, levels: Array, surplus: Surplus, alpha: float) -> tuple[float, ...]:
    # log sigma where the upper limit, the mean and the lower limit of a rising mean pass, or nan.
    found = bounded_mean(np.clip(drawn, 0, 1), alpha)
    limits = (found.high, found.mean, found.low)
    first, mean, last = (_roots(levels, surplus(limit)) for limit in limits)
    return first[0], mean[0], last[-1]


def _roots(levels: Array, rising: Array) -> Array:
    # All levels at which the interpolated function passes 0; nan where its ends have one sign.
    if not rising[0] <= 0 < rising[-1]:
        return np.array([np.nan])
    return np.asarray(PchipInterpolator(levels, rising).solve(0, extrapolate=False))
