"""What a claim shows is the function of that name, and its assumptions hold up to their ends."""

import numpy as np
import pytest

from wildmiddle.theory import (
    copies,
    copying,
    coverage,
    denoising,
    flow_matching,
    large_noise,
    locality,
    population,
    posterior,
    regimes,
    schedules,
    shells,
    small_noise,
    spectrum,
)
from wildmiddle.theory.claims import CLAIMS, select

POINTS = np.array([[0.0, 1.0], [2.0, 0.5], [1.0, -1.0]])
OTHERS = np.array([[2.0, 3.0], [2.5, 4.0], [1.5, 5.0]])
NOISE = np.array([[[0.3, -0.2], [0.1, 0.4], [-0.5, 0.2]]])
S = np.array([[2.0, 0.5], [0.5, 1.0]])
ROW = np.array([4.0, 2.0, 1.0, 2.0])
BLOCK = np.array([[4.0, 2.0, 1.0, 2.0], [3.0, 1.0, 0.5, 1.0]])
AT = {
    "N": 3,
    "n": 6,
    "d": 7,
    "c": 1.3,
    "w": 0.6,
    "delta": 0.2,
    "sigma": 1.4,
    "r": 3.5,
    "r_nn": np.array([2.0, 3.0]),
    "d_min": np.array([1.5, 2.5]),
    "d_max": np.array([4.0, 5.0]),
    "diam": 5.5,
    "distances": OTHERS,
    "t": 0.3,
    "a": 1.1,
    "b": 0.7,
    "norm": np.array([6.0, 7.0]),
    "q": np.array([0.2, 0.7]),
    "S1": 0.8,
    "S2": 0.3,
    "phi": [1.0, 4.0],
    "probability": [0.25, 0.75],
    "x": POINTS[1],
    "y": np.array([0.4, 0.3]),
    "z": np.array([0.7, -0.6]),
    "points": POINTS,
    "noise": NOISE,
    "weighting": 2.0,
    "S": S,
    "eigenvalues": ROW,
    "first_row": ROW,
    "first_block": BLOCK,
    "torus_eigenvalues": BLOCK,
    "rho1": 1,
    "rho2": 2,
    "rho": 2,
    "level": 0.4,
    "share": 0.9,
    "sigma_min": 0.1,
    "sigma_max": 20.0,
    "log_snr": 0.8,
    "alpha_bar": 0.35,
    "T": 9,
    "sigmas": [0.5, 1.0, 2.0],
    "lambda_min": 1.0,
    "lambda_max": 4.0,
    "lambda_0": 5.0,
    "peaks": 2,
    "M": 5,
    "alpha": 0.05,
    "mean": 0.6,
    "r_j": OTHERS,
    "d_j": np.array([[0.0, 3.0]] * 3),
    "p": np.array([0.5, 0.25, 0.25]),
}
RATIOS = copies.log_ratios(AT["p"])
BOUND = flow_matching.cosine_bound(
    AT["norm"], AT["d_min"], 5.5, n=3, d=7, t=0.3, w=0.6, a=1.1, b=0.7
)
OVERLAPS = coverage.overlap_probability(OTHERS, 1.4, 7, 1.3)

