"""Posterior weight and flow matching against mpmath at 50 digits, over the stated domain."""

from itertools import product

import numpy as np
import pytest

from wildmiddle.theory import flow_matching, posterior

COUNTS = (2, 3, 4, 10, 1000, 50_000, 10_000_000)
DELTAS = (1e-300, 1e-200, 1e-50, 1e-9, 0.05, 0.5, 0.75, 1 - 1e-12)
SIGMAS = (1e-4, 0.002, 0.3, 1.0, 80.0, 1e4)


def levels(n):
    """Values of w from just above 1/N to just below 1."""
    return tuple(w for w in ((1 + 1e-9) / n, 1.5 / n, 0.5, 0.95, 1 - 1e-12) if n * w > 1 and w < 1)


GRID = [(n, w, delta) for n in COUNTS for w in levels(n) for delta in DELTAS]


def test_log_odds(reference):
    pairs = sorted({(n, w) for n, w, _ in GRID} | {(2, 0.5 + 2**-53), (7, 1 / 7 + 2**-52)})
    n, w = np.array(pairs).T
    reference.assert_agrees(posterior.log_odds(n, w), [reference.log_odds(*p) for p in pairs])


def test_union_quantile(reference):
    pairs = [(n, delta) for n in COUNTS for delta in DELTAS]
    pairs += [(2, 0.5 + 1e-9), (2, 0.5 - 1e-9), (3, 1 - 2**-53)]  # z near 0
    n, delta = np.array(pairs).T
    exact = [reference.union_quantile(*p) for p in pairs]
    reference.assert_agrees(posterior.union_quantile(n, delta), exact)
    assert posterior.union_quantile(2, 0.5) == 0


def test_thresholds_of_theorem_4_2(reference):
    n, w, delta = np.array(GRID).T
    for distance in (1e-3, 9.3, 6e4):
        plus = [
            reference.sigma_plus(distance, *case) for case in GRID[:: 5 if distance > 1 else 17]
        ]
        minus = [reference.sigma_minus(distance, *case) for case in GRID[::7]]
        part = slice(None, None, 5 if distance > 1 else 17)
        computed = posterior.sigma_plus(distance, n[part], w[part], delta[part])
        reference.assert_agrees(computed, plus)
        reference.assert_agrees(posterior.sigma_minus(distance, n[::7], w[::7], delta[::7]), minus)


def test_margin(reference):
    # tau is a difference: near its zero its digits are those of d and sigma. So its error is
    # measured against the larger term, by which one unit in the last place of sigma moves it.
    cases = list(product((1e-6, 0.01, 1.0, 9.3, 443.0, 1e5), SIGMAS, (1e-9, 0.3, 7.0, 44.0, -3.0)))
    distance, sigma, level = np.array(cases).T
    exact = [reference.margin(*case) for case in cases]
    scale = np.maximum(distance / (2 * sigma), np.abs(level) * sigma / distance)
    reference.assert_agrees(posterior.margin(distance, sigma, level), exact, 1e-15, scale)
    computed = posterior.margin(3.0, 1.0, np.array([7.0, -3.0, 1e-9]))
    reference.assert_agrees(computed, [reference.margin(3.0, 1.0, v) for v in (7.0, -3.0, 1e-9)])


def test_margin_of_a_duplicate():
    assert posterior.margin(0.0, 1.0, 2.0) == -np.inf
    assert posterior.margin(0.0, 1.0, -2.0) == np.inf
    assert posterior.margin(0.0, 1.0, 0.0) == 0
    assert posterior.margin(1e-320, 1e4, 2.0) == -np.inf


@pytest.mark.parametrize("sigma", [1e-4, 0.05, 0.13, 0.2, 0.4, 1.0, 3.0, 80.0, 1e4])
def test_bounds_from_all_distances(reference, sigma):
    rng = np.random.default_rng(20260217)
    for count, spread in ((1, 0.0), (3, 0.5), (30, 2.0)):
        distances = 9.3 + spread * rng.random(count)
        for w in (1.01 / (count + 1), 0.6, 0.95, 1 - 1e-12):
            if w * (count + 1) > 1:
                exact = reference.below_probability(distances, sigma, w)
                reference.assert_agrees(posterior.below_probability(distances, sigma, w), exact)
        exact = reference.decoding_error(distances, sigma)
        reference.assert_agrees(posterior.decoding_error(distances, sigma), exact)


