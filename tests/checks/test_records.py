"""The verdict's grammar on every side of a bound, and the slack."""

import math
from typing import Any

import pytest

from wildmiddle.checks.records import Comparison, Record, overall

BOUND, MARGIN = 0.5, 0.1


def record(low: float, high: float, relation: Any, **changes: Any) -> Record:
    facts: dict[str, Any] = {
        "claim": "4.2",
        "instance": "an instance",
        "quantity": "a quantity",
        "relation": relation,
        "bound": BOUND,
        "estimate": (low + high) / 2,
        "low": low,
        "high": high,
        "rounding": 0.0,
        "method": "by hand",
        "alpha": 0.01,
        "margin": MARGIN,
        "detectable": 0.1,
        "n": 10,
        "seed": 0,
        "parameters": {},
    }
    return Record(**facts | changes)


# Interval, and the verdicts for <=, >= and ==. At a bound 1/2 and a margin 1/10.
CASES = [
    ((0.10, 0.20), ("holds", "violated", "violated")),
    ((0.10, 0.30), ("holds", "violated", "violated")),
    ((0.30, 0.50), ("holds", "inconclusive", "inconclusive")),
    ((0.45, 0.55), ("holds", "holds", "holds")),
    ((0.41, 0.49), ("holds", "violated", "violated")),
    ((0.51, 0.59), ("violated", "holds", "violated")),
    ((0.50, 0.70), ("inconclusive", "holds", "inconclusive")),
    ((0.70, 0.80), ("violated", "holds", "violated")),
    ((0.20, 0.80), ("inconclusive", "inconclusive", "inconclusive")),
    ((0.35, 0.55), ("holds", "inconclusive", "inconclusive")),
    ((0.45, 0.65), ("inconclusive", "holds", "inconclusive")),
]


@pytest.mark.parametrize(("interval", "verdicts"), CASES)
@pytest.mark.parametrize("k", [0, 1, 2])
def test_verdict_by_the_interval(interval, verdicts, k) -> None:
    assert record(*interval, ("<=", ">=", "==")[k]).verdict == verdicts[k]


@pytest.mark.parametrize("relation", ["<=", ">=", "=="])
def test_an_interval_that_touches_the_bound_does_not_contradict_it(relation) -> None:
    for low, high in ((0.5, 0.55), (0.45, 0.5), (0.5, 0.5)):
        assert record(low, high, relation).verdict == "holds"


def test_holds_up_to_the_resolution_and_no_further() -> None:
    # Numbers without rounding: the bound 1/2, the margin 1/8.
    for relation, sign in (("<=", 1), (">=", -1)):
        ends = sorted((0.5, 0.5 + sign * 0.125))
        assert record(*ends, relation, margin=0.125).verdict == "holds"
        ends = sorted((0.5, 0.5 + sign * 0.1250001))
        assert record(*ends, relation, margin=0.125).verdict == "inconclusive"
    assert record(0.375, 0.625, "==", margin=0.125).verdict == "holds"
    assert record(0.3749999, 0.5, "==", margin=0.125).verdict == "inconclusive"
    assert record(0.5, 0.6250001, "==", margin=0.125).verdict == "inconclusive"


def test_rounding_moves_both_limits() -> None:
    exact: dict[str, Any] = {"margin": 0.0, "n": 0, "rounding": 0.25}
    for relation, inside, outside in (("<=", 0.75, 0.7500001), (">=", 0.25, 0.2499999)):
        assert record(inside, inside, relation, **exact).verdict == "holds"
        assert record(outside, outside, relation, **exact).verdict == "violated"
    for value, verdict in ((0.25, "holds"), (0.75, "holds"), (0.76, "violated"), (0.2, "violated")):
        assert record(value, value, "==", **exact).verdict == verdict


@pytest.mark.parametrize("relation", ["<=", ">=", "=="])
def test_an_estimate_that_is_no_number_is_an_error_and_no_violation(relation) -> None:
    for ends in ((math.nan, math.nan), (0.0, 1.0)):
        with pytest.raises(ArithmeticError, match=r"4\.2, an instance: the estimate is no number"):
            record(*ends, relation, estimate=math.nan)
    for ends in ((-math.inf, 0.0), (0.0, math.inf)):
        with pytest.raises(ArithmeticError, match="the estimate is no number"):
            record(*ends, relation, estimate=math.nan)
    nothing = record(-math.inf, math.inf, relation, estimate=math.nan)
    assert (nothing.unknown, nothing.verdict, nothing.wanted) == (True, "inconclusive", None)
    assert not record(-math.inf, math.inf, relation, estimate=0.5).unknown


@pytest.mark.parametrize("relation", ["<=", ">=", "=="])
def test_an_interval_whose_ends_are_no_numbers_says_nothing(relation) -> None:
    assert record(math.nan, math.nan, relation, estimate=0.5).verdict == "inconclusive"


def test_slack_is_positive_on_the_side_that_is_claimed() -> None:
    below, above = record(0.2, 0.4, "<="), record(0.7, 0.9, "<=")
    assert below.slack == pytest.approx(0.2)
    assert above.slack == pytest.approx(-0.3)
    assert record(0.2, 0.4, ">=").slack == pytest.approx(-0.2)
    assert record(0.7, 0.9, ">=").slack == pytest.approx(0.3)
    assert record(0.2, 0.4, "==").slack == pytest.approx(-0.2)
    assert record(0.7, 0.9, "==").slack == pytest.approx(-0.3)


def test_a_record_says_everything_in_one_line() -> None:
    text = str(record(0.7, 0.8, "<="))
    assert len(text.splitlines()) == 1
    for fact in ("4.2", "violated", "a quantity <= 0.5", "0.75", "[0.7, 0.8]", "0.01", "n = 10"):
        assert fact in text
    assert "seed = 0" in text


def test_overall_is_the_worst_verdict() -> None:
    with pytest.raises(ValueError, match="no comparison"):
        overall([])
    assert overall(["holds", "holds"]) == "holds"
    assert overall(["holds", "inconclusive", "holds"]) == "inconclusive"
    assert overall(["inconclusive", "violated", "holds"]) == "violated"


def test_an_inconclusive_record_says_what_would_settle_it() -> None:
    open_ = record(relation="==", bound=0.5, estimate=0.5, low=0.4, high=0.6, margin=0.05)
    assert open_.verdict == "inconclusive"
    assert open_.wanted == 4 * open_.n
    assert f"about {open_.wanted} draws would settle it" in str(open_)
    assert record(relation="==", bound=0.5, low=0.49, high=0.51, margin=0.05).wanted is None


@pytest.mark.parametrize(("low", "high"), [(0.4, math.inf), (-math.inf, 0.6), (-1e200, 1e200)])
def test_an_interval_without_end_does_not_say_what_would_settle_it(low: float, high: float) -> None:
    open_ = record(low, high, "==", estimate=0.5, margin=0.05)
    assert open_.verdict == "inconclusive"
    assert open_.wanted is None
    assert "draws would settle it" not in str(open_)


def test_a_bound_that_is_no_number_is_an_error_and_no_violation() -> None:
    with pytest.raises(ArithmeticError, match=r"A\.2, far out: the bound is no number"):
        Comparison(claim="A.2", instance="far out", quantity="P", relation=">=", bound=float("nan"))
