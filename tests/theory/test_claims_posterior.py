"""Symbols tied to numbers, steps that can fail, and the sharper forms of Theorem 4.2."""

import subprocess
import sys

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy.special import ndtr
from scipy.stats import binom

from wildmiddle.theory import posterior
from wildmiddle.theory.claims import assumptions
from wildmiddle.theory.claims import posterior as claims
from wildmiddle.theory.proofs import posterior as proofs

CASES = [
    (n, w, delta)
    for n in (2, 10, 1000, 10**7)
    for w in (1.01 / n, 0.6, 0.95)
    for delta in (1e-12, 0.05, 0.9)
    if n * w > 1
]


def claim(name):
    return next(claim for claim in claims.CLAIMS if claim.id == name)


def at_50_digits(symbols, expression):
    """The expression as a function of floats, evaluated at 50 digits."""
    function = sp.lambdify(symbols, expression, "mpmath")

    def evaluate(*values):
        with mp.workdps(50):
            return float(function(*map(mp.mpf, values)))

    return evaluate


# Symbols and numbers


@pytest.mark.parametrize(
    ("name", "function", "distance"),
    [
        ("4.2.1", posterior.sigma_plus, proofs.d_max),
        ("4.2.2", posterior.sigma_minus, proofs.d_min),
    ],
)
def test_thresholds_are_their_expressions(name, function, distance):
    symbols = (distance, proofs.N, proofs.w, proofs.delta)
    exact = at_50_digits(symbols, claim(name).formula())
    expected = [exact(9.3, *case) for case in CASES]
    np.testing.assert_allclose([function(9.3, *case) for case in CASES], expected, rtol=1e-12)


def test_margin_is_its_expression():
    exact = at_50_digits((proofs.d, proofs.sigma, proofs.L), proofs.margin)
    for case in ((9.3, 2.0, 4.5), (0.1, 3.0, 0.2), (40.0, 0.5, 12.0)):
        np.testing.assert_allclose(posterior.margin(*case), exact(*case), rtol=1e-12)


def test_mean_threshold_is_its_expression():
    d_min = np.array([3.0, 9.3, 21.0])
    mean = claim("4.3").formula().subs(sp.Symbol("M", integer=True, positive=True), 3).doit()
    nearest = sp.IndexedBase("d_min")
    mean = mean.subs({nearest[i + 1]: value for i, value in enumerate(d_min)})
    exact = at_50_digits((proofs.N, proofs.w, proofs.delta), mean)
    values = claim("4.3").at({"d_min": d_min, "N": 1000, "w": 0.95, "delta": 0.05})
    np.testing.assert_allclose(values["mean sigma_minus"], exact(1000, 0.95, 0.05), rtol=1e-12)


def test_largest_weight_is_its_expression():
    points, y = np.array([[0.0, 0.0], [1.0, 2.0], [-1.0, 0.5]]), np.array([0.3, 0.4])
    distances = np.sqrt(((points - y) ** 2).sum(1))
    exact = at_50_digits((*proofs.distance_to, proofs.sigma), claim("4.1").formula())
    for sigma in (0.2, 1.0, 30.0):
        values = claim("4.1").at({"y": y, "points": points, "sigma": sigma})
        np.testing.assert_allclose(values["max_i w_i"], exact(*distances, sigma), rtol=1e-12)


def test_weight_of_two_points_is_its_expression():
    exact = at_50_digits((proofs.d, proofs.sigma), proofs.weight_of_two)
    for d, sigma in ((3.0, 0.7), (1.0, 50.0)):
        error = posterior.decoding_error([d], sigma)
        np.testing.assert_allclose(1 - error, exact(d, sigma), rtol=1e-12)


def test_truncated_bound_is_its_expression():
    # Many points at one distance: there the truncated bound is below the union bound.
    n, d, w = 10_000, 9.3, 0.95
    exact = at_50_digits((proofs.u, proofs.S), proofs.truncated_mean)
    for sigma in (0.6, 0.9, 1.1):
        expected = (n - 1) * exact(d / sigma, (1 - w) / w)
        computed = posterior.below_probability(np.full(n - 1, d), sigma, w)
        np.testing.assert_allclose(computed, expected, rtol=1e-10)


