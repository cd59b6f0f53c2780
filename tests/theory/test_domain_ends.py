"""Every guard of a stated domain at its ends: the last value is taken, the next one is refused."""

import numpy as np
import pytest

from wildmiddle.theory import (
    coverage,
    denoising,
    flow_matching,
    large_noise,
    locality,
    posterior,
    regimes,
    schedules,
    shells,
    small_noise,
)
from wildmiddle.theory.constants import Thresholds


def up(x: float) -> float:
    """The next number above."""
    return float(np.nextafter(x, np.inf))


def down(x: float) -> float:
    """The next number below."""
    return float(np.nextafter(x, -np.inf))


SMALLEST, LARGEST = up(0), down(np.inf)
POINTS = np.array([[0.0, 1.0], [2.0, 0.5], [1.0, -1.0]])
SPECTRUM = np.array([4.0, 2.0, 1.0, 1.0, 1.0, 2.0])
BLOCK = np.outer([4.0, 2.0, 1.0, 2.0], [3.0, 2.0, 1.0, 1.0, 1.0, 2.0])
TOP = float(shells.shell_probability(4, 1.0))


def asymmetric_row(by):
    return locality.circulant_eigenvalues([4.0, 1.0, 0.5, 1.0 + by])


def asymmetric_block(by):
    return locality.torus_eigenvalues([[4.0, 1.0, 0.5, 1.0 + by]])


def spectrum_with(value):
    return locality.shrinkage([1.0, value], 1.0)


