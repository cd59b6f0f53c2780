"""Equations 1 to 5: symbols against numbers, and proof steps that can fail."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from wildmiddle.theory import denoising, posterior
from wildmiddle.theory.claims.denoising import CLAIMS
from wildmiddle.theory.proofs import denoising as proofs

RNG = np.random.default_rng(20)
POINTS = RNG.standard_normal((4, 3))
QUERY = RNG.standard_normal(3)
NOISE = RNG.standard_normal((2, 4, 3))


def optimal(y, sigma):
    return denoising.optimal_denoiser(y, POINTS, sigma)


def test_the_expressions_are_the_numeric_functions():
    p, (n, d) = proofs, POINTS.shape
    sizes = (p.N, p.d, p.sigma, p.x, p.y)
    weight = sp.lambdify((p.i, *sizes), p.posterior_weight, "mpmath")
    mean = sp.lambdify((p.k, *sizes), p.optimal_denoiser, "mpmath")
    for sigma in (0.3, 1.0, 20.0):
        w = posterior.weights(QUERY, POINTS, sigma)
        m = denoising.optimal_denoiser(QUERY, POINTS, sigma)
        for i in range(n):
            assert float(weight(i, n, d, sigma, POINTS, QUERY)) == pytest.approx(w[i], rel=1e-13)
        for k in range(d):
            expected = float(mean(k, n, d, sigma, POINTS, QUERY))
            assert m[k] == pytest.approx(expected, rel=1e-12, abs=1e-14)
    velocity = sp.lambdify((p.position, p.denoised, p.sigma), p.ode_velocity)
    numeric = denoising.ode_velocity(QUERY, m, 20.0)
    assert numeric == pytest.approx([velocity(a, b, 20.0) for a, b in zip(QUERY, m, strict=True)])


def test_loss_and_error_are_their_sums():
    p, (n, d) = proofs, POINTS.shape
    sigmas, weighting = np.array([0.4, 1.5, 6.0]), np.array([2.0, 1.0, 0.1])
    outputs = np.stack([optimal(POINTS + s * NOISE, s) for s in sigmas])
    loss = sp.lambdify((p.K, p.M, p.N, p.d, p.weighting, p.out, p.x), p.training_loss, "mpmath")
    expected = float(loss(3, 2, n, d, weighting, outputs, POINTS))
    numeric = denoising.training_loss(optimal, POINTS, NOISE, sigmas, weighting)
    assert numeric == pytest.approx(expected, rel=1e-13)
    error = sp.lambdify((p.M, p.N, p.d, p.out, p.x), p.fixed_noise_error, "mpmath")
    expected = float(error(2, n, d, outputs[1], POINTS))
    numeric = denoising.fixed_noise_error(optimal, POINTS, NOISE, 1.5)
    assert numeric == pytest.approx(expected, rel=1e-13)


def test_the_claims_evaluate():
    values = {
        "points": POINTS, "noise": NOISE, "sigma": 1.5, "weighting": 1.0, "y": QUERY,
    }  # fmt: skip
    for claim in CLAIMS:
        assert all(assumption.check(values) for assumption in claim.assumptions)
        assert claim.at(values).keys() == claim.evaluate.keys()
    loss, error = CLAIMS[0].at(values), CLAIMS[4].at(values)
    assert loss["loss_of_optimum"] == pytest.approx(error["error_of_optimum"], rel=1e-14)


@given(
    st.integers(1, 6), st.integers(1, 5), st.floats(0.05, 50), st.floats(0.01, 100), st.integers()
)
def test_denoiser_is_equivariant(n, d, sigma, scale, seed):
    rng = np.random.default_rng(abs(seed))
    points, y = rng.standard_normal((n, d)), rng.standard_normal(d)
    base = denoising.optimal_denoiser(y, points, sigma)
    turn, shift = np.linalg.qr(rng.standard_normal((d, d)))[0], rng.standard_normal(d)
    moved = scale * points[rng.permutation(n)] @ turn + shift
    other = denoising.optimal_denoiser(scale * y @ turn + shift, moved, scale * sigma)
    # Squared distances over 2 sigma^2 reach 10^4 here; rounding in them moves the weights.
    np.testing.assert_allclose(other, scale * base @ turn + shift, rtol=1e-8, atol=1e-8 * scale)


def test_its_limits_are_the_nearest_point_and_the_mean():
    nearest = POINTS[np.linalg.norm(POINTS - QUERY, axis=1).argmin()]
    np.testing.assert_array_equal(denoising.optimal_denoiser(QUERY, POINTS, 1e-4), nearest)
    mean = denoising.optimal_denoiser(QUERY, POINTS, 1e8)
    np.testing.assert_allclose(mean, POINTS.mean(0), atol=1e-14)


def test_sigma_may_differ_by_query():
    y = RNG.standard_normal((5, 3))
    sigmas = np.array([0.1, 0.5, 1.0, 3.0, 9.0])
    together = denoising.optimal_denoiser(y, POINTS, sigmas)
    apart = [denoising.optimal_denoiser(a, POINTS, s) for a, s in zip(y, sigmas, strict=True)]
    np.testing.assert_allclose(together, apart, rtol=1e-14)
    velocities = denoising.ode_velocity(y, together, sigmas)
    np.testing.assert_allclose(velocities, (y - together) / sigmas[:, None], rtol=1e-14)


def test_no_denoiser_beats_the_optimal_one_on_average():
    # Gauss-Hermite nodes integrate the noise of one-dimensional data; f differs from m by 0.1 y.
    points, sigma = np.array([[-1.0], [0.2], [1.1]]), 0.7
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(80)
    node_weights = node_weights / node_weights.sum()

    def error(f):
        losses = [
            denoising.fixed_noise_error(f, points, np.full((3, 1), node), sigma) for node in nodes
        ]
        return float(node_weights @ losses)

    def best(y, s):
        return denoising.optimal_denoiser(y, points, s)

    def other(y, s):
        return best(y, s) + 0.1 * y

    # Eq. 5: the excess is the mean of (0.1 y)^2 under the noised data.
    excess = 0.01 * (np.mean(points**2) + sigma**2)
    assert error(other) - error(best) == pytest.approx(excess, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: denoising.optimal_denoiser(QUERY, POINTS, 0.0), "sigma = 0.0"),
        (lambda: denoising.ode_velocity(QUERY, QUERY, -1.0), "sigma = -1.0"),
        (lambda: denoising.fixed_noise_error(optimal, POINTS, NOISE[0, 0], 1.0), "noise.shape"),
        (lambda: denoising.fixed_noise_error(optimal, QUERY, QUERY, 1.0), "points.ndim = 1"),
        (
            lambda: denoising.fixed_noise_error(lambda y, s: y[..., 0], POINTS, NOISE, 1.0),
            "the denoiser turned shape",
        ),
        (
            lambda: denoising.training_loss(optimal, POINTS, NOISE, [1.0, 2.0], [1.0]),
            "weighting.shape",
        ),
        (
            lambda: denoising.training_loss(optimal, POINTS, NOISE, [1.0], [0.0]),
            "weighting = 0.0",
        ),
    ],
)
def test_values_outside_the_domain_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