def test_bounds_deep_in_the_tail(reference):
    for ratio in (20.0, 40.0, 60.0, 73.0):  # Phi(-36.5) is 3e-292
        distances = np.array([ratio, ratio + 0.1, 2 * ratio])
        exact = reference.decoding_error(distances, 1.0)
        reference.assert_agrees(posterior.decoding_error(distances, 1.0), exact)
        for w in (0.4, 0.95, 1 - 1e-12):
            exact = reference.below_probability(distances, 1.0, w)
            reference.assert_agrees(posterior.below_probability(distances, 1.0, w), exact)


def test_bounds_over_many_points(reference):
    # Sums of a million terms, of one length so that the truth is cheap.
    distances = np.full(10**6 - 1, 13.0)
    for sigma, w in ((0.4, 0.95),):
        level = reference.log_odds(10**6, w)
        union = (10**6 - 1) * reference.upper_normal(reference.margin(13.0, sigma, level))
        odds = reference.mp.mpf(w) / (1 - reference.mp.mpf(w))
        near, far = (
            reference.upper_normal(reference.margin(13.0, sigma, s * reference.mp.log(odds)))
            for s in (1, -1)
        )
        exact = min(1, union, (10**6 - 1) * (near + odds * far))
        reference.assert_agrees(posterior.below_probability(distances, sigma, w), exact)


CASES = [(d, sigma) for d in (1, 2, 64, 3072) for sigma in (1e-4, 0.3, 80.0, 1e4)]


@pytest.mark.parametrize(("d", "sigma"), [*CASES, (196_608, 80.0)])
def test_weights(reference, d, sigma):
    # Points a few sigma apart: farther ones have no weight.
    rng = np.random.default_rng(d)
    points = rng.uniform(-1, 1, d) + sigma * rng.normal(size=(4, d)) * 3 / np.sqrt(d)
    y = points[0] + sigma * rng.normal(size=d)
    reference.assert_agrees(
        posterior.weights(y, points, sigma), reference.weights(y, points, sigma)
    )


def test_weights_far_away_and_on_a_point():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    assert posterior.weights([0.0, 0.0], points, 1e-4).tolist() == [1, 0, 0]
    assert posterior.weights([1e9, 0.0], points, 1e-4).tolist() == [0, 1, 0]
    np.testing.assert_allclose(posterior.weights([0.3, 0.2], points, 1e9), 1 / 3, rtol=1e-15)


@pytest.mark.parametrize("n", [2, 1000, 10_000_000])
def test_concentration_failure(reference, n):
    for w, sigma in product(levels(n), (1e-4, 0.125, 0.15, 0.3, 1.0, 1e4)):
        exact = reference.concentration_failure(9.3, sigma, n, w)
        computed = flow_matching.concentration_failure(9.3, sigma, n, w)
        reference.assert_agrees(computed, exact)


def exact_cosines(mp, norm, diameter, d, t, w, a, b):
    big = mp.sqrt(norm**2 - 2 * a * norm + d - 2 * mp.sqrt(d * b))
    small = (1 - w) * diameter / (1 - t)
    return (big - small) / (big + small), mp.sqrt(1 - (small / big) ** 2)


@pytest.mark.parametrize("d", [64, 3072, 196_608])
def test_cosine_bound(reference, d):
    mp, a, b = reference.mp, 3.0, 5.0
    for t, w, reach in product((1e-4, 0.5, 0.99, 0.9999), (0.5, 0.95, 1 - 1e-12), (0.5, 2.0)):
        norm, diameter, d_min = reach * np.sqrt(d), 2 * reach * np.sqrt(d), 0.6 * np.sqrt(d)
        given = [mp.mpf(value) for value in (norm, diameter, d, t, w, a, b)]
        bound = flow_matching.cosine_bound(norm, d_min, diameter, n=1000, d=d, t=t, w=w, a=a, b=b)
        cosine, sharp = exact_cosines(mp, *given)
        if mp.im(sharp) != 0:
            assert bound.cosine == bound.sharp_cosine == -1
            continue
        reference.assert_agrees(bound.cosine, cosine)
        reference.assert_agrees(bound.sharp_cosine, sharp)
        sigma = (1 - mp.mpf(t)) / mp.mpf(t)
        failure = reference.upper_normal(a) + mp.exp(-b)
        failure += reference.concentration_failure(d_min, sigma, 1000, w)
        reference.assert_agrees(bound.probability, max(0, 1 - failure))