ENDS = [
    # A function of one argument, how the message names it, values taken, values refused.
    (
        lambda x: coverage.overlap_probability(x, 1.0, 4),
        "distance",
        [0, LARGEST],
        [-SMALLEST, np.inf],
    ),
    (lambda x: coverage.overlap_probability(1.0, x, 4), "sigma", [1e-300, LARGEST], [0, np.inf]),
    (lambda x: coverage.upper_bound(x, 3), "mean_overlap", [0, 1], [-SMALLEST, up(1), np.nan]),
    (lambda x: coverage.upper_bound(0.5, x), "n", [1], [down(1), np.inf]),
    (lambda x: coverage.expected_coverage(x, 3), "hit_probability", [0, 1], [-SMALLEST, up(1)]),
    (lambda x: coverage.expected_coverage(0.5, x), "n", [1], [down(1), np.inf]),
    (lambda x: coverage.conditional_mean([1, 1], [x, 1 - x]), "probability", [0, 1], [-1e-9, 1.5]),
    # Probabilities are sums that round: so much is let through, and not ten times as much.
    (
        lambda x: coverage.conditional_mean([1, 1], [0.5, 0.5 + x]),
        "sum",
        [0, 9e-13, -9e-13],
        [2e-12, -2e-12],
    ),
    (lambda x: coverage.bonferroni_lower(x, 0.0), "s1", [0], [-SMALLEST]),
    (lambda x: coverage.bonferroni_lower(1.0, x), "s2", [0], [-SMALLEST]),
    (lambda x: coverage.second_order_upper(0.5, 0.0, x), "n", [1], [down(1)]),
    (lambda x: coverage.second_order_upper(3 * (1 + x), 0.0, 3), "s1", [0, 9e-13], [2e-12]),
    (lambda x: coverage.second_order_upper(1.0, 1 + x, 3), "s2", [0, 9e-13], [2e-12]),
    (lambda x: coverage.half_coverage_sigma(x, 4), "nearest", [0, 1e300], [-SMALLEST, np.inf]),
    (
        lambda x: coverage.fall_bound([x], [1.0], 3, 64),
        "distance",
        [0, LARGEST],
        [-SMALLEST, np.inf],
    ),
    (lambda x: coverage.fall_bound([1.0], [x], 3, 64), "sigma", [1e-300, LARGEST], [0, np.inf]),
    (lambda x: coverage.mean_overlap([x], 1.0, 4), "distance", [0, LARGEST], [-SMALLEST, np.inf]),
    (lambda x: coverage.mean_overlap([1.0], x, 4), "sigma", [1e-300, 1e300], [0, np.inf]),
    (lambda x: denoising.ode_velocity([1.0], [0.0], x), "sigma", [1e-300, LARGEST], [0, np.inf]),
    (lambda x: flow_matching.conditional_field([1.0], [0.0], x), "t", [0, down(1)], [-SMALLEST, 1]),
    (lambda x: flow_matching.flow_denoiser(POINTS[0], POINTS, x), "t", [0, 0.999], [-SMALLEST, 1]),
    (lambda x: flow_matching.denoiser_reach(x, 1.0), "w", [0, 1], [-SMALLEST, up(1)]),
    (lambda x: flow_matching.denoiser_reach(0.5, x), "diameter", [0, LARGEST], [-SMALLEST, np.inf]),
    (lambda x: cosine(t=x), "t", [1e-300, down(1)], [0, 1]),
    (lambda x: cosine(diameter=x), "diameter", [0, 1e300], [-SMALLEST, np.inf]),
    (lambda x: flow_matching.shortest_target(x, 9), "norm", [0, 1e150], [-SMALLEST, np.inf]),
    (lambda x: flow_matching.shortest_target(9.0, x), "d", [1, 1e300], [down(1), np.inf]),
    (lambda x: flow_matching.shortest_target(9.0, 9, a=x), "a", [SMALLEST, 1e300], [0, np.inf]),
    (lambda x: flow_matching.shortest_target(9.0, 9, b=x), "b", [SMALLEST, 1e300], [0, np.inf]),
    (lambda x: flow_matching.shortfall(x, 1.0), "a", [SMALLEST, LARGEST], [0, np.inf]),
    (lambda x: flow_matching.shortfall(1.0, x), "b", [SMALLEST, LARGEST], [0, np.inf]),
    (
        lambda x: large_noise.gaussian_denoiser(POINTS[0], POINTS, x),
        "sigma",
        [1e-100, 1e100],
        [0, np.inf],
    ),
    (
        lambda x: large_noise.gaussian_flow_denoiser(POINTS[0], POINTS, x),
        "t",
        [0, 0.999],
        [-SMALLEST, 1],
    ),
    (
        lambda x: large_noise.remainder_bound(POINTS, POINTS[0], x),
        "sigma",
        [1e-50, 1e100],
        [0, np.inf],
    ),
    # Rows are transforms that round: so much asymmetry is let through, and not ten times as much.
    (asymmetric_row, "asymmetry", [0, 3e-12], [5e-12]),
    (asymmetric_block, "asymmetry", [0, 3e-12], [5e-12]),
    (spectrum_with, "eigenvalue", [0, 1e300], [-SMALLEST, np.inf]),
    (lambda x: locality.shrinkage([1.0, 2.0], x), "sigma", [1e-100, 1e100], [0, np.inf]),
    (lambda x: locality.sensitivity_bound(SPECTRUM, 1.0, x), "rho", [1, 3], [down(1), up(3)]),
    (lambda x: locality.harmonic_bound(SPECTRUM, 1.0, x), "rho", [1, 3], [down(1), up(3)]),
    (lambda x: locality.sensitivity_bound(SPECTRUM[:5], 1.0, x), "rho", [1, 2.5], [up(2.5)]),
    (lambda x: locality.harmonic_bound(SPECTRUM[:5], 1.0, x), "rho", [1, 2.5], [up(2.5)]),
    (
        lambda x: locality.torus_sensitivity_bound(BLOCK, 1.0, x, 1),
        "rho1",
        [0, 2],
        [-SMALLEST, up(2)],
    ),
    (
        lambda x: locality.torus_sensitivity_bound(BLOCK, 1.0, 1, x),
        "rho2",
        [0, 3],
        [-SMALLEST, up(3)],
    ),
    (lambda x: locality.torus_sensitivity_bound(BLOCK, 1.0, 0, x), "pixels", [1e-3], [0]),
    (lambda x: locality.gaussian_jacobian(np.eye(2), x), "sigma", [1e-100, 1e100], [0, np.inf]),
    (lambda x: posterior.weights(POINTS[0], POINTS, x), "sigma", [1e-100, 1e100], [0, np.inf]),
    (lambda x: posterior.log_odds(x, 0.9), "n", [2, 1e300], [down(2), np.inf]),
    (lambda x: posterior.log_odds(4, x), "w", [up(0.25), down(1)], [0.25, 1]),
    (lambda x: posterior.union_quantile(x, 0.1), "n", [2, 1e300], [down(2), np.inf]),
    (lambda x: posterior.union_quantile(4, x), "delta", [1e-300, down(1)], [0, 1]),
    (lambda x: posterior.sigma_plus(x, 4, 0.9, 0.1), "d_max", [0, 1e300], [-SMALLEST, np.inf]),
    (lambda x: posterior.sigma_minus(x, 4, 0.9, 0.1), "d_min", [0, 1e300], [-SMALLEST, np.inf]),
    (lambda x: posterior.margin(x, 1.0, 1.0), "distance", [1e-100, 1e100], [-SMALLEST, np.inf]),
    (lambda x: posterior.margin(1.0, x, 1.0), "sigma", [1e-100, 1e100], [0, np.inf]),
    (
        lambda x: posterior.split_probability([x, 1.0], 1.0, 0.9),
        "distances",
        [0, 1e100],
        [-SMALLEST, np.inf],
    ),
    (
        lambda x: posterior.split_probability([1.0, 1.0], x, 0.9),
        "sigma",
        [1e-2, 1e100],
        [0, np.inf],
    ),
    (lambda x: posterior.decoding_error([x], 1.0), "distances", [0, 1e300], [-SMALLEST, np.inf]),
    (lambda x: posterior.decoding_error([1.0], x), "sigma", [1e-300, 1e300], [0, np.inf]),
    (lambda x: regimes.posterior_entropy([[x]], 1.0), "distances", [0, 1e100], [-SMALLEST, np.inf]),
    (lambda x: regimes.posterior_entropy([[1.0]], x), "sigma", [1e-100, 1e100], [0, np.inf]),
    (
        lambda x: regimes.copying_lower([[1.0, 2.0], [x, 2.0]], 1.0),
        "distances",
        [0, 1e100],
        [-SMALLEST, np.inf],
    ),
    (lambda x: regimes.copying_lower([[1.0, 2.0]], x), "sigma", [1e-2, 1e100], [0, np.inf]),
    (
        lambda x: regimes.concentration_threshold(1.0, 0.9, x, 3),
        "level",
        [SMALLEST, down(0.9)],
        [0, 0.9],
    ),
    (lambda x: regimes.concentration_threshold(1.0, x, 0.5, 3), "share", [1], [up(1)]),
    (lambda x: regimes.concentration_threshold(1.0, 0.9, 0.5, x), "n", [2], [down(2)]),
    (
        lambda x: regimes.coverage_threshold(1.0, 1.0, x, 4, 1.0),
        "level / share",
        [1e-9, TOP * (1 - 1e-12)],
        [0, TOP],
    ),
    (
        lambda x: regimes.danger_zone([[1.0], [1.0]], [[1.0, 2.0]], 4, weight_high=x).certain,
        "weight_high",
        [down(1)],
        [0, 1],
    ),
    (
        lambda x: regimes.danger_zone([[1.0], [1.0]], [[1.0, 2.0]], 4, coverage_high=x).certain,
        "coverage_high",
        [down(1)],
        [0, 1],
    ),
    (lambda x: Thresholds(weight_high=x).weight_high, "weight_high", [up(0.1), down(1)], [0.1, 1]),
    (
        lambda x: Thresholds(coverage_low=x).coverage_low,
        "coverage_low",
        [SMALLEST, down(0.5)],
        [0, 0.5],
    ),
    (schedules.edm_sigmas, "n", [2], [1]),
    (lambda x: schedules.edm_sigmas(4, sigma_min=x), "sigma_min", [1e-300, down(80)], [0, 80]),
    (lambda x: schedules.edm_sigmas(4, sigma_max=x), "sigma_max", [up(0.002)], [0.002, np.inf]),
    (lambda x: schedules.edm_sigmas(4, rho=x), "rho", [0.1, 1e6], [0, np.inf]),
    (schedules.ddpm_sigmas, "timesteps", [1], [0]),
    (lambda x: schedules.ddpm_sigmas(10, x, 0.02), "beta_start", [1e-300, 0.02], [0, up(0.02)]),
    (lambda x: schedules.ddpm_sigmas(10, 0.01, x), "beta_end", [0.01, down(1)], [1]),
    (schedules.ddpm_timestep, "sigma", [SMALLEST, LARGEST], [0, np.inf]),
    (schedules.sigma_to_flow_time, "sigma", [0, np.inf], [-SMALLEST]),
    (schedules.flow_time_to_sigma, "t", [1e-300, 1], [0, up(1)]),
    (schedules.sigma_to_log_snr, "sigma", [SMALLEST, LARGEST], [0, np.inf]),
    (schedules.log_snr_to_sigma, "log_snr", [-1400, 1400], [down(-1400), up(1400)]),
    (schedules.alpha_bar_to_sigma, "alpha_bar", [1e-300, 1], [0, up(1)]),
    (lambda x: shells.radii(x, 1.0), "d", [1, 1e300], [down(1), np.inf]),
    (lambda x: shells.radii(4, x), "c", [SMALLEST, 1e300], [0, np.inf]),
    (lambda x: shells.tails(4, x), "t", [SMALLEST, 1e300], [0, np.inf]),
    (lambda x: shells.shifted_probability(x, 4), "shift", [0, LARGEST], [-SMALLEST, np.inf]),
    (shells.shell_bound, "c", [SMALLEST, LARGEST], [0, np.inf]),
    (lambda x: shells.inside(x, 1.0, 4), "distance", [0, LARGEST], [-SMALLEST, np.inf]),
    (lambda x: shells.inside(1.0, x, 4), "sigma", [SMALLEST, 1e300], [0, np.inf]),
    (lambda x: small_noise.disjoint_sigma(x, 4), "min_distance", [0, LARGEST], [-SMALLEST, np.inf]),
    (lambda x: small_noise.shell_overlap(x, 1.0, 4), "distance", [SMALLEST, LARGEST], [0, np.inf]),
    (lambda x: small_noise.shell_overlap(1.0, x, 4), "sigma", [1e-300, LARGEST], [0, np.inf]),
]