EXPECTED = {
    "4.5": {"r_in": shells.radii(7, 1.3)[0], "r_out": shells.radii(7, 1.3)[1]},
    "eq.6": {
        "inner radius": 1.4 * shells.radii(7, 1.3)[0],
        "outer radius": 1.4 * shells.radii(7, 1.3)[1],
        "inside": shells.inside(OTHERS, 1.4, 7, 1.3),
    },
    "B.1": {
        "lower threshold": 7 - 2 * np.sqrt(7 * 0.3),
        "upper threshold": 7 + 2 * np.sqrt(7 * 0.3) + 2 * 0.3,
        "bound": np.exp(-0.3),
        "exact lower tail": shells.tails(7, 0.3)[0],
        "exact upper tail": shells.tails(7, 0.3)[1],
    },
    "4.6": {"covered": coverage.is_covered(OTHERS, 1.4, 7, 1.3)},
    "4.7": {
        "p_sigma": coverage.overlap_probability(3.5, 1.4, 7, 1.3),
        "sigma of half coverage, about": coverage.half_coverage_sigma(3.5, 7, 1.3),
    },
    "4.8": {
        "lower": coverage.lower_bound([2.0, 3.0], 1.4, 7, 1.3),
        "upper": min(1, 3 * OVERLAPS.mean()),
        "Bonferroni lower": 0.5,
        "Dawson-Sankoff lower": coverage.dawson_sankoff_lower(0.8, 0.3),
        "second-order upper": 0.8 - 2 * 0.3 / 3,
        "exact, mean over q": 1 - (0.8**3 + 0.3**3) / 2,
    },
    "B.2": {"g": 3.25},
    "B.3": {"P(covered | Y)": [1 - 0.8**3, 1 - 0.3**3], "coverage": 1 - (0.8**3 + 0.3**3) / 2},
    "B.4": {"P(x + sigma Z in the shell of x')": coverage.overlap_probability(3.5, 1.4, 7, 1.3)},
    "B.5": {
        "given X and X'": coverage.overlap_probability(3.5, 1.4, 7, 1.3),
        "mean over pairs": OVERLAPS.mean(),
    },
    "eq.1": {
        "loss_of_optimum": 2
        * denoising.fixed_noise_error(
            lambda y, sigma: denoising.optimal_denoiser(y, POINTS, sigma), POINTS, NOISE, 1.4
        )
    },
    "eq.4": {"dx_dsigma": (AT["y"] - denoising.optimal_denoiser(AT["y"], POINTS, 1.4)) / 1.4},
    "eq.23": {"m_t": denoising.optimal_denoiser(AT["y"], POINTS, 1.4)},
    "eq.24": {"m_sigma": flow_matching.flow_denoiser(AT["y"], POINTS, 0.3)},
    "A.1": {
        "tau": AT["d_min"] / 2.8 - np.log(0.6 * 2 / 0.4) * 1.4 / AT["d_min"],
        "failure": flow_matching.concentration_failure(AT["d_min"], 1.4, 3, 0.6),
        "distance": 0.4 * 5.5,
    },
    "A.2": {
        "B": flow_matching.shortest_target(AT["norm"], 7, 1.1, 0.7),
        "e": 0.4 * 5.5 / 0.7,
        "cosine": BOUND.cosine,
        "sharp_cosine": BOUND.sharp_cosine,
        "probability": BOUND.probability,
    },
    "A.3": {
        "mean_cosine": BOUND.cosine.mean(),
        "mean_sharp_cosine": BOUND.sharp_cosine.mean(),
        "mean_probability": BOUND.probability.mean(),
    },
    "4.1": {
        "max_i w_i": posterior.weights(AT["y"], POINTS, 1.4).max(),
        "1 - W at most, over x_i": posterior.decoding_error(OTHERS, 1.4),
    },
    "4.2.1": {
        "sigma_plus": posterior.sigma_plus(AT["d_max"], 3, 0.6, 0.2),
        "sigma_plus from all distances": posterior.sigma_plus_from_distances(OTHERS, 0.6, 0.2),
        "P(w_i > w) at most": posterior.above_probability(OTHERS, 1.4, 0.6),
    },
    "4.2.2": {
        "sigma_minus": posterior.sigma_minus(AT["d_min"], 3, 0.6, 0.2),
        "sigma_minus from all distances": posterior.sigma_minus_from_distances(OTHERS, 0.6, 0.2),
        "P(w_i < w) at most": np.minimum(
            posterior.below_probability(OTHERS, 1.4, 0.6),
            posterior.split_probability(OTHERS, 1.4, 0.6),
        ),
    },
    "4.3": {
        "mean sigma_minus": posterior.sigma_minus(2.0, 3, 0.6, 0.2),
        "mean sigma_plus": posterior.sigma_plus(4.5, 3, 0.6, 0.2),
    },
    "E.1": {"sigmas": schedules.edm_sigmas(6, 0.1, 20.0, 2)},
    "E.7": {
        "flow_time": 1 / 2.4,
        "log_snr": -2 * np.log(1.4),
        "sigma_from_flow_time": 0.7 / 0.3,
        "sigma_from_log_snr": np.exp(-0.4),
        "sigma_from_alpha_bar": np.sqrt(0.65 / 0.35),
        "sigmas_of_timesteps": schedules.ddpm_sigmas(9),
    },
    "regimes": {
        "weight at least": regimes.weight_lower(OTHERS, 1.4),
        "weight at most": regimes.weight_upper(OTHERS, 1.4),
        "weight >= level up to sigma": regimes.concentration_threshold(AT["d_min"], 0.9, 0.4, 3),
        "coverage >= level from sigma": np.array([2.0, 3.0])
        * regimes.coverage_threshold(1.0, 0.9, 0.4, 7, 1.3),
        "half coverage near sigma": coverage.half_coverage_sigma([2.0, 3.0], 7, 1.3),
    },
    "4.9": {
        "disjoint_sigma": AT["d_min"] / 2 / shells.radii(7, 1.3)[1],
        "shell_overlap": small_noise.shell_overlap(3.5, 1.4, 7, 1.3),
        "two_point_minimum": small_noise.two_point_minimum(3.5, 1.4, 7, 1.3),
    },
    "C.3": {"value": POINTS.mean(0), "slope": large_noise.initial_slope(AT["y"], POINTS)},
    "4.11": {
        "m": denoising.optimal_denoiser(AT["y"], POINTS, 1.4),
        "m_G": large_noise.gaussian_denoiser(AT["y"], POINTS, 1.4),
        "T": large_noise.leading_term(POINTS, AT["z"]),
        "T_at_fixed_y": large_noise.leading_term(POINTS),
        "remainder": large_noise.remainder_bound(POINTS, AT["y"], 1.4),
    },
    "4.10": {
        "sensitivity": locality.sensitivity(ROW, 1.4, 2),
        "bound": locality.sensitivity_bound(ROW, 1.4, 2),
        "harmonic_bound": locality.harmonic_bound(ROW, 1.4, 2),
        "total_variation": locality.total_variation(ROW, 1.4),
        "torus_bound": locality.torus_sensitivity_bound(BLOCK, 1.4, 1, 2),
    },
    "4.10b": {
        "peaks": 1,
        "range_bound": 2 * (4 / 5.96 - 1 / 2.96) / (7 * np.sin(2 * np.pi / 7)),
        "one frequency": locality.single_frequency(5.0, 1.4, 7),
        "decay of an autoregressive row": locality.autoregressive_decay(0.5, 1.4),
    },
    "spectrum": {
        "information at most": np.log1p(ROW / 1.96).sum() / 2,
        "entropy at least": spectrum.entropy_lower(ROW, 3, 1.4),
        "weight at most": regimes.weight_of_spectrum(ROW, 3, 1.4),
        "collapse scale (an estimate)": spectrum.collapse_scale(ROW, 3),
        "speciation scale (an estimate)": 2.0,
    },
    "population": {
        "expectation at least": population.least_mean(0.6, 5, 0.05),
        "coverage at least": population.coverage_lower([2.0, 3.0], 1.4, 7, 0.05, 1.3),
        "coverage at most": population.coverage_upper([2.0, 3.0], 1.4, 3, 7, 0.05, 1.3),
    },
    "copying": {"share of copies at least": copying.copying_lower(OTHERS, AT["d_j"], 1.4, [2, 1])},
    "copies": {
        "log(p_j/p_i)": np.log([[1 / 2, 1 / 2], [2, 1], [2, 1]]),
        "effective number": np.sqrt(8),
        "weight at least": regimes.weight_lower(OTHERS, 1.4, RATIOS),
        "entropy at least": regimes.posterior_entropy(OTHERS, 1.4, RATIOS),
    },
}