def test_shortfall(reference):
    cases = [(a, b) for a in (1e-3, 3.0, 37.0) for b in (1e-3, 5.0, 680.0)]
    a, b = np.array(cases).T
    exact = [reference.upper_normal(x) + reference.mp.exp(-reference.mp.mpf(y)) for x, y in cases]
    reference.assert_agrees(flow_matching.shortfall(a, b), exact)


OUTSIDE = [
    (posterior.log_odds, (1, 0.5), "n = 1"),
    (posterior.log_odds, (np.inf, 0.5), "n = inf"),
    (posterior.log_odds, (np.nan, 0.5), "n = nan"),
    (posterior.log_odds, (10, 0.1), r"w = 0\.1"),
    (posterior.log_odds, (10, 1.0), r"w = 1\.0"),
    (posterior.log_odds, (10, np.nan), "w = nan"),
    (posterior.union_quantile, (1, 0.5), "n = 1"),
    (posterior.union_quantile, (10, 0.0), r"delta = 0\.0"),
    (posterior.union_quantile, (10, 1.0), r"delta = 1\.0"),
    (posterior.sigma_plus, (-1.0, 10, 0.5, 0.1), r"d_max = -1\.0"),
    (posterior.sigma_plus, (np.inf, 10, 0.5, 0.1), "d_max = inf"),
    (posterior.sigma_minus, (-2.0, 10, 0.5, 0.1), r"d_min = -2\.0"),
    (posterior.sigma_minus, (1.0, 10, 0.5, 1.5), r"delta = 1\.5"),
    (posterior.margin, (-1.0, 1.0, 1.0), r"distance = -1\.0"),
    (posterior.margin, (1.0, 0.0, 1.0), r"sigma = 0\.0"),
    (posterior.below_probability, ([1.0, np.nan], 1.0, 0.5), "distance = nan"),
    (posterior.below_probability, ([1.0, 2.0], -1.0, 0.5), r"sigma = -1\.0"),
    (posterior.below_probability, ([1.0, 2.0], 1.0, 0.2), r"w = 0\.2"),
    (posterior.decoding_error, ([1.0, -2.0], 1.0), r"distances = -2\.0"),
    (posterior.decoding_error, ([1.0, 2.0], np.inf), "sigma = inf"),
    (posterior.weights, ([0.0], [[1.0], [2.0]], 0.0), r"sigma = 0\.0"),
    (flow_matching.concentration_failure, (-1.0, 1.0, 10, 0.5), r"distance = -1\.0"),
    (flow_matching.concentration_failure, (1.0, 1.0, 10, 0.05), r"w = 0\.05"),
    (flow_matching.shortest_target, (-1.0, 64, 3.0, 5.0), r"norm = -1\.0"),
    (flow_matching.shortest_target, (1.0, 0, 3.0, 5.0), "d = 0"),
    (flow_matching.shortest_target, (1.0, np.inf, 3.0, 5.0), "d = inf"),
    (flow_matching.shortfall, (0.0, 5.0), r"a = 0\.0"),
    (flow_matching.shortfall, (3.0, -5.0), r"b = -5\.0"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), OUTSIDE)
def test_outside_the_domain(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


def test_cosine_bound_outside_the_domain():
    inside = {"n": 100, "d": 64, "t": 0.5, "w": 0.9, "a": 3.0, "b": 5.0}
    for name, value in (("t", 0.0), ("t", 1.0), ("d", 0.5), ("a", 0.0), ("b", -1.0), ("w", 0.01)):
        with pytest.raises(ValueError, match=f"{name} = {value}"):
            flow_matching.cosine_bound(5.0, 1.0, 9.0, **{**inside, name: value})
    with pytest.raises(ValueError, match=r"diameter = -9\.0"):
        flow_matching.cosine_bound(5.0, 1.0, -9.0, **inside)
