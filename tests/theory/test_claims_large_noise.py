"""Theorem 4.11, Eq. 7, Lemmas C.1 to C.3: symbols, numbers, and steps that can fail."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from wildmiddle.theory import denoising, flow_matching, large_noise
from wildmiddle.theory.claims.large_noise import CLAIMS
from wildmiddle.theory.proofs import large_noise as proofs
from wildmiddle.theory.proofs import leading_term, remainder

LINE = np.array([[-1.0], [0.1], [0.3], [2.0]])
TRIANGLE = np.array([[1.0, 0.0], [-0.5, np.sqrt(0.75)], [-0.5, -np.sqrt(0.75)]])


def test_the_expressions_are_the_numeric_functions():
    p, n = proofs, len(LINE)
    mean, spread = LINE.mean(), LINE.var()
    gaussian = sp.lambdify((p.y, p.mu, p.s, p.sigma), p.gaussian_denoiser)
    flow = sp.lambdify((p.y, p.mu, p.s, p.t), p.gaussian_flow_denoiser)
    term = sp.lambdify((leading_term.N, leading_term.X, leading_term.z), leading_term.leading_term)
    for y in (-2.0, 0.4, 30.0):
        numeric = large_noise.gaussian_denoiser([y], LINE, 1.7)[0]
        assert numeric == pytest.approx(gaussian(y, mean, spread, 1.7), rel=1e-13)
        for t in (0.0, 0.2, 0.9):
            numeric = large_noise.gaussian_flow_denoiser([y], LINE, t)[0]
            assert numeric == pytest.approx(flow(y, mean, spread, t), rel=1e-13)
        numeric = large_noise.leading_term(LINE, [y])[0]
        assert numeric == pytest.approx(term(n, (LINE - mean)[:, 0], y), rel=1e-12)
        # y enters C.3 by the slope alone.
        slope = proofs.gaussian_flow_denoiser.diff(p.t).subs({p.t: 0, p.s: spread, p.y: y})
        assert large_noise.initial_slope([y], LINE)[0] == pytest.approx(float(slope), rel=1e-13)
    assert large_noise.leading_term(LINE)[0] == pytest.approx(
        term(n, (LINE - mean)[:, 0], 0.0), rel=1e-13
    )
    e, z = 0.4, 1.3
    centred = (LINE - mean)[:, 0]
    radius = np.abs(centred).max()
    symbols = (remainder.e, remainder.R, remainder.A, remainder.B)
    expected = sp.lambdify(symbols, remainder.remainder_bound)(
        e, radius, radius * z + e * radius**2, spread**2 * z
    )
    numeric = large_noise.remainder_bound(LINE, [mean + z / e], 1 / e)
    assert numeric == pytest.approx(expected, rel=1e-12)


def test_flow_exponent_gives_the_empirical_denoiser():
    p = proofs
    y_x, x_x = sp.symbols("y_x x_x")
    exponent = sp.lambdify((y_x, x_x, p.t), p.flow_exponent(y_x, x_x))
    for y, t in ((0.4, 0.0), (-1.2, 0.3), (1.1, 0.8)):
        weights = np.exp([exponent(y * x, x * x, t) for x in LINE[:, 0]])
        expected = weights @ LINE / weights.sum()
        assert flow_matching.flow_denoiser([y], LINE, t) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 6), st.integers(1, 4), st.floats(0.05, 1e3), st.integers(0, 2**31))
def test_remainder_bound_holds(n, d, sigma, seed):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n, d)) * rng.lognormal(0, 1)
    y = points.mean(0) + sigma * rng.standard_normal(d) * rng.lognormal(0, 1)
    z = (y - points.mean(0)) / sigma
    gap = denoising.optimal_denoiser(y, points, sigma)
    gap = gap - large_noise.gaussian_denoiser(y, points, sigma)
    gap = gap - large_noise.leading_term(points, z) / sigma**2
    bound = large_noise.remainder_bound(points, y, sigma)
    scale = np.abs(points).max() + np.linalg.norm(z)
    # Beside the bound, the rounding of |y - x|^2 / (2 sigma^2) passed on to the weights.
    rounding = 1e-14 * (1 + z @ z) * (scale + scale**2)
    assert np.linalg.norm(gap) <= bound + rounding


def test_the_order_is_two_and_the_constant_is_the_leading_term():
    # At 50 digits, so that sigma can grow until nothing else is left.
    points = [mp.mpf(-1), mp.mpf("0.1"), mp.mpf("0.3"), mp.mpf(2)]
    with mp.workdps(50):
        mean = mp.fsum(points) / 4
        spread = mp.fsum((x - mean) ** 2 for x in points) / 4

        def deviation(y, sigma):
            weights = [mp.exp(-((y - x) ** 2) / (2 * sigma**2)) for x in points]
            output = mp.fdot(weights, points) / mp.fsum(weights)
            return output - mean - spread / (spread + sigma**2) * (y - mean)

        sigma = mp.mpf(10) ** 9
        fixed = float(sigma**2 * deviation(mp.mpf(2), sigma))
        along = float(sigma**2 * deviation(sigma * mp.mpf("1.5"), sigma))
    assert fixed == pytest.approx(large_noise.leading_term(LINE)[0], rel=1e-7)
    assert along == pytest.approx(large_noise.leading_term(LINE, [1.5])[0], rel=1e-7)


def test_third_moments_alone_do_not_make_the_order_two():
    # An equilateral triangle has them, yet no leading term at a fixed y; on a line z = 1 has none.
    np.testing.assert_allclose(large_noise.leading_term(TRIANGLE), 0, atol=1e-16)
    assert np.linalg.norm(large_noise.leading_term(TRIANGLE, [1.0, 0.0])) > 0.1
    np.testing.assert_allclose(large_noise.leading_term(LINE, [1.0]), 0, atol=1e-15)


def test_both_denoisers_start_alike():
    rng = np.random.default_rng(4)
    points, y = rng.standard_normal((5, 3)), rng.standard_normal(3)
    t = 1e-6
    for denoiser in (flow_matching.flow_denoiser, large_noise.gaussian_flow_denoiser):
        start = denoiser(y, points, 0.0)
        np.testing.assert_allclose(start, points.mean(0), rtol=1e-14)
        slope = (denoiser(y, points, t) - start) / t
        np.testing.assert_allclose(slope, large_noise.initial_slope(y, points), atol=1e-4)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 300.0])
def test_gaussian_denoiser_is_the_same_in_sigma_and_flow_time(sigma):
    rng = np.random.default_rng(5)
    points, y = rng.standard_normal((6, 3)), rng.standard_normal((2, 3))
    t = 1 / (1 + sigma)
    np.testing.assert_allclose(
        large_noise.gaussian_denoiser(y, points, sigma),
        large_noise.gaussian_flow_denoiser(t * y, points, t),
        rtol=1e-11,
    )


def test_more_slips_fail():
    assert remainder.ball_bound.has(remainder.K)
    assert remainder.largest_ratio(sp.Rational(19, 10), 3) > 1
    assert remainder.reach_of_ball(remainder.K + 2 * remainder.length / proofs.sigma) is False


# Theorem 4.11 on a ball


def test_ball_bound_is_its_expression():
    p, points, ball, sigma = remainder, np.array([[0.5], [0.6], [2.0]]), 1.7, 0.8
    centred = points - points.mean(0)
    known = {
        p.K: ball,
        p.length: abs(points.mean()),
        p.third: (np.abs(centred) ** 3).mean(),
        p.top: centred.var(),
        p.R: np.abs(centred).max(),
        proofs.sigma: sigma,
    }
    expected = float(p.ball_bound.subs(known))
    assert large_noise.ball_bound(points, ball, sigma) == pytest.approx(expected, rel=1e-12)


@given(
    st.integers(1, 6), st.integers(1, 4), st.floats(0, 5), st.floats(0.05, 1e3), st.integers(0, 999)
)
def test_ball_bound_holds_and_falls(n, d, ball, sigma, seed):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n, d)) * rng.lognormal(0, 1) + rng.standard_normal(d)
    y = rng.standard_normal((20, d))
    y *= ball * sigma * rng.uniform(0, 1, (20, 1)) / np.linalg.norm(y, axis=1, keepdims=True)
    gap = denoising.optimal_denoiser(y, points, sigma)
    gap = gap - large_noise.gaussian_denoiser(y, points, sigma)
    bound = large_noise.ball_bound(points, ball, [sigma, 1.5 * sigma])
    scale = np.abs(points).max() + ball
    rounding = 1e-14 * (1 + ball**2) * (scale + scale**2) * sigma**2
    assert (sigma**2 * np.linalg.norm(gap, axis=1) <= bound[0] + rounding).all()
    assert bound[1] <= bound[0]


@pytest.mark.parametrize("ball", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("n", [3, 30, 300])
def test_ball_bound_is_nearly_attained(ball, n):
    # N - 1 points in one place and one elsewhere, on a line: all but 2/((N - 1)^2 + 1) of it.
    points = np.full((n, 1), -1 / n)
    points[0] += 1
    leading = abs(float(large_noise.leading_term(points, [ball])[0]))
    bound = float(large_noise.ball_bound(points, ball, 1e12))
    if ball in (0.0, 4.0):  # at K = 1 the bracket vanishes along the line, not on the sphere
        assert leading / bound == pytest.approx(1 - 2 / ((n - 1) ** 2 + 1), rel=1e-6)
    assert leading <= bound


def test_a_ball_has_no_negative_radius():
    with pytest.raises(ValueError, match=r"ball = -1\.0 "):
        large_noise.ball_bound(LINE, -1.0, 1.0)


def test_the_claims_evaluate():
    values = {"y": [0.5], "points": LINE, "sigma": 3.0, "t": 0.25, "z": [0.2], "K": 0.5}
    for claim in CLAIMS:
        assert all(assumption.check(values) for assumption in claim.assumptions)
        assert claim.at(values).keys() == claim.evaluate.keys()
    results = CLAIMS[-1].at(values)
    gap = abs(results["m"] - results["m_G"])
    term = abs(large_noise.leading_term(LINE, [(0.5 - LINE.mean()) / 3.0])) / 9
    assert gap <= term + results["remainder"]


@pytest.mark.parametrize("t", [-0.1, 1.0])
def test_flow_times_outside_the_domain_are_named(t):
    with pytest.raises(ValueError, match=f"t = {t}"):
        large_noise.gaussian_flow_denoiser([0.0], LINE, t)