def test_the_claims_evaluate_and_check_their_assumptions():
    values = {"N": 1000, "d_min": 9.3, "d_max": 60.0, "w": 0.95, "delta": 0.05}
    for entry in claims.CLAIMS[1:]:
        assert all(assumption.check(values) in (True, None) for assumption in entry.assumptions)
    assert claim("4.2.2").at(values)["sigma_minus"] == posterior.sigma_minus(9.3, 1000, 0.95, 0.05)
    assert assumptions.WEIGHT.check({"N": 10, "w": 0.1}) is False
    assert claims.FAILURE.check({"delta": 1.0}) is False
    assert assumptions.DISTANCES.check({"distances": [1.0, -1.0]}) is False


def test_claims_do_not_import_sympy():
    code = "import sys, wildmiddle.theory.claims; sys.exit('sympy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# A step must be able to fail


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        (proofs.log_odds_sign, {"at": 1 / (2 * proofs.N)}),
        (proofs.rises_through_zero, {"expression": -proofs.log_odds, "at": 1 / proofs.N}),
        (proofs.is_only_root, {"value": 2 * proofs.plus_root, "side": -1}),
        (proofs.fails_with, {"threshold": proofs.minus_root, "probability": proofs.delta,
                             "below": True}),
        (proofs.lower_probability, {"tau": proofs.d / proofs.sigma}),
        (proofs.even_share, {"others": proofs.N + 1}),
    ],
)  # fmt: skip
def test_more_slips_fail(step, wrong):
    assert step(**wrong) is False


def test_the_other_root_is_not_taken():
    negative = (proofs.z - sp.sqrt(proofs.z**2 + 2 * proofs.L)) / (2 * proofs.L)
    assert proofs.is_zero(2 * proofs.L * negative**2 - 2 * proofs.z * negative - 1)
    assert not proofs.is_only_root(negative, -1)


# The sharper forms


def least_below(*arguments):
    return np.minimum(
        posterior.below_probability(*arguments), posterior.split_probability(*arguments)
    )


distance_lists = st.lists(st.floats(0.01, 100), min_size=1, max_size=12)


@settings(max_examples=10)  # each is two bisections
@given(distance_lists, st.floats(0.02, 0.98), st.floats(1e-9, 0.9))
def test_all_distances_certify_no_less(distances, share, delta):
    n = len(distances) + 1
    w = 1 / n + share * (1 - 1 / n)
    plus, minus = posterior.sigma_plus, posterior.sigma_minus
    sharper_plus = posterior.sigma_plus_from_distances(distances, w, delta)
    sharper_minus = posterior.sigma_minus_from_distances(distances, w, delta)
    assert sharper_plus <= plus(max(distances), n, w, delta) * (1 + 1e-9)
    assert sharper_minus >= minus(min(distances), n, w, delta) * (1 - 1e-9)
    # And they are where their bounds pass delta.
    for sigma, bound, sign in (
        (sharper_plus, posterior.above_probability, -1),
        (sharper_minus, least_below, 1),
    ):
        if sigma > 0:
            assert bound(distances, sigma * (1 - sign * 1e-9), w) <= delta * (1 + 1e-9)
            assert bound(distances, sigma * (1 + sign * 1e-6), w) > delta * (1 - 1e-9)


def test_the_thresholds_are_on_the_certified_side():
    # The other end of the root's bracket is 1e-12 away: there the bound is above delta.
    distances = np.random.default_rng(0).uniform(1, 2, (400, 20))
    exactly = 1 + 1e-14  # rounding, where a sum is taken in another order
    delta = np.geomspace(1e-6, 0.5, 400)
    plus = posterior.sigma_plus_from_distances(distances, 0.2, delta)
    assert (posterior.above_probability(distances, plus, 0.2) <= delta * exactly).all()
    minus = posterior.sigma_minus_from_distances(distances, 0.9, delta)
    assert (least_below(distances, minus, 0.9) <= delta * exactly).all()


@given(distance_lists, st.floats(0.02, 0.98), st.floats(0.01, 100), st.floats(1.001, 10))
def test_bounds_are_monotone_in_sigma(distances, share, sigma, factor):
    n = len(distances) + 1
    w = 1 / n + share * (1 - 1 / n)
    levels = np.array([sigma, factor * sigma])
    above = posterior.above_probability(distances, levels, w)
    below = least_below(distances, levels, w)
    assert above[1] <= above[0] * (1 + 1e-9)
    assert below[1] >= below[0] * (1 - 1e-9)