INSTEAD = {
    "E.1": {"rho": 2.0},
    "4.10b": {"a": 0.5},
    "copying": {"p": np.array([2, 1])},
    "copies": {"ratios": RATIOS},
}
"""Symbols that mean something else in these claims."""


@pytest.mark.parametrize("id_", EXPECTED)
def test_a_claim_shows_the_values_of_its_functions(id_):
    (claim,) = select(id_)
    shown = claim.at(AT | INSTEAD.get(id_, {}))
    for name, expected in EXPECTED[id_].items():
        np.testing.assert_allclose(shown[name], expected, rtol=1e-12, err_msg=name)


def up(x: float) -> float:
    return float(np.nextafter(x, np.inf))


def down(x: float) -> float:
    return float(np.nextafter(x, -np.inf))


def uneven(by: float) -> np.ndarray:
    return np.array([4.0, 2.0, 1.0, 2.0 + by])


SMALLEST = up(0)
ENDS = [
    # The words of an assumption, its symbol, values that meet it, values that do not.
    ("N >= 1", "N", [1], [0]),
    ("N >= 2", "N", [2], [1]),
    ("1/N < w < 1", "w", [0.34, down(1)], [1 / 3, 1]),
    ("sigma > 0", "sigma", [SMALLEST], [0]),
    ("0 < t < 1", "t", [SMALLEST, down(1)], [0, 1]),
    ("0 <= t < 1", "t", [0, down(1)], [-SMALLEST, 1]),
    ("0 < t <= 1", "t", [SMALLEST, 1], [0, up(1)]),
    ("t > 0", "t", [SMALLEST], [0]),
    ("d >= 1", "d", [1], [0]),
    ("c > 0", "c", [SMALLEST], [0]),
    ("r >= 0", "r", [0], [-SMALLEST]),
    ("distances >= 0", "distances", [[0, 1]], [[0, -SMALLEST]]),
    ("0 <= q <= 1", "q", [0, 1], [-SMALLEST, up(1)]),
    ("0 <= S1 <= N", "S1", [0.3, 3], [up(3), -0.1]),
    ("0 <= S1 <= N", "S2", [0, 0.8], [-SMALLEST, up(0.8)]),
    (
        "Y's probabilities",
        "probability",
        [[0, 1], [0.5, 0.5 + 9e-13]],
        [[-0.1, 1.1], [0.5, 0.5 + 2e-12]],
    ),
    ("phi is finite", "phi", [[1e300]], [[np.inf]]),
    ("lambda(sigma) > 0", "weighting", [SMALLEST], [0]),
    ("a > 0 and b > 0", "a", [SMALLEST], [0]),
    ("a > 0 and b > 0", "b", [SMALLEST], [0]),
    ("B > e", "diam", [0, 5.5], [1e3]),
    ("the data are bounded", "points", [POINTS], [[[np.nan]]]),
    (
        "S is symmetric",
        "S",
        [S, [[2.0, 0.5], [0.5 + 1e-12, 1.0]]],
        [[[2.0, 0.5], [0.5 + 3e-12, 1.0]]],
    ),
    (
        "S has no eigenvalue below 0",
        "S",
        [np.diag([1.0, 0.0]), np.diag([4.0, -3e-12])],
        [np.diag([4.0, -5e-12])],
    ),
    ("c_r = c_{d-r}", "first_row", [ROW, uneven(3e-12)], [uneven(5e-12)]),
    ("lambda_k >= 0", "eigenvalues", [[0.0, 1.0]], [[-SMALLEST, 1.0]]),
    ("lambda_k = lambda_{d-k}", "eigenvalues", [ROW], [uneven(5e-12)]),
    # By the claim: the d of 4.10 is the number of its eigenvalues, that of 4.10b a symbol.
    ("4.10: 1 <= rho <= d/2", "rho", [1, 2], [down(1), up(2)]),
    ("4.10b: 1 <= rho <= d/2", "rho", [1, 3.5], [down(1), up(3.5)]),
    ("1 <= p <= d/2", "peaks", [1, 3.5], [down(1), up(3.5)]),
    ("0 <= lambda_min <= lambda_max", "lambda_min", [0, 4], [-SMALLEST, up(4)]),
    ("eigenvalues of the covariance", "eigenvalues", [[0.0, 1.0]], [[-SMALLEST, 1.0]]),
    ("M >= 1", "M", [1], [0]),
    ("0 < alpha < 1", "alpha", [SMALLEST, down(1)], [0, 1]),
    ("r_j >= 0", "r_j", [[0.0, 1.0]], [[-SMALLEST, 1.0]]),
    ("d_j >= 0", "d_j", [[0.0, 1.0]], [[-SMALLEST, 1.0]]),
    ("p_i > 0", "p", [[SMALLEST, 1.0]], [[0.0, 1.0]]),
    ("0 < delta < 1", "delta", [SMALLEST, down(1)], [0, 1]),
    ("d_min >= 0", "d_min", [0], [-SMALLEST]),
    ("d_max >= 0", "d_max", [0], [-SMALLEST]),
    ("0 < level < share", "level", [SMALLEST, down(0.9)], [0, 0.9]),
    ("0 < level < share", "share", [1], [up(1)]),
    ("n >= 2", "n", [2], [1]),
    ("0 < sigma_min", "sigma_min", [SMALLEST, down(20)], [0, 20]),
    ("rho > 0", "rho", [SMALLEST], [0]),
    ("0 < alpha_bar <= 1", "alpha_bar", [SMALLEST, 1], [0, up(1)]),
    ("the shells are disjoint", "sigma", [0.1], [1.4]),
]


@pytest.mark.parametrize(("words", "symbol", "met", "unmet"), ENDS)
def test_assumptions_hold_up_to_their_ends(words, symbol, met, unmet):
    found = [(claim, a) for claim in CLAIMS for a in claim.assumptions if named(words, claim, a)]
    assert len({assumption.text for _, assumption in found}) == 1
    for claim, assumption in found:
        for value in met:
            assert assumption.check(AT | {symbol: value}) is True, (claim.id, value)
        for value in unmet:
            assert assumption.check(AT | {symbol: value}) is False, (claim.id, value)


def named(words, claim, assumption):
    """Whether ``words``, which may name the claim, are those of its assumption."""
    return f"{claim.id}: {assumption.text}".startswith(words) or assumption.text.startswith(words)


def test_every_assumption_has_its_ends_tested():
    untested = {
        f"{claim.id}: {assumption.text}"
        for claim in CLAIMS
        for assumption in claim.assumptions
        if not any(named(row[0], claim, assumption) for row in ENDS)
    }
    assert untested == set()
