"""Shells and coverage: order, limits, invariance and sharpness.

Inequalities between rounded numbers are granted ``SLACK``, relative.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wildmiddle.theory import coverage, shells, small_noise

SLACK = 1e-12


def powers(low, high):
    return st.floats(low, high).map(lambda exponent: float(10.0**exponent))


counts = st.integers(2, 10**7)
sigmas = powers(-4, 4)
factors = st.floats(1, 10)
seeds = st.integers(0, 2**32 - 1)
dimensions = st.one_of(st.integers(1, 64), st.sampled_from([784, 3072, 196_608]))


@st.composite
def shell_settings(draw):
    d = draw(dimensions)
    return d, d * draw(powers(-5, 0.6))  # from c = d/4 on the shell is a ball


@given(shell_settings())
def test_shell_against_its_bound(setting):
    d, c = setting
    r_in, r_out = shells.radii(d, c)
    assert 0 <= r_in <= np.sqrt(d) <= r_out
    exact = shells.shell_probability(d, c)
    assert max(0, shells.shell_bound(c)) <= exact + 1e-13
    assert exact <= 1
    assert shells.outside_probability(d, c) <= 2 * np.exp(-c) * (1 + SLACK)
    assert shells.outside_probability(d, c / 2) >= shells.outside_probability(d, c)


@given(dimensions, powers(-6, 2.8))
def test_laurent_massart(d, t):
    # Lemma B.1 holds for every t, also where a shell has no inner radius.
    lower, upper = shells.tails(d, t)
    below, above, bound = shells.tail_bounds(d, t)
    assert below < d < above
    assert 0 <= lower <= bound * (1 + SLACK)
    assert 0 <= upper <= bound * (1 + SLACK)


@given(shell_settings(), st.floats(0, 3), factors)
def test_overlap_probability_falls_with_distance(setting, share, factor):
    # From r = 0 on, with no maximum in between: see shells.shifted_probability for the proof.
    d, c = setting
    distance = share * d**0.25 * max(1, (4 * c) ** 0.25)
    here = coverage.overlap_probability(distance, 1.0, d, c)
    own = shells.shell_probability(d, c)
    assert 0 <= here <= own + 1e-13
    assert coverage.overlap_probability(factor * distance, 1.0, d, c) <= here + 1e-13
    assert coverage.overlap_probability(distance, factor, d, c) >= here - 1e-13
    assert coverage.overlap_probability(0.0, 1.0, d, c) == pytest.approx(own, abs=1e-13)
    assert coverage.overlap_probability(4 * distance, 4.0, d, c) == here
    assert coverage.overlap_probability(distance, 1e9, d, c) == pytest.approx(own, abs=1e-9)
    assert coverage.overlap_probability(max(distance, 1.0), 1e-4, d, c) == 0


@pytest.mark.parametrize("setting", [(1, 0.1), (2, 0.2), (64, 5.0)])
def test_a_shift_whose_square_is_no_normal_number_changes_nothing(setting):
    own = shells.shell_probability(*setting)
    for shift in 10.0 ** np.arange(-324, -149):
        assert shells.shifted_probability(shift, *setting) == pytest.approx(own, abs=1e-13)


@given(shell_settings())
def test_density_is_lower_inside_than_outside(setting):
    # h(q) < 0, about -2/3 q^3 at small q, which is why the overlap falls from its start on.
    d, c = setting
    q = np.sqrt(c / d)
    if q < 0.5:  # else the density at the inner radius, 0, is 0
        slope = (np.log1p(-2 * q) - np.log1p(2 * q + 2 * q**2)) / 2 + 2 * q + q**2
        assert slope < -0.66 * q**3 + 1e-15
    steps = coverage.overlap_probability(np.linspace(0, 1, 9) * d**0.25, 1.0, d, c)
    assert (np.diff(steps) <= 1e-14).all()


@given(seeds, st.integers(1, 9), st.integers(1, 9), sigmas)
def test_bounds_of_theorem_4_8(seed, n, m, sigma):
    pairs = np.random.default_rng(seed).uniform(0, 20, (m, n))
    lower = coverage.lower_bound(pairs.min(1), [sigma], 64, 5.0)[0]
    mean = coverage.overlap_probability(pairs, sigma, 64, 5.0).mean()
    upper = coverage.upper_bound(mean, n)
    assert 0 <= lower <= upper * (1 + SLACK) <= 1 + SLACK
    if n == 1:
        assert lower == pytest.approx(float(upper), rel=1e-13)


@given(powers(-300, 0), counts, factors)
def test_expected_coverage(q, n, factor):
    here = coverage.expected_coverage(q, n)
    assert q * (1 - SLACK) <= here <= coverage.upper_bound(q, n) * (1 + SLACK)
    assert coverage.expected_coverage(q / factor, n) <= here * (1 + SLACK)
    assert coverage.expected_coverage(q, n + 1) >= here * (1 - SLACK)


@given(shell_settings(), st.floats(1e-3, 2.5))
def test_shell_overlap_is_a_share(setting, reach):
    # No monotone one: two thin rings have most in common where they all but coincide or touch.
    d, c = setting
    assume(c > 1e-3)
    r_out = float(shells.radii(d, c)[1])
    share = small_noise.shell_overlap(reach * r_out, 1.0, d, c)
    assert -1e-9 <= share <= 1 + 1e-9
    if reach >= 2:
        assert share == 0
    touching = small_noise.disjoint_sigma(reach, d, c)
    assert small_noise.shell_overlap(reach, touching * (1 - 1e-12), d, c) == 0
