"""Receptive fields: rows of Jacobians that are known, and the closed forms of theory.locality."""

import numpy as np
import pytest
import torch

from wildmiddle.models import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.receptive_field import (
    jacobian_rows,
    radius,
    receptive_field,
    sensitivity_by_offset,
)
from wildmiddle.theory import locality

SEED = 20260403
SHAPE = (1, 6, 8)
SIGMAS = [0.1, 1.0, 6.0]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(SEED).uniform(-1, 1, (20, *SHAPE))


@pytest.fixture(scope="module")
def torus() -> np.ndarray:
    """First block of a doubly circulant covariance: it falls off with the wrap-around distance."""
    rows, columns = (np.minimum(np.arange(n), n - np.arange(n)) for n in SHAPE[1:])
    block = np.exp(-rows[:, None] - 0.5 * columns[None, :])
    assert (locality.torus_eigenvalues(block) > 0).all()
    return block


@pytest.fixture(scope="module")
def stationary(torus) -> GaussianDenoiser:
    height, width = torus.shape
    rows, columns = (index.ravel() for index in np.indices(torus.shape))
    covariance = torus[
        (rows[:, None] - rows) % height,
        (columns[:, None] - columns) % width,
    ]
    return GaussianDenoiser(
        torch.zeros(len(covariance), dtype=torch.float64), torch.as_tensor(covariance)
    )


