"""The deviation from the Gaussian denoiser against 50 digits and against ``theory``."""

import mpmath
import numpy as np
import pytest

from wildmiddle.empirical.large_noise import deviation
from wildmiddle.theory.large_noise import gaussian_denoiser
from wildmiddle.theory.posterior import weights

SEED = 20260308
EPS = np.finfo(np.float64).eps


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(SEED).uniform(-1, 1, (7, 3))


def at_50_digits(points: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    """``m_sigma(y) - m^G_sigma(y)`` by mpmath, from Eq. 2 and 7 as they stand."""
    with mpmath.workdps(50):
        x = [[mpmath.mpf(v) for v in row] for row in points.tolist()]
        target, s2, d = [mpmath.mpf(v) for v in y.tolist()], mpmath.mpf(sigma) ** 2, len(y)
        squared = [sum((a - b) ** 2 for a, b in zip(target, row, strict=True)) for row in x]
        terms = [mpmath.exp((min(squared) - value) / (2 * s2)) for value in squared]
        mean = [mpmath.fsum(row[k] for row in x) / len(x) for k in range(d)]
        empirical = [
            mpmath.fsum(t * row[k] for t, row in zip(terms, x, strict=True)) / mpmath.fsum(terms)
            for k in range(d)
        ]
        covariance = mpmath.matrix(d, d)
        for row in x:
            for i in range(d):
                for j in range(d):
                    covariance[i, j] += (row[i] - mean[i]) * (row[j] - mean[j]) / len(x)
        shifted = mpmath.matrix([a - b for a, b in zip(target, mean, strict=True)])
        solved = mpmath.lu_solve(covariance + s2 * mpmath.eye(d), shifted)
        gaussian = covariance * solved
        return np.array([float(empirical[k] - mean[k] - gaussian[k]) for k in range(d)])


@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0, 100.0, 1e5])
def test_deviation_at_50_digits(points, sigma, offset) -> None:
    shifted = points + offset
    z = np.random.default_rng(SEED).standard_normal((4, 3))
    y = offset + sigma * z
    found = deviation(shifted, y, sigma, "cpu")
    for row, target in zip(found, y, strict=True):
        # Rounding of the data about their mean, which a small sigma magnifies in the exponent.
        noise = EPS * (1 + offset) * max(1, sigma**-2)
        np.testing.assert_allclose(
            row, at_50_digits(shifted, target, sigma), rtol=0, atol=16 * noise
        )


@pytest.mark.parametrize("sigma", [0.2, 1.0, 10.0])
def test_deviation_is_that_of_the_two_denoisers_of_theory(points, sigma) -> None:
    y = np.random.default_rng(SEED).uniform(-2, 2, (9, 3))
    expected = weights(y, points, sigma) @ points - gaussian_denoiser(y, points, sigma)
    np.testing.assert_allclose(deviation(points, y, sigma), expected, rtol=0, atol=1e-13)


def test_two_points_on_a_line_have_no_gaussian_denoiser() -> None:
    # Closed form: on +-1 the optimal denoiser is tanh(y / sigma^2), the Gaussian y / (1 + sigma^2).
    y, sigma = np.linspace(-2, 2, 9)[:, None], 0.8
    expected = np.tanh(y / sigma**2) - y / (1 + sigma**2)
    found = deviation(np.array([[-1.0], [1.0]]), y, sigma)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


def test_images_are_rows(small_images) -> None:
    y = np.random.default_rng(SEED).standard_normal((2, 64))
    rows = deviation(small_images.reshape(20, 64), y, 2.0)
    np.testing.assert_array_equal(deviation(small_images, y, 2.0), rows)
