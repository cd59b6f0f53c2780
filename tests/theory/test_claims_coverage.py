"""Symbols tied to numbers, steps that can fail, and the second-order bounds of Theorem 4.8."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from scipy.special import ndtr

from wildmiddle.theory import coverage, shells
from wildmiddle.theory.claims import coverage as claims
from wildmiddle.theory.proofs import coverage as proofs
from wildmiddle.theory.proofs import noncentral, second_order
from wildmiddle.theory.proofs.shells import c, d, r, sigma


def claim(name):
    return next(claim for claim in claims.CLAIMS if claim.id == name)


def at_50_digits(symbols, expression):
    """The expression as a function of floats, evaluated at 50 digits."""
    function = sp.lambdify(symbols, expression, "mpmath")

    def evaluate(*values):
        with mp.workdps(50):
            value = function(*map(mp.mpf, values))
            return value if isinstance(value, bool) else float(value)

    return evaluate


# Symbols and numbers

OVERLAPS = [
    (0.5, 1.0, 4, 1.0),
    (3.0, 0.7, 64, 5.0),
    (9.3, 2.0, 64, 0.5),
    (20.0, 2.0, 3072, 5.0),
]


def test_overlap_is_its_expression():
    exact = at_50_digits((r, sigma, d, c), claim("4.7").formula())
    for distance, level, dimension, width in OVERLAPS:
        values = claim("4.7").at({"r": distance, "sigma": level, "d": dimension, "c": width})
        np.testing.assert_allclose(
            values["p_sigma"], exact(distance, level, dimension, width), rtol=1e-11
        )


def test_overlap_depends_on_the_offset_by_its_length():
    plane = sp.symbols("v_1:3", real=True)
    exact = at_50_digits((*plane, sigma, d, c), claim("B.4").formula())
    expected = coverage.overlap_probability(5.0, 1.2, 12, 1.5)
    for v in ((5.0, 0.0), (-3.0, 4.0), (0.0, -5.0)):
        np.testing.assert_allclose(exact(*v, 1.2, 12, 1.5), expected, rtol=1e-12)
    pair = sp.Symbol("X", real=True), sp.Symbol("X'", real=True)
    exact = at_50_digits((*pair, sigma, d, c), claim("B.5").formula())
    np.testing.assert_allclose(exact(-2.0, 3.0, 1.2, 12, 1.5), expected, rtol=1e-12)


def test_union_is_its_expression():
    union = claim("4.6").formula().subs(proofs.N, 3).doit()
    inner, outer = shells.radii(16, 1.0)
    inside, hole, beyond = (inner + outer) / 2, inner / 2, 2 * outer
    for distances in product((inside, hole, beyond), repeat=3):
        hits = {proofs.hit[i + 1]: int(value == inside) for i, value in enumerate(distances)}
        values = claim("4.6").at({"distances": distances, "sigma": 1.0, "d": 16, "c": 1.0})
        assert values["covered"] == bool(union.subs(hits))


def test_is_covered_broadcasts_over_noise_levels():
    distances = np.array([[3.0, 9.0], [40.0, 41.0]])
    whole = coverage.is_covered(distances, np.array([[1.0], [0.8], [10.0]]), 16, 1.0)
    assert whole.tolist() == [[True, False], [True, False], [False, True]]


def test_conditional_mean_is_its_expression():
    phi, probability = [2.0, -1.0, 7.0], [0.5, 0.2, 0.3]
    mean = claim("B.2").formula().subs(proofs.N, 3).doit()
    for name, values in (("phi", phi), ("probability", probability)):
        base = sp.IndexedBase(name)
        mean = mean.subs({base[i + 1]: value for i, value in enumerate(values)})
    values = claim("B.2").at({"phi": phi, "probability": probability})
    np.testing.assert_allclose(values["g"], float(mean), rtol=1e-15)
    with pytest.raises(ValueError, match=r"probability = -0\.1"):
        coverage.conditional_mean([1.0, 2.0], [1.1, -0.1])
    with pytest.raises(ValueError, match=r"sum of probability = 0\.5"):
        coverage.conditional_mean([1.0, 2.0], [0.25, 0.25])


def test_exact_coverage_is_its_expression():
    exact = at_50_digits((proofs.q, proofs.N), claim("B.3").formula())
    for q, n in ((0.0, 3), (1e-12, 10**7), (0.3, 1), (0.02, 50), (1.0, 4)):
        values = claim("B.3").at({"q": q, "N": n})
        np.testing.assert_allclose(values["coverage"], exact(q, n), rtol=1e-12)


def test_theorem_4_8_is_its_expression():
    symbols = (proofs.p_nn, proofs.C, proofs.N, proofs.p)
    holds = at_50_digits(symbols, claim("4.8").formula())
    assert holds(0.1, 0.2, 10, 0.05)
    assert not holds(0.3, 0.2, 10, 0.05)
    assert not holds(0.1, 0.6, 10, 0.05)
    upper = at_50_digits((proofs.N, proofs.p), proofs.coverage_upper)
    for n, p in ((1, 0.3), (10, 0.05), (1000, 0.01)):
        np.testing.assert_allclose(coverage.upper_bound(p, n), upper(n, p), rtol=1e-14)


def test_the_claim_evaluates_both_bounds():
    pairs, nearest = np.array([[30.0, 45.0], [32.0, 38.0]]), np.array([30.0, 32.0])
    values = claim("4.8").at(
        {"distances": pairs, "r_nn": nearest, "N": 2, "sigma": 1.5, "d": 3072, "c": 5.0}
    )
    overlaps = coverage.overlap_probability(pairs, 1.5, 3072, 5.0)
    np.testing.assert_allclose(values["lower"], [overlaps[:, 0].mean()], rtol=1e-14)
    np.testing.assert_allclose(values["upper"], min(1, overlaps.sum(1).mean()), rtol=1e-14)
    assert values["lower"] <= values["upper"]


def test_second_order_bounds_are_their_expressions():
    symbols = (proofs.S1, proofs.S2, proofs.k)
    lower = at_50_digits(symbols, proofs.dawson_sankoff)
    upper = at_50_digits((proofs.S1, proofs.S2, proofs.N), proofs.second_order_upper)
    for s1, s2, n in ((0.3, 0.05, 3), (2.5, 4.0, 10), (1e-9, 1e-12, 100), (900.0, 4e5, 10**6)):
        order = 1 + int(2 * s2 / s1)
        np.testing.assert_allclose(
            coverage.dawson_sankoff_lower(s1, s2), min(1, lower(s1, s2, order)), rtol=1e-13
        )
        np.testing.assert_allclose(
            coverage.second_order_upper(s1, s2, n), upper(s1, s2, n), rtol=1e-13
        )


def test_half_coverage_sigma_is_its_expression():
    exact = at_50_digits((r, d, c), noncentral.half_coverage_sigma)
    for dimension, width in ((64, 5.0), (3072, 5.0), (196_608, 1.0)):
        level = coverage.half_coverage_sigma(20.0, dimension, width)
        np.testing.assert_allclose(level, exact(20.0, dimension, width), rtol=1e-14)
    # "About": the median lies below the mean, so p is above one half there, if not by much.
    overlap = coverage.overlap_probability(20.0, coverage.half_coverage_sigma(20.0, 3072), 3072)
    assert 0.5 < overlap < 0.52


def test_assumptions():
    assert claims.MOMENTS.check({"S1": 0.3, "S2": 0.1, "N": 3}) is True
    assert claims.MOMENTS.check({"S1": 0.3, "S2": 0.5, "N": 3}) is False
    assert claims.HIT.check({"q": [0.2, 1.2]}) is False
    assert claims.DISTRIBUTION.check({"probability": [0.5, 0.6]}) is False
    assert claims.DISTRIBUTION.check({"probability": [0.5, 0.5]}) is True


# Second-order bounds


def moments(masses):
    """``S1``, ``S2`` and ``P(V >= 1)`` of the number V of events, masses[v] = P(V = v)."""
    s1 = sum(v * p for v, p in enumerate(masses))
    s2 = sum(v * (v - 1) * p for v, p in enumerate(masses)) / 2
    return s1, s2, 1 - masses[0]


def test_every_small_space_of_three_events():
    # The numeric functions on the spaces of the proof step, against exact fractions.
    atoms = list(product((0, 1), repeat=3))
    spaces = second_order.quarter_spaces()
    assert len(set(spaces)) == 330
    assert all(sum(space) == 4 for space in spaces)
    for space in spaces:
        masses = [Fraction(0)] * 4
        for mass, atom in zip(space, atoms, strict=True):
            masses[sum(atom)] += Fraction(mass, 4)
        s1, s2, union = map(float, moments(masses))
        bonferroni = coverage.bonferroni_lower(s1, s2)
        lower = coverage.dawson_sankoff_lower(s1, s2)
        upper = coverage.second_order_upper(s1, s2, 3)
        slack = 1e-15
        assert bonferroni <= lower + slack
        assert lower <= union + slack
        assert union <= upper + slack
        assert upper <= coverage.upper_bound(s1 / 3, 3) + slack


distributions = st.lists(st.floats(1e-6, 1), min_size=2, max_size=40).map(
    lambda weights: [weight / sum(weights) for weight in weights]
)


@given(distributions)
def test_bounds_enclose_and_beat_the_first_order(masses):
    n = len(masses) - 1
    s1, s2, union = moments(masses)
    lower, upper = coverage.dawson_sankoff_lower(s1, s2), coverage.second_order_upper(s1, s2, n)
    slack = 1e-12
    assert coverage.bonferroni_lower(s1, s2) <= lower + slack
    assert lower <= union + slack
    assert union <= upper + slack
    assert upper <= min(1, s1) + slack


@given(st.floats(0.01, 50), st.floats(0, 50))
def test_dawson_sankoff_takes_the_best_order(s1, ratio):
    s2 = ratio * s1
    orders = np.arange(1, 200)
    every = 2 * s1 / (orders + 1) - 2 * s2 / (orders * (orders + 1))
    best = min(1, every.max())
    np.testing.assert_allclose(coverage.dawson_sankoff_lower(s1, s2), best, rtol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 7])
def test_dawson_sankoff_is_tight(order):
    masses = [0.0] * 10
    masses[0], masses[order], masses[order + 1] = 0.5, 0.3, 0.2
    s1, s2, union = moments(masses)
    np.testing.assert_allclose(coverage.dawson_sankoff_lower(s1, s2), union, rtol=1e-14)


def test_second_order_upper_is_tight():
    masses = [0.5, 0.3, *[0.0] * 7, 0.2]
    s1, s2, union = moments(masses)
    np.testing.assert_allclose(coverage.second_order_upper(s1, s2, 9), union, rtol=1e-14)
    assert coverage.upper_bound(s1 / 9, 9) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(1, 10**7))
def test_the_exact_identity_lies_between(q, n):
    # N i.i.d. training points: S1 = N E q, S2 = N (N - 1)/2 E q^2.
    q = np.array(q)
    s1, s2 = n * q.mean(), n * (n - 1) / 2 * np.square(q).mean()
    exact = coverage.expected_coverage(q, n).mean()
    slack = 1e-9
    assert coverage.dawson_sankoff_lower(s1, s2) <= exact + slack
    assert exact <= coverage.second_order_upper(s1, s2, n) + slack


def test_no_hit_at_all():
    assert coverage.dawson_sankoff_lower(0.0, 0.0) == 0
    assert coverage.bonferroni_lower(0.0, 0.0) == 0
    assert coverage.second_order_upper(0.0, 0.0, 5) == 0
    assert coverage.dawson_sankoff_lower([0.0, 1.0], [[0.0], [0.5]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (coverage.bonferroni_lower, (-0.1, 0.0), r"s1 = -0\.1 "),
        (coverage.dawson_sankoff_lower, (0.1, -1.0), r"s2 = -1\.0 "),
        (coverage.dawson_sankoff_lower, (np.nan, 0.0), "s1 = nan "),
        (coverage.second_order_upper, (3.0, 1.0, 2), r"s1 = 3\.0 "),
        (coverage.second_order_upper, (1.0, 0.6, 2), r"s2 = 0\.6 "),
        (coverage.second_order_upper, (0.5, 0.0, 0), "n = 0"),
    ],
)
def test_outside_the_domain(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


# A step must be able to fail


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        (proofs.encloses, {"level": "0.2", "points": ("0.5",), "scale": 2}),
        (
            proofs.encloses,
            {"level": "1", "points": ("0.3", "-1.1", "0.35"), "scale": sp.Rational(1, 4)},
        ),
        (second_order.second_order_gap, {"factor": 1}),
        (second_order.bounds_enclose, {"counts": (0, 1, 1, 0, 1, 0, 0, 1), "off": 1}),
        (proofs.coverage_identity, {"claimed": 1 - (1 - proofs.q) ** (2 * proofs.N)}),
        (proofs.convex_from_zero, {"gap": proofs.exact_coverage - proofs.N * proofs.q}),
        (proofs.conditional_overlap, {"offset": -2 * sp.sqrt(noncentral.lam)}),
        (noncentral.noncentral_mean, {"claimed": d - noncentral.lam}),
        (noncentral.overlap_falls, {"quadratic": 3}),
    ],
)
def test_more_slips_fail(step, wrong):
    assert step(**wrong) is False


# How far the coverage may fall


def test_coverage_of_balls_falls_by_what_is_outside_of_one_at_most():
    # c >= d/4: no holes. At small sigma nothing else is left, at large sigma neither.
    sigma = [1e-3, 1.0, 1e9]
    found = coverage.fall_bound([1.0, 4.0], sigma, 50, 3, 2.0)
    np.testing.assert_allclose(found, shells.tails(3, 2.0)[1], rtol=1e-12)


def test_the_fall_is_one_less_the_overlap_where_that_is_less():
    # Thin shells with large holes, at a sigma at which all of them are nearly one.
    found = coverage.fall_bound([1e-6], 1.0, 1000, 64, 5.0)
    np.testing.assert_allclose(found, 1 - coverage.overlap_probability(1e-6, 1.0, 64, 5.0))
    assert found < shells.tails(64, 5.0)[1] + 1000 * shells.tails(64, 5.0)[0]


@pytest.mark.parametrize("away", [0.5, 1.0, 3.0, 50.0, 1e10])
def test_a_hole_adds_its_own_probability_however_far_it_is(away):
    r_in, beyond = float(shells.radii(64, 5.0)[0]), shells.tails(64, 5.0)[1]
    hole = noncentral.noncentral_chi2_cdf(r_in**2, 64, (r_in + away) ** 2) if away < 10 else 0
    found = coverage.fall_bound([2 * (r_in + away)], 2.0, 20, 64, 5.0)
    np.testing.assert_allclose(found, beyond + 20 * float(hole), rtol=1e-9)


@pytest.mark.parametrize(("c", "width"), [(0.02, 3.0), (0.1, 3.0), (0.2, 2.0), (0.3, 4.0)])
def test_coverage_on_a_line_falls_by_no_more(c, width):
    # Unions of intervals, exactly: 60 sets of one to twelve points, every pair of noise levels.
    rng = np.random.default_rng(20261126)
    sigmas = np.geomspace(0.2, 20, 25)
    inner, outer = (float(r) for r in shells.radii(1, c))
    for _ in range(60):
        points = rng.normal(0, width, rng.integers(1, 13))
        covered = np.array([_line_coverage(points / s, inner, outer) for s in sigmas])
        nearest = np.abs(points).min()
        bound = coverage.fall_bound([nearest], sigmas, len(points), 1, c)
        fall = np.maximum.accumulate(covered) - covered
        assert (fall <= bound + 1e-12).all()


def _line_coverage(centres, inner, outer):
    # P(Z in the union of [w + inner, w + outer] and [w - outer, w - inner]).
    starts = np.concatenate([centres + inner, centres - outer])
    ends = np.concatenate([centres + outer, centres - inner])
    order = np.argsort(starts)
    total, reach = 0.0, -np.inf
    for start, end in zip(starts[order], ends[order], strict=True):
        if end > reach:
            total += ndtr(end) - ndtr(max(start, reach))
            reach = end
    return total


def test_mean_overlap_is_the_weighted_mean_over_pairs():
    pairs, sigma = np.array([[30.0, 45.0], [32.0, 90.0], [3.0, 200.0]]), np.array([0.4, 1.5])
    overlaps = coverage.overlap_probability(pairs[..., None], sigma, 3072, 5.0)
    mean = coverage.mean_overlap(pairs, sigma, 3072)
    np.testing.assert_allclose(mean, overlaps.mean((0, 1)), rtol=1e-8)
    assert 0.1 < mean[1] < 0.9
    weights = np.array([[1.0, 4.0], [2.0, 1.0], [0.5, 3.0]])
    expected = (weights[..., None] * overlaps).sum((0, 1)) / weights.sum()
    mean = coverage.mean_overlap(pairs, sigma, 3072, weights=weights)
    np.testing.assert_allclose(mean, expected, rtol=1e-8)
