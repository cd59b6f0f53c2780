"""Locality, large noise and schedules: order, limits, invariance and sharpness.

Inequalities between rounded numbers are granted ``SLACK``, relative.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wildmiddle.theory import large_noise, locality, posterior, schedules

SLACK = 1e-12


def powers(low, high):
    return st.floats(low, high).map(lambda exponent: float(10.0**exponent))


sigmas = powers(-4, 4)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def clouds(draw):
    """A few points in a few dimensions, as rows, and a generator for more."""
    rng = np.random.default_rng(draw(seeds))
    n, d = draw(st.integers(2, 7)), draw(st.integers(2, 6))
    return rng.uniform(-1, 1, (n, d)), rng


def rotation(rng, d):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


@given(seeds, st.integers(2, 40), sigmas, st.integers(-9, 9))
def test_bounds_of_theorem_4_10(seed, d, sigma, exponent):
    rng = np.random.default_rng(seed)
    half = 10.0 ** rng.uniform(-6, 4, d)
    values = (half + np.roll(half[::-1], 1)) / 2
    rho = np.arange(1, d // 2 + 1)
    sharp = locality.sensitivity_bound(values, sigma, rho)
    assert (sharp <= locality.harmonic_bound(values, sigma, rho) * (1 + SLACK)).all()
    assert (locality.sensitivity(values, sigma, rho) <= sharp + 1e-15).all()
    scale = 2.0**exponent
    assert (locality.sensitivity_bound(scale**2 * values, scale * sigma, rho) == sharp).all()
    shifted = np.roll(values, int(rng.integers(d)))
    variation = locality.total_variation(values, sigma)
    assert locality.total_variation(shifted, sigma) == pytest.approx(float(variation), rel=1e-13)
    assert variation <= 2 * (d // 2)


@given(clouds(), sigmas, st.integers(-9, 9))
def test_gaussian_denoiser_moves_with_its_points(cloud, sigma, exponent):
    points, rng = cloud
    d = points.shape[1]
    y = points[0] + sigma * rng.normal(size=d)
    here = large_noise.gaussian_denoiser(y, points, sigma)
    size = 1e-13 * (1 + sigma)
    scale, shift, turn = 2.0**exponent, rng.normal(size=d), rotation(rng, d)
    scaled = large_noise.gaussian_denoiser(scale * y, scale * points, scale * sigma)
    np.testing.assert_allclose(scaled, scale * here, rtol=0, atol=scale * size)
    shifted = large_noise.gaussian_denoiser(y + shift, points + shift, sigma)
    np.testing.assert_allclose(shifted, here + shift, rtol=0, atol=size / min(1, sigma))
    turned = large_noise.gaussian_denoiser(y @ turn, points @ turn, sigma)
    np.testing.assert_allclose(turned, here @ turn, rtol=0, atol=size / min(1, sigma))
    ordered = large_noise.gaussian_denoiser(y, rng.permutation(points), sigma)
    np.testing.assert_allclose(ordered, here, rtol=0, atol=size / min(1, sigma))
    far = large_noise.gaussian_denoiser(y, points, 1e9)
    np.testing.assert_allclose(far, points.mean(0), rtol=0, atol=1e-12 * (1 + sigma))
    at_point = large_noise.gaussian_denoiser(points[0], points, 1e-9)
    np.testing.assert_allclose(at_point, points[0], rtol=0, atol=1e-6)


@given(clouds(), powers(0, 4))
def test_remainder_of_theorem_4_11(cloud, sigma):
    points, rng = cloud
    y = points.mean(0) + sigma * rng.normal(size=points.shape[1])
    difference = posterior.weights(y, points, sigma) @ points
    difference -= large_noise.gaussian_denoiser(y, points, sigma)
    z = (y - points.mean(0)) / sigma
    rest = np.linalg.norm(difference - large_noise.leading_term(points, z) / sigma**2)
    assert rest <= large_noise.remainder_bound(points, y, sigma) + 1e-14


@given(st.integers(2, 60), powers(-4, 0), powers(0.01, 4), powers(-1, 6))
def test_edm_schedule_falls(n, low, high, rho):
    levels_ = schedules.edm_sigmas(n, low, high, rho)
    assert levels_[0] == high
    assert levels_[-1] == low
    assert (np.diff(levels_) <= 0).all()
    geometric = np.geomspace(high, low, n)
    np.testing.assert_allclose(schedules.edm_sigmas(n, low, high, 1e12), geometric, rtol=1e-9)
    np.testing.assert_allclose(
        schedules.edm_sigmas(n, low, high, 1.0), np.linspace(high, low, n), rtol=1e-11
    )


@given(sigmas)
def test_time_parameterizations_agree(sigma):
    assert schedules.log_snr_to_sigma(schedules.sigma_to_log_snr(sigma)) == pytest.approx(
        sigma, rel=1e-14
    )
    t = schedules.sigma_to_flow_time(sigma)
    assert 0 < t < 1
    assert schedules.flow_time_to_sigma(t) == pytest.approx(sigma, rel=1e-15 * (1 + 1 / sigma))
    share = 1 / (1 + sigma**2)
    assert schedules.alpha_bar_to_sigma(share) == pytest.approx(
        sigma, rel=1e-15 * (1 + 1 / sigma**2)
    )
