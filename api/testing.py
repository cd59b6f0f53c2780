"""Assertions for your own tests of samplers: they fail where the data refute a claim, and say why.

Each has an error rate ``alpha``, the probability that it fails although the claim is true. A test
that passes may just have few draws: :func:`assert_rate_below` takes an ``effect``, and then refuses
to run on too few to see a violation of that size with probability 0.99, and says how many it needs.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import ks_2samp

from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.statistics import (
    POWER,
    detectable_proportion,
    from_bounded,
    from_proportion,
    required_samples,
)

__all__ = ["assert_mean_in", "assert_rate_below", "assert_same_distribution"]


def assert_rate_below(
    events: ArrayLike, limit: float, *, alpha: float = 1e-6, effect: float | None = None
) -> None:
    """Fail where the probability of an event is above ``limit``, by Clopper and Pearson's interval.

    ``events`` (n,) are independent, true or false. Raises AssertionError where the lower end lies
    above the limit, ValueError for values that are neither true nor false and where n is too small
    to see a rate of ``limit + effect``.

    >>> copies = [False] * 60 + [True] * 4
    >>> assert_rate_below(copies, 0.2)
    """
    values = np.asarray(events)
    if values.ndim != 1 or len(values) == 0 or not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"events of shape {values.shape}: give one true or false value for each sample"
        )
    n = len(values)
    if effect is not None and detectable_proportion(limit, n, alpha, "<=") > effect:
        needed = required_samples(effect, alpha, limit, "<=")
        raise ValueError(
            f"{n} events cannot show that a rate of {limit + effect:g} is above {limit:g}, at the "
            f"error rate {alpha:g} and with probability {POWER}; give at least {needed}"
        )
    comparison = _comparison("the rate of the event", "<=", limit)
    _require(from_proportion(comparison, int(values.sum()), n, alpha=alpha, seed=None))


def assert_mean_in(
    values: ArrayLike,
    low: float,
    high: float,
    *,
    span: tuple[float, float] = (0.0, 1.0),
    alpha: float = 1e-6,
) -> None:
    """Fail where the mean of bounded variables is below ``low`` or above ``high``.

    ``values`` (n,) are independent draws that cannot leave ``span``: the interval is valid for
    every distribution within it. Raises AssertionError, and ValueError for values outside of it.
    """
    draws = np.asarray(values, np.float64)
    inside = (draws >= span[0]) & (draws <= span[1])
    if draws.ndim != 1 or len(draws) == 0 or not inside.all():
        raise ValueError(
            f"values of shape {draws.shape}: give one number from {span[0]:g} to {span[1]:g} for "
            "each draw"
        )
    if not low <= high:
        raise ValueError(f"the mean is to lie in {low:g} to {high:g}; give the lower end first")
    bounds: tuple[tuple[Relation, float], ...] = ((">=", low), ("<=", high))
    for relation, bound in bounds:
        if math.isfinite(bound):
            comparison = _comparison("the mean", relation, bound)
            _require(from_bounded(comparison, draws, span=span, alpha=alpha / 2, seed=None))


def assert_same_distribution(a: ArrayLike, b: ArrayLike, *, alpha: float = 1e-6) -> None:
    """Fail where two samples of numbers are of different distributions, by Kolmogorov and Smirnov.

    ``a`` (n,) and ``b`` (m,) are independent draws. The p-value is exact up to 10,000 of each, and
    its limit beyond. Raises AssertionError, and ValueError for values that are not finite.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    for draws in (first, second):
        if draws.ndim != 1 or len(draws) == 0 or not np.isfinite(draws).all():
            raise ValueError(f"draws of shape {draws.shape}: give finite numbers, one for each")
    found = ks_2samp(first, second)
    if found.pvalue < alpha:
        raise AssertionError(
            f"the distributions differ by {found.statistic:.4g} at {found.statistic_location:.4g}, "
            f"the largest gap between their distribution functions: p = {found.pvalue:.3g} under "
            f"the error rate {alpha:g}, n = {len(first)} and {len(second)}"
        )


def _comparison(quantity: str, relation: Relation, bound: float) -> Comparison:
    return Comparison(
        claim="test", instance="the draws", quantity=quantity, relation=relation, bound=bound
    )


def _require(record: Record) -> None:
    if record.verdict == "violated":
        raise AssertionError(
            f"{record.quantity} is {record.estimate:.4g} [{record.low:.4g}, {record.high:.4g}], "
            f"not {record.relation} {record.bound:g}: n = {record.n}, error rate {record.alpha:g}; "
            f"from {record.detectable:.3g} beyond on it is seen with probability {POWER}"
        )
