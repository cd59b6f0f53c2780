"""Jacobians of denoisers: linear maps, Tweedie's formula, and the largest entry by distance."""

import numpy as np
import pytest
import torch

from wildmiddle.empirical.locality import jacobian, sensitivity_by_distance
from wildmiddle.models import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.theory.locality import gaussian_jacobian

SEED = 20260310


def test_jacobian_of_a_linear_map_is_its_matrix() -> None:
    matrix = np.random.default_rng(SEED).standard_normal((6, 6))
    weight = torch.as_tensor(matrix)

    def linear(x: torch.Tensor, sigma: float) -> torch.Tensor:
        assert x.shape == (1, 2, 3)
        return (sigma * x.reshape(1, 6) @ weight.T).reshape(x.shape)

    found = jacobian(linear, torch.ones(2, 3, dtype=torch.float64), 0.5)
    np.testing.assert_allclose(found, 0.5 * matrix, rtol=1e-14)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0, 30.0])
def test_tweedie_the_jacobian_is_the_posterior_covariance(cloud, sigma, reference_weights) -> None:
    y = cloud[0] + sigma * np.random.default_rng(SEED).standard_normal(5)
    w = reference_weights(y, cloud, sigma)
    centred = cloud - w @ cloud
    covariance = sum(w[j] * np.outer(centred[j], centred[j]) for j in range(len(cloud)))
    found = jacobian(EmpiricalDenoiser(cloud), torch.as_tensor(y), sigma)
    np.testing.assert_allclose(found, covariance / sigma**2, rtol=0, atol=1e-13 / sigma**2)


def test_jacobian_of_the_gaussian_denoiser_is_that_of_lemma_d_1() -> None:
    root = np.random.default_rng(SEED).standard_normal((5, 4))
    covariance = root.T @ root / 5
    denoiser = GaussianDenoiser(torch.ones(4, dtype=torch.float64), torch.as_tensor(covariance))
    found = jacobian(denoiser, torch.zeros(4, dtype=torch.float64), 0.7)
    np.testing.assert_allclose(found, gaussian_jacobian(covariance, 0.7), rtol=0, atol=1e-13)


@pytest.mark.parametrize("d", [1, 2, 5, 8])
def test_sensitivity_is_the_largest_entry_at_each_cyclic_distance(d) -> None:
    matrix = np.random.default_rng(SEED).standard_normal((d, d))
    expected = [0.0] * (d // 2 + 1)
    for i in range(d):
        for j in range(d):
            rho = min((i - j) % d, (j - i) % d)
            expected[rho] = max(expected[rho], abs(matrix[i, j]))
    np.testing.assert_array_equal(sensitivity_by_distance(matrix), expected)


def test_distance_wraps_around() -> None:
    """In a row of five the first and the last pixel are neighbours."""
    matrix = np.zeros((5, 5))
    matrix[0, 4], matrix[3, 1] = -7.0, 2.0
    assert sensitivity_by_distance(matrix).tolist() == [0.0, 7.0, 2.0]
