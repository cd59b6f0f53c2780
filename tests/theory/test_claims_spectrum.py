"""The spectrum's bounds: against exact information, at both limits, and by distances alone."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.special import ndtri
from scipy.stats import norm

from wildmiddle.theory import regimes, spectrum
from wildmiddle.theory.claims import select
from wildmiddle.theory.proofs import spectrum as proofs

SIGMAS = np.geomspace(0.05, 50, 12)


def distances(points):
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return gaps[~np.eye(len(points), dtype=bool)].reshape(len(points), -1)


def covariance_spectrum(points):
    return np.maximum(np.linalg.eigvalsh(np.atleast_2d(np.cov(points.T, bias=True)))[::-1], 0)


def information(xs, sigma):
    """I(I; Y) of points on a line: the trapezoidal rule is exact to rounding for such densities."""
    y = np.linspace(min(xs) - 12 * sigma, max(xs) + 12 * sigma, 2000)
    density = norm.pdf(y[:, None], xs, sigma).mean(1)
    entropy = trapezoid(-density * np.log(np.maximum(density, 1e-300)), y)
    return entropy - np.log(2 * np.pi * np.e * sigma**2) / 2


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 3.0])
def test_no_set_of_points_tells_more(sigma):
    xs = np.array([0.0, 0.7, 1.0, 2.5, 4.0])
    bound = spectrum.information_upper([xs.var()], sigma)[0]
    exact = information(xs, sigma)
    assert exact <= bound
    assert spectrum.entropy_lower([xs.var()], 5, sigma)[0] <= np.log(5) - exact + 1e-9


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
def test_gaussian_quantiles_tell_as_much_as_the_bound(sigma):
    xs = 3 + 2 * ndtri((np.arange(400) + 0.5) / 400)
    bound = spectrum.information_upper([xs.var()], sigma)[0]
    assert 0.995 * bound < information(xs, sigma) <= bound


def test_at_large_noise_both_sides_are_the_trace_over_two_sigma_squared():
    xs, sigma = np.array([-1.0, 0.0, 4.0]), 100.0
    bound = spectrum.information_upper([xs.var()], sigma)[0]
    assert bound == pytest.approx(xs.var() / (2 * sigma**2), rel=1e-3)
    with mpmath.workdps(30):
        s = mpmath.mpf(sigma)

        def surprise(y):
            p = sum(mpmath.npdf(y, x, s) for x in xs) / 3
            return -p * mpmath.log(p)

        known = mpmath.quad(surprise, [-1200, -400, 0, 400, 1200])
        known -= mpmath.log(2 * mpmath.pi * mpmath.e * s**2) / 2
    assert float(known) == pytest.approx(bound, rel=1e-3)


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_bounds_fall_and_scale(seed, scale):
    points = np.random.default_rng(seed).uniform(-1, 1, (7, 3))
    values = covariance_spectrum(points)
    entropy = spectrum.entropy_lower(values, 7, SIGMAS)
    weight = regimes.weight_of_spectrum(values, 7, SIGMAS)
    assert (np.diff(entropy) >= 0).all()
    assert (np.diff(weight) <= 1e-12).all()
    assert ((weight >= 1 / 7 - 1e-12) & (weight <= 1)).all()
    low = regimes.weight_lower(distances(points), SIGMAS)
    assert (low <= weight + 1e-12).all()
    larger = scale**2 * values
    np.testing.assert_allclose(
        spectrum.entropy_lower(larger, 7, scale * SIGMAS), entropy, atol=1e-12
    )
    assert spectrum.collapse_scale(larger, 7) == pytest.approx(
        scale * spectrum.collapse_scale(values, 7), rel=1e-9
    )


@pytest.mark.parametrize("n", [2, 10, 10**6])
def test_the_collapse_scale_is_where_the_information_is_all_there_is(n):
    values = np.array([9.0, 2.0, 0.5, 0.0])
    sigma = spectrum.collapse_scale(values, n)
    assert spectrum.information_upper(values, sigma)[0] == pytest.approx(np.log(n), rel=1e-9)
    assert spectrum.collapse_scale([4.0], n) == pytest.approx(2 / np.sqrt(n**2 - 1), rel=1e-9)
    assert spectrum.collapse_scale([0.0], n) == 0
    assert spectrum.speciation_scale(values) == 3


@pytest.mark.parametrize("shape", [(30, 5), (6, 40)])
def test_eigenvalues_follow_from_the_distances(shape):
    points = np.random.default_rng(1).standard_normal(shape) + 5
    points[1] = points[0]
    found, known = spectrum.eigenvalues_of(distances(points)), covariance_spectrum(points)
    count = min(shape)
    np.testing.assert_allclose(found[:count], known[:count], atol=1e-12)
    np.testing.assert_allclose(found[count:], 0, atol=1e-12)


def test_the_better_of_two_bounds_ends_the_zone():
    rng = np.random.default_rng(2)
    apart_from_each_other = rng.standard_normal((60, 64))
    groups = np.repeat(rng.standard_normal((10, 64)), 6, axis=0)  # of six that are much alike
    for train, spectral in ((apart_from_each_other, True), (groups, False)):
        train = train + 0.01 * rng.standard_normal((60, 64))
        test = train + 0.1 * rng.standard_normal((60, 64))
        apart = distances(train)
        cross = np.linalg.norm(test[:, None] - train[None], axis=-1)
        zone = regimes.danger_zone(apart, cross, 64)
        jensen = regimes.crossing_of(lambda s, a=apart: 0.75 - regimes.weight_upper(a, s), 10.0)
        latest = regimes.latest_end(covariance_spectrum(train), 60, 0.75, 10.0)
        assert (latest < jensen) == spectral
        assert zone.possible.end == pytest.approx(min(latest, jensen), rel=1e-5)
        sizes = {each.n: each for each in zone.by_size}
        assert sorted(sizes) == [15, 60, 240, 960]
        assert sizes[60].latest == pytest.approx(latest, rel=1e-5)
        ends = [(each.collapse, each.latest) for each in zone.by_size]
        assert ends == sorted(ends, reverse=True)  # more images, an earlier end
        assert zone.speciation == pytest.approx(np.sqrt(covariance_spectrum(train)[0]))


def test_expression_is_the_numeric_function():
    (claim,) = select("spectrum")
    values = [4.0, 1.0, 0.25]
    formula = claim.formula().subs(proofs.d, 3).doit()
    at = {proofs.eigenvalue[k + 1]: value for k, value in enumerate(values)} | {proofs.sigma: 1.5}
    found = claim.at({"eigenvalues": values, "sigma": 1.5, "N": 10})
    assert found["information at most"][0] == pytest.approx(
        float(formula.subs(at).evalf(50)), rel=1e-14
    )
    assert found["entropy at least"][0] == pytest.approx(
        np.log(10) - found["information at most"][0]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectrum.information_upper([-1.0], 1.0), "eigenvalue = -1.0"),
        (lambda: spectrum.information_upper([1.0], 0.0), "sigma = 0.0"),
        (lambda: spectrum.entropy_lower([1.0], 1, 1.0), "n = 1"),
        (lambda: spectrum.collapse_scale([1.0], 1), "n = 1"),
    ],
)
def test_outside_the_domain(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_steps_can_fail():
    # Half the variance, and the bound is false at every noise level but small ones.
    assert proofs.information_of_pair(2) > proofs.bound_of_pair(2, 0.5)
    wrong = proofs.cross_entropy(proofs.v) - proofs.sp.log(2 * proofs.sp.pi * proofs.v) / 2
    assert not proofs.is_zero(wrong)
