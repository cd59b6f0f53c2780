"""The three noise regimes and the danger zone, read off the two curves (Section 4.2).

A threshold is crossed somewhere between the last sigma at which the curve's whole interval lies on
one side and the first at which it lies on the other; both curves are taken as monotone there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.intervals import Estimate
from wildmiddle.empirical.two_curves import Curves
from wildmiddle.theory.constants import Thresholds
from wildmiddle.theory.schedules import SCHEDULE_RANGE, steps_between

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Crossing:
    """The sigma at which a curve passes a level, and the ends between which that must lie.

    ``sigma`` is infinite where the curve never gets there on the schedule; an end is nan where the
    intervals do not fix it.
    """

    sigma: float
    low: float
    high: float


@dataclass(frozen=True)
class Regime:
    """One interval of noise levels, with the uncertainty of its ends and its steps.

    ``start`` and ``end`` are the lower and the upper sigma. ``edm_steps`` are the indices of the
    18-step EDM schedule inside, ``ddpm_timesteps`` the first and the last timestep inside, empty
    where there is none. All of it is stated for the range that the data were scaled to.
    """

    name: str
    start: Crossing
    end: Crossing
    edm_steps: tuple[int, ...]
    ddpm_timesteps: tuple[int, ...]

    @property
    def empty(self) -> bool:
        """Whether no noise level belongs to the regime."""
        return not self.start.sigma < self.end.sigma


def crossing(sigmas: Array, curve: Estimate, level: float, *, rising: bool) -> Crossing:
    """Where a monotone curve over ``sigmas`` passes ``level``.

    The point value interpolates the means over log sigma; the ends come from the intervals alone
    and so hold with the curve's own confidence if the true curve is monotone.
    """
    order = np.argsort(sigmas)
    s = sigmas[order]
    mean, low, high = (getattr(curve, name)[order] for name in ("mean", "low", "high"))
    if not rising:  # a falling curve, turned upside down, rises
        mean, low, high = 1 - mean, 1 - high, 1 - low
        level = 1 - level
    above, below = np.flatnonzero(low > level), np.flatnonzero(high < level)
    first_above = above[0] if len(above) else None
    before = below if first_above is None else below[below < first_above]
    end_low = float(s[before[-1]]) if len(before) else np.nan
    end_high = np.nan if first_above is None else float(s[first_above])
    reached = np.flatnonzero(mean >= level)
    if len(reached) == 0:
        return Crossing(np.inf, end_low, end_high)
    k = int(reached[0])
    if k == 0:
        return Crossing(float(s[0]), end_low, end_high)
    share = (level - mean[k - 1]) / (mean[k] - mean[k - 1])
    sigma = float(np.exp(np.log(s[k - 1]) + share * np.log(s[k] / s[k - 1])))
    return Crossing(sigma, end_low, end_high)


def read_regimes(
    curves: Curves,
    thresholds: Thresholds | None = None,
    value_range: tuple[float, float] = SCHEDULE_RANGE,
) -> tuple[Regime, ...]:
    """Small, medium, danger and large as intervals of sigma, for pixels in ``value_range``.

    Small noise ends where the coverage passes ``coverage_low``; large noise starts where the weight
    falls under ``weight_low``; medium lies between. The danger zone runs from where the coverage
    passes ``coverage_high`` to where the weight falls under ``weight_high`` and is empty where the
    weight falls first. Source: Section 4.2, whose table gives no thresholds; these are ours.
    """
    at, s = thresholds or Thresholds(), curves.sigmas
    bottom = Crossing(0.0, 0.0, 0.0)
    top = Crossing(np.inf, np.inf, np.inf)
    covered = crossing(s, curves.coverage, at.coverage_low, rising=True)
    mostly_covered = crossing(s, curves.coverage, at.coverage_high, rising=True)
    undecided = crossing(s, curves.max_weight, at.weight_high, rising=False)
    spread = crossing(s, curves.max_weight, at.weight_low, rising=False)
    return (
        regime_between("small", bottom, covered, value_range),
        regime_between("medium", covered, spread, value_range),
        regime_between("danger", mostly_covered, undecided, value_range),
        regime_between("large", spread, top, value_range),
    )


def regime_between(
    name: str,
    start: Crossing,
    end: Crossing,
    value_range: tuple[float, float] = SCHEDULE_RANGE,
) -> Regime:
    """The noise levels between two crossings, with the steps of both schedules."""
    steps, timesteps = steps_between(start.sigma, end.sigma, value_range)
    return Regime(name, start, end, steps, timesteps[:1] + timesteps[-1:])