def cosine(t=0.5, diameter=2.0):
    return flow_matching.cosine_bound(3.0, 1.0, diameter, n=3, d=4, t=t, w=0.9)


@pytest.mark.parametrize(("function", "name", "taken", "refused"), ENDS)
def test_ends_of_the_domain(function, name, taken, refused):
    for value in taken:
        assert not np.any(np.isnan(np.asarray(function(value), dtype=float))), value
    for value in refused:
        with pytest.raises(ValueError, match=name):
            function(value)


def test_a_copy_nearer_than_float64_resolves_adds_nothing_to_the_copying_bound():
    # 1 - d_min / (4 d_max) rounds to 1 there, which is no weight below 1.
    apart = np.array([[1.0, 2.0], [1e-17, 2.0], [0.0, 2.0]])
    assert regimes.copying_lower(apart, 0.1) == regimes.copying_lower(apart[:1], 0.1) / 3


def test_the_largest_entropy_leaves_the_weight_of_a_uniform_choice():
    for n in range(2, 300):
        # The entropy is flat there: its rounding of 1e-16 moves the weight by the root of that.
        np.testing.assert_allclose(regimes.weight_of_entropy([np.log(n)], n), 1 / n, atol=1e-7)
        assert regimes.weight_of_entropy([0.0], n) == 1