def network() -> tuple[torch.nn.Module, tuple[int, ...]]:
    """Convolutions, a norm over the whole image and a nonlinearity, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        layers = torch.nn.Sequential(
            torch.nn.Conv2d(2, 8, 3, padding=1),
            torch.nn.GroupNorm(2, 8),
            torch.nn.SiLU(),
            torch.nn.Conv2d(8, 2, 3, padding=1),
        ).double()

    class Scaled(torch.nn.Module):
        def forward(self, x, sigma):
            return layers(x / (1 + sigma**2) ** 0.5)

    return Scaled(), (2, 6, 8)


def exact_kernel(torus: np.ndarray, sigma: float) -> np.ndarray:
    eigenvalues = locality.torus_eigenvalues(torus)
    return np.fft.ifft2(eigenvalues / (eigenvalues + sigma**2)).real


@pytest.mark.parametrize("kind", ["empirical", "gaussian", "network"])
def test_rows_are_those_of_the_whole_jacobian(images, stationary, kind) -> None:
    denoiser, shape = {
        "empirical": lambda: (EmpiricalDenoiser(images), SHAPE),
        "gaussian": lambda: (stationary, SHAPE),
        "network": network,
    }[kind]()
    generator = torch.Generator().manual_seed(SEED)
    noisy = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    outputs = torch.tensor([0, 17, 40])
    found = jacobian_rows(denoiser, noisy, 0.9, outputs)
    assert not found.requires_grad
    for row, y, i in zip(found, noisy, outputs.tolist(), strict=True):
        whole = torch.autograd.functional.jacobian(lambda y: denoiser(y[None], 0.9)[0], y)
        expected = whole.reshape(-1, *shape)[i]
        np.testing.assert_allclose(row, expected, atol=1e-13)


def test_sensitivity_of_stationary_gaussian_data_is_that_of_theory(
    images, torus, stationary
) -> None:
    found = sensitivity_by_offset(stationary, images, SIGMAS, 600, SEED)
    eigenvalues = locality.torus_eigenvalues(torus)
    for k, sigma in enumerate(SIGMAS):
        # Both sides of a pixel at offset (a, b) have the same kernel on the torus.
        kernel = np.abs(exact_kernel(torus, sigma))
        np.testing.assert_allclose(found[k], kernel, atol=1e-13)
        a, b = np.indices(torus.shape)
        away = (a + b) > 0
        rho1, rho2 = np.minimum(a, 6 - a)[away], np.minimum(b, 8 - b)[away]
        bound = locality.torus_sensitivity_bound(eigenvalues, sigma, rho1, rho2)
        assert (found[k][away] <= bound * (1 + 1e-9)).all()


def test_field_of_stationary_gaussian_data_by_summing_its_kernel(images, torus, stationary) -> None:
    alpha = 1e-6
    found = receptive_field(stationary, images, SIGMAS, 800, SEED, alpha=alpha)
    height, width = torus.shape
    for k, sigma in enumerate(SIGMAS):
        energy = exact_kernel(torus, sigma) ** 2
        expected = np.zeros(max(height, width))
        for row, column in np.ndindex(height, width):  # every output, equally often
            rows, columns = np.indices((height, width))
            ring = np.maximum(np.abs(rows - row), np.abs(columns - column))
            moved = np.roll(energy, (row, column), axis=(0, 1))
            shares = [moved[ring <= r].sum() for r in range(len(expected))]
            expected += np.array(shares) / energy.sum() / (height * width)
        assert (found.low[k] <= expected + 1e-12).all()
        assert (expected <= found.high[k] + 1e-12).all(), (found.high[k], expected, SEED)
    assert (found.high - found.low).max() < 0.2


def test_field_of_windows_and_channels(images) -> None:
    # The pixel itself, and the sum over a 3 x 3 window of the other channel: of the 1 + 9 squares
    # of an inner pixel 2 are at the centre; at the border the window has fewer.
    two = np.concatenate([images, -images], axis=1)
    kernel = torch.ones(2, 2, 3, 3, dtype=torch.float64)
    for channel in range(2):
        kernel[channel, channel] = 0
        kernel[channel, channel, 1, 1] = 1

    def denoiser(x, sigma):
        return torch.nn.functional.conv2d(x, kernel, padding=1)

    found = receptive_field(denoiser, two, 1.0, 500, SEED, alpha=1e-6)
    assert (found.mean[0, 1:] == 1).all()
    inner, edge, corner = 4 * 6, 2 * (4 + 6), 4
    expected = 2 * (inner / 10 + edge / 7 + corner / 5) / 48
    assert found.low[0, 0] <= expected <= found.high[0, 0], (found, SEED)
    assert radius(found).tolist() == [1]
    assert radius(found, 0.1).tolist() == [0]


def test_a_denoiser_that_depends_on_nothing_has_a_field_of_one_pixel(images) -> None:
    def denoiser(x, sigma):
        return 0 * x

    found = receptive_field(denoiser, images, 1.0, 20)
    assert (found.mean == 1).all()
    assert radius(found, 1.0).tolist() == [0]


def test_offsets_count_within_the_channel_only() -> None:
    # J_ij = 1 for the pixel itself, and 5 for the same place in the other channel.
    def denoiser(x, sigma):
        return x + 5 * x.flip(1)

    found = sensitivity_by_offset(denoiser, np.zeros((1, 2, 3, 3)), 1.0, 400, SEED)
    assert found[0, 0, 0] == 1
    assert found.sum() == 1
    single = sensitivity_by_offset(denoiser, np.zeros((1, 2, 3, 3)), 1.0, 1, SEED)
    assert np.isnan(single).any()  # no single pixel has others at every offset


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: receptive_field(lambda x, _: x, np.zeros((3, 4)), 1.0, 5),
            r"bring them to \(M, C, H, W",
        ),
        (lambda: sensitivity_by_offset(lambda x, _: x, np.zeros((3, 4)), 1.0, 5), "shape"),
        (
            lambda: receptive_field(lambda x, _: x * torch.nan, np.zeros((1, 1, 2, 2)), 1.0, 5),
            "NaN",
        ),
        (
            lambda: radius(receptive_field(lambda x, _: x, np.zeros((1, 1, 2, 2)), 1.0, 5), 0.0),
            "share = 0",
        ),
    ],
)
def test_bad_arguments_are_named(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()
