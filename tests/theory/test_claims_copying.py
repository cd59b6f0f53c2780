"""The bound on copying of held-out images: exact on two, never above simulation on more."""

import numpy as np
import pytest
import sympy as sp
from scipy.spatial.distance import cdist
from scipy.stats import norm

from wildmiddle.theory import copying, regimes
from wildmiddle.theory.claims import select
from wildmiddle.theory.posterior import weights
from wildmiddle.theory.proofs import copying as proofs

SEED = 20261125
SIGMAS = np.geomspace(0.02, 20, 15)


def inputs(points, held_out):
    to_points = cdist(held_out, points)
    return to_points, cdist(points[to_points.argmin(1)], points)


def count_copies(points, held_out, sigma, n, rng):
    y = held_out[rng.integers(len(held_out), size=n)] + sigma * rng.standard_normal(
        (n, points.shape[1])
    )
    near = np.sort(cdist(weights(y, points, sigma) @ points, points), axis=1)
    return int((near[:, 0] < near[:, 1] / 3).sum())


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_copies_of_the_nearer_of_two_have_the_chance_of_one_tail(sigma):
    points, held_out = np.array([[0.0, 0.0], [3.0, 0.0]]), np.array([[1.0, 2.0]])
    (bound,) = copying.copying_lower(*inputs(points, held_out), sigma)
    # log t = -(8 - 5)/(2 sigma^2) + 3 xi / sigma, and a copy where 3 t < 1.
    exact = norm.cdf((1.5 / sigma**2 - np.log(3)) * sigma / 3)
    assert bound == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("shape", [(3, 1), (8, 2), (40, 30)])
def test_never_more_than_simulation(shape, expect_rate):
    rng = np.random.default_rng(SEED)
    points, held_out = rng.standard_normal(shape), rng.standard_normal((30, shape[1]))
    given, informed = inputs(points, held_out), 0
    half = regimes.crossing_of(lambda s: 0.5 - copying.copying_lower(*given, s), 1.0)
    for sigma in half * np.array([0.1, 0.5, 1, 2]):
        (bound,) = copying.copying_lower(*given, sigma)
        informed += bound > 0.3
        copies = count_copies(points, held_out, sigma, 2000, rng)
        expect_rate(copies, 2000, ">=", bound, seed=SEED, what=f"sigma {sigma:.3g}, {shape}")
    assert informed >= 3


def test_it_falls_scales_and_is_all_at_no_noise():
    rng = np.random.default_rng(SEED)
    points, held_out = rng.standard_normal((20, 5)), rng.standard_normal((50, 5))
    bound = copying.copying_lower(*inputs(points, held_out), SIGMAS)
    assert (np.diff(bound) <= 1e-12).all()
    assert copying.copying_lower(*inputs(points, held_out), 1e-4)[0] > 0.99
    larger = copying.copying_lower(*inputs(7 * points, 7 * held_out), 7 * SIGMAS)
    np.testing.assert_allclose(larger, bound, atol=1e-9)


def test_an_image_by_two_copies_adds_nothing():
    points = np.array([[0.0], [0.0], [5.0], [9.0]])
    held_out = np.array([[0.1], [5.2]])
    (bound,) = copying.copying_lower(*inputs(points, held_out), 0.01)
    assert bound == pytest.approx(0.5)


def test_noised_training_images_are_a_case_and_gain_on_the_older_bound():
    points = np.random.default_rng(SEED).standard_normal((30, 10))
    apart = cdist(points, points)
    others = apart[~np.eye(30, dtype=bool)].reshape(30, -1)
    older = regimes.copying_lower(others, SIGMAS)
    ours = copying.copying_lower(apart, apart, SIGMAS)
    assert (ours >= older - 1e-12).all()
    assert (ours > older + 0.01).any()


def test_a_half_that_is_never_reached_is_no_noise_level():
    points = np.repeat(np.random.default_rng(SEED).standard_normal((5, 8)), 2, axis=0)
    apart = cdist(points, points)[~np.eye(10, dtype=bool)].reshape(10, -1)
    zone = regimes.danger_zone(apart, cdist(points + 0.1, points), 8, c=1.0)
    assert zone.half_copied == 0
    assert zone.certain_to_copy.empty


def test_expression_is_the_numeric_function():
    (claim,) = select("copying")
    gap, d, log_b, sigma = 1.3, 2.0, 1.4, 0.7
    at = {
        proofs.mean: sp.Float(log_b, 50) - sp.Float(gap, 50) / sp.Float(sigma, 50) ** 2,
        proofs.u: sp.Float(d, 50) / sp.Float(sigma, 50),
    }
    exact = float(claim.formula().subs(at).evalf(50))
    assert float(copying.truncated_term(gap, d, log_b, sigma)) == pytest.approx(exact, rel=1e-12)


def test_the_nearest_must_be_told_by_its_own_zero():
    with pytest.raises(ValueError, match="from_nearest = 2"):
        copying.copying_lower([[1.0, 3.0]], [[2.0, 0.0]], 1.0)


def test_steps_can_fail():
    assert not proofs.closed_form_is(2 * proofs.truncated_mean)
