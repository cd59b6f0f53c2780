"""Equalities of the coverage settle with the draws that they get, and would not with fewer."""

import numpy as np
import pytest
from scipy.stats import binom, kstwo, uniform

from wildmiddle.checks.coverage import EQUALITY, MARGIN
from wildmiddle.checks.records import Comparison
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.statistics import (
    detectable_proportion,
    from_distribution,
    required_samples,
)
from wildmiddle.empirical.intervals import anytime_proportion, proportion

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


def test_samples_that_are_a_power_of_two_are_found() -> None:
    # The last number of its bracket, and none before it in the bracket is enough.
    for n in (16, 64, 256):
        effect = detectable_proportion(0.2, n, 1e-6)
        assert all(detectable_proportion(0.2, m, 1e-6) > effect for m in range(n // 2 + 1, n))
        assert required_samples(effect, 1e-6, 0.2) == n


def test_what_is_called_detectable_is_seen_99_times_in_100() -> None:
    n, bound, alpha = 1000, 0.3, 1e-6
    effect = detectable_proportion(bound, n, alpha, "<=")
    counts = np.arange(n + 1)
    refuted = counts[proportion(counts, n, alpha).low > bound]
    assert binom.sf(refuted[0] - 1, n, bound + effect) == pytest.approx(0.99, abs=1e-9)


def test_the_detectable_gap_of_two_distributions_is_kolmogorovs() -> None:
    comparison = Comparison(claim="4.5", instance="i", quantity="q", relation="==", bound=0.0)
    draws = (np.arange(50) + 0.5) / 50
    record = from_distribution(comparison, draws, uniform.cdf, alpha=1e-6, seed=1)
    assert record.detectable == pytest.approx(kstwo.isf(1e-6, 50) + kstwo.isf(0.01, 50))
    assert record.seconds == 0


@pytest.mark.parametrize("effect", [0.0, -0.1])
def test_no_effect_takes_no_number_of_samples(effect) -> None:
    with pytest.raises(ValueError, match=r"leaves \[0, 1\]"):
        required_samples(effect, 1e-6, 0.5)
