"""Equalities of the coverage settle with the draws that they get, and would not with fewer."""

import numpy as np
import pytest
from scipy.stats import binom

from wildmiddle.checks.coverage import EQUALITY, MARGIN
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.statistics import detectable_proportion, required_samples
from wildmiddle.empirical.intervals import anytime_proportion

ALPHA = 1e-6 / 11 / 18
"""Of one equality of Theorem 4.8 in a whole run: 11 claims, a third of it, 6 comparisons."""


def settled(n: int) -> float:
    """Probability that a true equality at 1/2 is settled by ``n`` draws."""
    k = np.arange(n + 1)
    found = anytime_proportion(k, n, ALPHA)
    inside = (found.low >= 0.5 - MARGIN) & (found.high <= 0.5 + MARGIN)
    return float(binom.pmf(k[inside], n, 0.5).sum())


@pytest.fixture
def samples() -> int:
    assert Settings.alpha == 1e-6
    return Settings.samples


def test_an_equality_at_one_half_settles(samples) -> None:
    assert settled(EQUALITY * samples) > 0.9999


def test_with_the_draws_of_a_bound_it_stays_open_one_time_in_eight(samples) -> None:
    assert 1 - settled(samples) == pytest.approx(1 / 8, abs=0.02)


@pytest.mark.parametrize("bound", [0.1, 0.9])
def test_a_side_on_which_nothing_can_be_refuted_counts_with_its_whole_room(bound) -> None:
    # Three trials refute nothing at 1e-6.
    assert detectable_proportion(bound, 3, 1e-6) == pytest.approx(0.9)
    assert detectable_proportion(bound, 3, 1e-6, "<=") == np.inf
    assert detectable_proportion(bound, 3, 1e-6, ">=") == np.inf


def test_samples_are_looked_for_up_to_the_limit_and_no_further() -> None:
    n = required_samples(0.1, 1e-6, 0.5)
    assert detectable_proportion(0.5, n, 1e-6) <= 0.1 < detectable_proportion(0.5, n - 1, 1e-6)
    bracket = 2 ** (n - 1).bit_length()
    assert required_samples(0.1, 1e-6, 0.5, most=bracket) == n
    with pytest.raises(ValueError, match="more than"):
        required_samples(0.1, 1e-6, 0.5, most=bracket - 1)


@pytest.mark.parametrize("bound", [0.1, 0.9])
def test_an_equality_is_refuted_on_the_side_that_has_room(bound) -> None:
    n = required_samples(0.5, 1e-6, bound)
    side = "<=" if bound < 0.5 else ">="
    assert n >= required_samples(0.5, 1e-6, bound, side) > 1
    for relation in ("==", side):
        with pytest.raises(ValueError, match=r"leaves \[0, 1\]"):
            required_samples(0.9, 1e-6, bound, relation)
    other = {"<=": ">=", ">=": "<="}[side]
    with pytest.raises(ValueError, match=r"leaves \[0, 1\]"):
        required_samples(0.5, 1e-6, bound, other)


def test_more_than_a_milliard_samples_are_not_looked_for() -> None:
    with pytest.raises(ValueError, match="more than 1000000000 trials"):
        required_samples(1e-6, 1e-6, 0.5)