@pytest.mark.parametrize(("w", "delta"), [(0.6, 0.05), (0.95, 0.3), (0.9, 1e-9)])
def test_two_points_leave_nothing_to_sharpen(w, delta):
    plus = posterior.sigma_plus_from_distances([3.0], w, delta)
    minus = posterior.sigma_minus_from_distances([3.0], w, delta)
    np.testing.assert_allclose(plus, posterior.sigma_plus(3.0, 2, w, delta), rtol=1e-9)
    np.testing.assert_allclose(minus, posterior.sigma_minus(3.0, 2, w, delta), rtol=1e-9)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.8])
def test_the_split_is_the_best_one(sigma):
    # Three points: all splits of S = 1/19 between two terms, on a fine grid.
    distances, odds = np.array([2.0, 2.5]), 1 / 19
    first = np.linspace(0, odds, 100_001)[1:-1]
    u = distances / sigma
    terms = [ndtr(-(v / 2 + np.log(s) / v)) for v, s in zip(u, (first, odds - first), strict=True)]
    split = posterior.split_probability(distances, sigma, 0.95)
    np.testing.assert_allclose(split, min(1, sum(terms).min()), rtol=1e-6)


def test_the_split_beats_truncation_at_small_delta():
    # As in data: a few near points, which deserve more of S than the crowd behind them.
    distances = np.concatenate([[1.0, 1.3], np.linspace(3, 9, 997)])
    split = posterior.split_probability(distances, 0.13, 0.95)
    assert 0 < split < 0.6 * posterior.below_probability(distances, 0.13, 0.95)


def test_duplicates():
    # Two copies share the weight, at every noise level: never above 1/2, nothing to certify.
    assert posterior.sigma_plus_from_distances([0.0, 1.0], 0.6, 0.05) == 0
    assert posterior.sigma_minus_from_distances([0.0, 1.0], 0.6, 0.05) == 0
    assert posterior.sigma_plus_from_distances([0.0, 0.0], 0.6, 0.05) == 0


def test_thresholds_broadcast():
    distances = np.linspace(1, 2, 24).reshape(2, 3, 4)
    for function in (posterior.sigma_plus_from_distances, posterior.sigma_minus_from_distances):
        whole = function(distances, 0.7, np.array([[0.1], [0.01]]))
        assert whole.shape == (2, 3)
        np.testing.assert_allclose(whole[1, 2], function(distances[1, 2], 0.7, 0.01), rtol=1e-12)


@pytest.mark.parametrize("w", [0.1, 0.5, 0.9])
def test_sharper_thresholds_hold_in_simulation(w):
    # A few points in the plane, where the bounds are not far from what happens.
    points = np.array(
        [[0.0, 0.0], [1.0, 0.0], [-0.6, 1.0], [2.0, 2.0]] + [[0.0, 3.0 + k / 9] for k in range(20)]
    )
    distances = np.sqrt((points[1:] ** 2).sum(1))
    delta, draws, seed = 0.2, 20_000, 20260217
    noise = np.random.default_rng(seed).normal(size=(draws, 2))
    for threshold, sign in (
        (posterior.sigma_plus_from_distances, 1),
        (posterior.sigma_minus_from_distances, -1),
    ):
        sigma = float(threshold(distances, w, delta))
        own = posterior.weights(sigma * noise, points, sigma)[:, 0]
        failures = int((sign * own > sign * w).sum())
        assert binom.sf(failures - 1, draws, delta) > 1e-7, (failures, draws, delta, sigma, seed)


def test_sharper_forms_refuse_what_the_theorem_refuses():
    for function in (posterior.sigma_plus_from_distances, posterior.sigma_minus_from_distances):
        with pytest.raises(ValueError, match=r"w = 0\.2 "):
            function([1.0, 2.0], 0.2, 0.05)
        with pytest.raises(ValueError, match=r"delta = 0\.0 "):
            function([1.0, 2.0], 0.7, 0.0)
    for function in (posterior.above_probability, posterior.split_probability):
        with pytest.raises(ValueError, match=r"sigma = -1\.0 "):
            function([1.0, 2.0], -1.0, 0.5)


def test_one_near_point_bounds_the_weight_where_its_share_is_exactly_one():
    # At w = 1/2 the sum of the others' terms is below 1, so the nearest one's is: m = k = 1.
    found = posterior.above_probability([1.0, 50.0], 1.0, 0.5)
    assert found == pytest.approx(ndtr(0.5), rel=1e-14)


def test_the_split_says_nothing_of_points_that_sigma_cannot_tell_apart():
    assert posterior.split_probability([1e-4, 5.0], 1.0, 0.9) == 1
