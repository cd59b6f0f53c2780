"""Section 4.2: the bounds on the weight against exact values, and the zone they enclose."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.special import entr
from scipy.stats import norm

from wildmiddle.theory import regimes
from wildmiddle.theory.claims import select
from wildmiddle.theory.coverage import overlap_probability
from wildmiddle.theory.posterior import weights
from wildmiddle.theory.proofs import regimes as proofs

SIGMAS = np.geomspace(0.05, 20, 25)


def distances(points):
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return gaps[~np.eye(len(points), dtype=bool)].reshape(len(points), -1)


def line_weight(xs, sigma):
    """W of points on a line by quadrature: no bound, no sampling."""
    points = np.asarray(xs, float)[:, None]

    def best(y):
        density = norm.pdf(y, points[:, 0], sigma) / len(points)
        return density.max()  # max_i w_i times the density of y

    edges = np.concatenate([np.sort(xs), [min(xs) - 12 * sigma, max(xs) + 12 * sigma]])
    breaks = np.unique(np.concatenate([edges, (edges[:, None] + edges[None]).ravel() / 2]))
    return sum(quad(best, a, b)[0] for a, b in pairwise(breaks))


@pytest.mark.parametrize("sigma", [0.2, 1.0, 5.0])
def test_two_points_are_exact(sigma):
    apart = np.full((2, 1), 3.0)
    exact = line_weight([0.0, 3.0], sigma)
    np.testing.assert_allclose(regimes.weight_lower(apart, sigma)[0], exact, rtol=1e-9)
    assert regimes.weight_upper(apart, sigma)[0] >= exact * (1 - 1e-9)


@pytest.mark.parametrize("sigma", [0.1, 0.4, 1.0, 3.0])
def test_points_on_a_line_are_enclosed(sigma):
    xs = np.array([0.0, 0.7, 1.0, 2.5, 4.0])
    apart, exact = distances(xs[:, None]), line_weight(xs, sigma)
    assert regimes.weight_lower(apart, sigma)[0] <= exact * (1 + 1e-9)
    assert regimes.weight_upper(apart, sigma)[0] >= exact * (1 - 1e-9)


def test_entropy_is_a_lower_bound():
    xs, sigma = np.array([0.0, 1.0, 3.0]), 0.8
    points = xs[:, None]

    def surprise(y):
        w = weights(np.array([y]), points, sigma)
        return -(w * np.log(np.maximum(w, 1e-300))).sum() * norm.pdf(y, xs, sigma).mean()

    exact = quad(surprise, -10, 13, limit=200)[0]
    bound = regimes.posterior_entropy(distances(points), sigma)[0]
    assert bound <= exact
    assert bound >= exact / 4  # and says something
    wrong = regimes.posterior_entropy(distances(points) / 2, sigma)[0]  # d^2/(8 sigma^2)
    assert wrong > exact


def test_entropy_of_one_point_and_two_hundred_copies_of_another(reference):
    """An unequal set, where a bound that is a thousandth too high is above the entropy itself."""
    mp, copies = reference.mp, 200
    apart = np.zeros((copies + 1, copies))
    apart[0], apart[1:, 0] = 2.0, 2.0
    t = mp.exp(-2)  # exp(-d^2 / (2 sigma^2)) at d = 2 sigma
    exact = (mp.log(1 + copies * t) + copies * mp.log(copies + t)) / (copies + 1)
    for sigma in (1.0, 0.01, 30.0):
        found = regimes.posterior_entropy(sigma * apart, sigma)
        reference.assert_agrees(found, exact, 1e-13)
    assert float(exact) == pytest.approx(5.28922, abs=5e-6)

    def entropy(x):  # of the weights, given the noise x along the line of the two points
        one, copy = 1 / (1 + copies * np.exp(2 * x - 2)), 1 / (np.exp(2 * x - 2) + copies)
        other = (1 - one) / copies, 1 - copies * copy
        first = entr(one) + copies * entr(other[0])
        second = copies * entr(copy) + entr(other[1])
        return norm.pdf(x) * (first + copies * second) / (copies + 1)

    truth = quad(entropy, -12, 12, epsabs=1e-12, limit=200)[0]
    assert truth == pytest.approx(5.29375, abs=5e-6)
    wrong = regimes.posterior_entropy(apart / np.sqrt(2), 1.0)[0]  # d^2/(4 sigma^2)
    assert wrong == pytest.approx(5.29524, abs=5e-6)
    assert regimes.posterior_entropy(apart, 1.0)[0] < truth < wrong


@pytest.mark.parametrize("sigma", [0.05, 0.4, 1.0, 3.0, 50.0])
def test_bounds_at_50_digits(reference, sigma):
    points = np.random.default_rng(20261128).standard_normal((7, 3))
    points[1] = points[0]
    apart, mp = distances(points), reference.mp
    error, entropy = mp.mpf(0), mp.mpf(0)
    for row in apart.tolist():
        u = [mp.mpf(r) / mp.mpf(sigma) for r in row]
        error += min(1, mp.fsum(reference.upper_normal(v / 2) for v in u)) / 7
        entropy += mp.log(1 + mp.fsum(mp.exp(-(v**2) / 2) for v in u)) / 7
    reference.assert_agrees(regimes.weight_lower(apart, sigma), 1 - error, 1e-13, 1)
    reference.assert_agrees(regimes.posterior_entropy(apart, sigma), entropy)
    # Fano's inequality is an equality at the weight that it gives.
    p = 1 - mp.mpf(float(regimes.weight_upper(apart, sigma)[0]))
    fano = -p * mp.log(p) - (1 - p) * mp.log(1 - p) + p * mp.log(6)
    reference.assert_agrees(float(fano), min(entropy, mp.log(7)), 1e-12)


@pytest.mark.parametrize("n", [2, 3, 10, 1000, 10**6])
def test_fano_allows_exactly_one_nth_without_knowledge(n):
    # The left side is flat at its top: rounding log N moves the weight by its root.
    assert regimes.weight_of_entropy([np.log(n)], n)[0] == pytest.approx(1 / n, abs=3e-8)
    assert regimes.weight_of_entropy([0.0], n)[0] == 1
    assert regimes.weight_of_entropy([2 * np.log(n)], n)[0] == pytest.approx(1 / n, rel=1e-9)


def test_fano_in_closed_form():
    # Of two points the bound is h(p) = H; at p = 1/4, N = 4 it is h(1/4) + log(3) / 4.
    h = float(entr(0.25) + entr(0.75))
    assert regimes.weight_of_entropy([h], 2)[0] == pytest.approx(0.75, rel=1e-12)
    assert regimes.weight_of_entropy([h + np.log(3) / 4], 4)[0] == pytest.approx(0.75, rel=1e-12)


def test_copying_lower_in_closed_form():
    # Two points: w = 3/4 exactly, and P(w_i < w) = Phi(-(u/2 - log(3)/u)).
    u = np.array([0.5, 2.0, 6.0])
    exact = norm.cdf(u / 2 - np.log(3) / u)
    found = regimes.copying_lower(np.full((2, 1), 3.0), 3.0 / u)
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    # A duplicate adds 0 to the mean.
    apart = np.array([[3.0, 3.0], [0.0, 3.0], [0.0, 3.0]])
    alone = regimes.copying_lower(apart[:1], 0.7)
    np.testing.assert_allclose(regimes.copying_lower(apart, 0.7), alone / 3, rtol=1e-12)


def test_thresholds_in_closed_form():
    # 0.9 (1 - 9 Phi(-d / (2 sigma))) = 0.6 takes Phi(-d / (2 sigma)) = 1/27.
    found = regimes.concentration_threshold(2.0, 0.9, 0.6, 10)
    assert float(found) == pytest.approx(1 / norm.isf(1 / 27), rel=1e-12)
    assert regimes.concentration_threshold(2.0, 0.9, 0.1, 2) == np.inf


@given(arrays(float, (6, 3), elements=st.floats(-1, 1, width=32)), st.floats(1e-2, 1e2))
def test_bounds_are_ordered_fall_and_scale(points, scale):
    apart = distances(points)
    low, high = regimes.weight_lower(apart, SIGMAS), regimes.weight_upper(apart, SIGMAS)
    assert (low <= high + 1e-12).all()
    assert (np.diff(low) <= 1e-12).all()
    assert (np.diff(high) <= 1e-9).all()
    assert (high >= 1 / 6 - 1e-12).all()
    assert (high <= 1).all()
    np.testing.assert_allclose(regimes.weight_lower(scale * apart, scale * SIGMAS), low, atol=1e-9)
    np.testing.assert_allclose(regimes.weight_upper(scale * apart, scale * SIGMAS), high, atol=1e-7)


@given(st.integers(2, 10**6), st.floats(0.1, 0.9), st.floats(0.91, 1.0), st.floats(0.1, 100))
def test_one_quantile_certifies_the_weight(n, level, share, distance):
    sigma = float(regimes.concentration_threshold(distance, share, level, n))
    if np.isfinite(sigma):
        held = share * (1 - (n - 1) * norm.sf(distance / (2 * sigma)))
        np.testing.assert_allclose(held, level, rtol=1e-6)


@pytest.mark.parametrize(("d", "c"), [(16, 1.0), (64, 5.0), (3072, 5.0)])
def test_one_quantile_certifies_the_coverage(d, c):
    sigma = regimes.coverage_threshold(2.0, 0.8, 0.5, d, c)
    assert 0.8 * overlap_probability(2.0, sigma, d, c) == pytest.approx(0.5, rel=1e-9)
    above = sigma * np.geomspace(1, 100, 200)
    assert (0.8 * overlap_probability(2.0, above, d, c) >= 0.5 * (1 - 1e-9)).all()


def test_zone_scales_and_nests():
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((40, 64)), rng.standard_normal((30, 64))
    cross = np.linalg.norm(test[:, None] - train[None], axis=-1)
    zone = regimes.danger_zone(distances(train), cross, 64)
    assert zone.possible.start <= zone.certain.start < zone.certain.end <= zone.possible.end
    larger = regimes.danger_zone(10 * distances(train), 10 * cross, 64)
    for name, part in zone.parts.items():
        np.testing.assert_allclose(larger.parts[name], np.multiply(part, 10), rtol=1e-5)
    assert larger.half_copied == pytest.approx(10 * zone.half_copied, rel=1e-5)
    assert larger.speciation == pytest.approx(10 * zone.speciation, rel=1e-5)
    ends = [np.multiply(each, (1, 10, 10)) for each in zone.by_size]
    np.testing.assert_allclose(larger.by_size, ends, rtol=1e-5)


@pytest.mark.parametrize(
    "rising",
    [
        lambda s: s - 3.7,
        lambda s: np.tanh(9 * np.log(s / 3.7)),
        lambda s: np.where(s > 3.7, 1.0, -0.3),  # flat, but for one step
    ],
)
def test_a_crossing_is_found_to_six_digits(rising):
    assert regimes.crossing_of(rising, 1.0) == pytest.approx(3.7, rel=1e-6)


def test_without_a_crossing_the_nearer_end_is_returned():
    reach = np.exp(regimes.REACH)
    assert regimes.crossing_of(lambda s: s, 2.0) == pytest.approx(2 / reach, rel=1e-12)
    assert regimes.crossing_of(lambda s: -s, 2.0) == pytest.approx(2 * reach, rel=1e-12)


def test_many_points_in_a_low_dimension_have_no_certain_zone():
    rng = np.random.default_rng(1)
    train, test = rng.uniform(size=(300, 4)), rng.uniform(size=(30, 4))
    cross = np.linalg.norm(test[:, None] - train[None], axis=-1)
    zone = regimes.danger_zone(distances(train), cross, 4, c=1.0)
    assert zone.certain.empty


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regimes.concentration_threshold(1.0, 0.5, 0.6, 10), "level = 0.6"),
        (lambda: regimes.coverage_threshold(1.0, 0.5, 0.6, 64), "level / share = 1.2"),
        (lambda: regimes.danger_zone([[1.0], [1.0]], [[1.0, 1.0]], 64, weight_high=1.0), "= 1.0"),
        (lambda: regimes.weight_lower([[1.0], [1.0]], 0.0), "sigma = 0.0"),
    ],
)
def test_outside_the_domain(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_expression_is_the_numeric_function():
    (claim,) = select("regimes")
    start, end = claim.formula()
    at = {proofs.d: 64, proofs.c: 5, proofs.N: 1000, proofs.r_nn: 3, proofs.d_min: 2}
    values = claim.at({"r_nn": 3.0, "d": 64, "c": 5.0, "d_min": 2.0, "share": 1.0, "N": 1000,
                       "level": 0.75})  # fmt: skip
    assert float(start.subs(at).evalf(30)) == pytest.approx(
        float(values["half coverage near sigma"]), rel=1e-12
    )
    mpmath.mp.dps = 30
    symbolic = end.subs(at | {proofs.p: mpmath.mpf("0.25")}).evalf(30)
    assert float(symbolic) == pytest.approx(float(values["weight >= level up to sigma"]), rel=1e-12)


def test_a_crossing_that_never_comes_is_put_at_the_end_of_the_search():
    never, always = (lambda s: -np.ones_like(s)), np.ones_like
    reach = np.exp(regimes.REACH)
    assert regimes.crossing_of(never, 2.0) == pytest.approx(2 * reach, rel=1e-14)
    assert regimes.crossing_of(always, 2.0) == pytest.approx(2 / reach, rel=1e-14)
