"""Posterior weight and flow matching: order, limits, invariance and sharpness.

Inequalities between rounded numbers are granted ``SLACK``, relative.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wildmiddle.theory import flow_matching, posterior

SLACK = 1e-12


def powers(low, high):
    return st.floats(low, high).map(lambda exponent: float(10.0**exponent))


counts = st.integers(2, 10**7)
deltas = powers(-300, -1e-6)
sigmas = powers(-4, 4)
lengths = powers(-3, 4)
factors = st.floats(1, 10)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def levels(draw, n):
    """w between 1/N and 1, near either end now and then."""
    above = draw(
        st.one_of(st.floats(1e-9, 1 - 1e-9), powers(-9, -1), powers(-9, -1).map(lambda u: 1 - u))
    )
    w = 1 / n + (1 - 1 / n) * above
    assume(w * n > 1 and w < 1)
    return w


@st.composite
def settings_of_4_2(draw):
    n = draw(counts)
    return n, draw(levels(n)), draw(deltas)


@st.composite
def clouds(draw):
    """A few points in a few dimensions, as rows, and a generator for more."""
    rng = np.random.default_rng(draw(seeds))
    n, d = draw(st.integers(2, 7)), draw(st.integers(2, 6))
    return rng.uniform(-1, 1, (n, d)), rng


def rotation(rng, d):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


# Theorem 4.2


@given(settings_of_4_2(), lengths, factors)
def test_sigma_minus_is_monotone(setting, distance, factor):
    n, w, delta = setting
    here = posterior.sigma_minus(distance, n, w, delta)
    assert here > 0
    assert posterior.sigma_minus(factor * distance, n, w, delta) >= here
    higher = posterior.sigma_minus(distance, n, w + (1 - w) * (1 - 1 / factor), delta)
    assert higher <= here * (1 + SLACK)
    assert posterior.sigma_minus(distance, n, w, delta / factor) <= here * (1 + SLACK)
    assert posterior.sigma_minus(distance, n + 5, w, delta) <= here * (1 + SLACK)


@given(settings_of_4_2(), lengths, factors)
def test_sigma_plus_is_monotone(setting, distance, factor):
    n, w, delta = setting
    here = posterior.sigma_plus(distance, n, w, delta)
    assert posterior.sigma_plus(factor * distance, n, w, delta) >= here
    higher = posterior.sigma_plus(distance, n, w + (1 - w) * (1 - 1 / factor), delta)
    assert higher <= here * (1 + SLACK)
    assert posterior.sigma_plus(distance, n, w, delta / factor) >= here * (1 - SLACK)


def test_sigma_plus_is_not_monotone_in_n():
    # More points share the weight, but more terms of Eq. 9 must be large at once.
    few, many = posterior.sigma_plus(1.0, [10, 1000], 0.95, 0.05)
    assert many < few
    few, many = posterior.sigma_plus(1.0, [10, 1000], 1 - 1e-12, 0.5)
    assert many > few


@given(settings_of_4_2(), lengths, factors)
def test_thresholds_in_order(setting, d_min, factor):
    n, w, delta = setting
    low = posterior.sigma_minus(d_min, n, w, delta)
    high = posterior.sigma_plus(factor * d_min, n, w, delta)
    assume(posterior.union_quantile(n, delta) >= 0)
    assert low <= high * (1 + SLACK)


@given(levels(2), st.floats(0.5 + 1e-6, 1 - 1e-6))
def test_thresholds_out_of_order(w, delta):
    # z < 0 takes delta > (N - 1)/2, so N = 2 and d_min = d_max: then sigma_plus < sigma_minus. In
    # between both parts hold, each with a probability below 1/2.
    assert posterior.union_quantile(2, delta) < 0
    assert posterior.sigma_plus(1.0, 2, w, delta) < posterior.sigma_minus(1.0, 2, w, delta)
    assert posterior.union_quantile(3, delta) > 0


# Posterior weight


@given(clouds(), sigmas, st.integers(-20, 20))
def test_weights_scale_permute_and_rotate(cloud, sigma, exponent):
    points, rng = cloud
    y = points[0] + sigma * rng.normal(size=points.shape[1])
    here = posterior.weights(y, points, sigma)
    assert here.sum() == pytest.approx(1, rel=1e-14)
    scale = 2.0**exponent  # a power of 2 rounds nothing
    assert (posterior.weights(scale * y, scale * points, scale * sigma) == here).all()
    order = rng.permutation(len(points))
    np.testing.assert_allclose(posterior.weights(y, points[order], sigma), here[order], rtol=1e-12)
    turn = rotation(rng, len(y))
    moved = posterior.weights(y @ turn, points @ turn, sigma)
    # Turning rounds the points by 1e-16, and a log weight by that times |y| |x_i - x_j| / sigma^2.
    noise = 1e-14 * (1 + (1 + sigma) / sigma**2)
    np.testing.assert_allclose(moved, here, atol=noise, rtol=0)


@given(clouds())
def test_weights_at_both_ends_of_sigma(cloud):
    points, rng = cloud
    nearest = np.zeros(len(points))
    nearest[0] = 1
    assert (posterior.weights(points[0] + 1e-9, points, 1e-9) == nearest).all()
    uniform = posterior.weights(rng.normal(size=points.shape[1]), points, 1e9)
    np.testing.assert_allclose(uniform, 1 / len(points), rtol=1e-8)


@given(seeds, st.integers(1, 30), sigmas, st.data(), factors)
def test_below_probability(seed, count, sigma, data, factor):
    w = data.draw(levels(count + 1))
    rng = np.random.default_rng(seed)
    distances = rng.uniform(0, 4, count)
    here = posterior.below_probability(distances, sigma, w)
    tau = posterior.margin(distances.min(), sigma, posterior.log_odds(count + 1, w))
    paper = flow_matching.concentration_failure(distances.min(), sigma, count + 1, w)
    assert 0 <= here <= paper * (1 + SLACK), f"tau = {tau}"
    np.testing.assert_allclose(
        posterior.below_probability(rng.permutation(distances), sigma, w), here, rtol=1e-13
    )
    assert posterior.below_probability(2 * distances, 2 * sigma, w) == here
    assert posterior.below_probability(distances, factor * sigma, w) >= here * (1 - SLACK)
    assert posterior.below_probability(factor * distances, sigma, w) <= here * (1 + SLACK)
    higher = w + (1 - w) * (1 - 1 / factor)
    assert posterior.below_probability(distances, sigma, higher) >= here * (1 - SLACK)


@given(seeds, st.integers(1, 30), sigmas, factors)
def test_decoding_error(seed, count, sigma, factor):
    distances = np.random.default_rng(seed).uniform(0.1, 4, count)
    here = posterior.decoding_error(distances, sigma)
    assert 0 <= here <= min(1, count / 2)
    assert posterior.decoding_error(distances, factor * sigma) >= here * (1 - SLACK)
    assert posterior.decoding_error(4 * distances, 4 * sigma) == here
    assert posterior.decoding_error(distances, 1e-4) == 0
    assert posterior.decoding_error(distances, 1e9) == pytest.approx(min(1, count / 2), rel=1e-8)


@given(settings_of_4_2(), sigmas, factors)
def test_concentration_failure_is_monotone(setting, sigma, factor):
    n, w, _ = setting
    here = flow_matching.concentration_failure(9.3, sigma, n, w)
    assert flow_matching.concentration_failure(9.3 * factor, sigma, n, w) <= here * (1 + SLACK)
    assert flow_matching.concentration_failure(9.3, sigma * factor, n, w) >= here * (1 - SLACK)
    assert flow_matching.concentration_failure(9.3, sigma, n + 3, w) >= here * (1 - SLACK)


@given(st.floats(0, 100), lengths, st.integers(1, 10**4), st.floats(0.01, 0.999), levels(100))
def test_sharp_cosine(norm, diameter, d, t, w):
    bound = flow_matching.cosine_bound(norm, diameter / 9, diameter, n=100, d=d, t=t, w=w)
    assert bound.cosine - 1e-15 <= bound.sharp_cosine <= 1
    assert 0 <= bound.probability <= 1
    assert (bound.cosine == -1) == (bound.sharp_cosine == -1)
