"""The empirical optimal and the Gaussian denoiser behind the one call."""

import math

import numpy as np
import pytest
import torch

from wildmiddle.models import EmpiricalDenoiser, GaussianDenoiser, Piecewise
from wildmiddle.theory.large_noise import gaussian_denoiser

SEED = 20260312


@pytest.fixture(scope="module")
def train() -> np.ndarray:
    points = np.random.default_rng(SEED).uniform(-1, 1, (25, 2, 3))
    points[1] = points[0] + 1e-3
    return points


def noisy(train: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(SEED + 1).standard_normal((len(sigma), 2, 3))
    return train[: len(sigma)] + sigma[:, None, None] * noise


def gaussian(train: np.ndarray) -> GaussianDenoiser:
    rows = torch.as_tensor(train.reshape(len(train), -1))
    return GaussianDenoiser(rows.mean(0), torch.cov(rows.T, correction=0))


def test_empirical_denoiser_is_the_weighted_mean(train, reference_weights) -> None:
    sigma = np.geomspace(0.002, 80, 20)
    y = noisy(train, sigma)
    found = EmpiricalDenoiser(train)(torch.as_tensor(y), torch.as_tensor(sigma))
    rows = train.reshape(25, 6)
    for k in range(20):
        expected = reference_weights(y[k].ravel(), rows, sigma[k]) @ rows
        np.testing.assert_allclose(found[k].numpy().ravel(), expected, rtol=0, atol=1e-9)


def test_gaussian_denoiser_is_that_of_theory(train) -> None:
    sigma = np.geomspace(0.002, 80, 20)
    y = noisy(train, sigma)
    found = gaussian(train)(torch.as_tensor(y), torch.as_tensor(sigma)).numpy()
    rows = train.reshape(25, 6)
    for k in range(20):
        expected = gaussian_denoiser(y[k].ravel(), rows, sigma[k])
        np.testing.assert_allclose(found[k].ravel(), expected, rtol=0, atol=1e-13)


def test_gaussian_denoiser_in_one_dimension() -> None:
    # torch.cov of one variable is a number, not a matrix.
    found = gaussian(np.array([[-1.0], [0.0], [4.0]]))(torch.tensor([[3.0], [1.0]]), 2.0)
    variance = 14 / 3
    expected = 1 + variance / (variance + 4) * (np.array([[3.0], [1.0]]) - 1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("make", [EmpiricalDenoiser, gaussian])
def test_sigma_as_a_number_as_a_tensor_and_per_image(train, make) -> None:
    denoiser = make(train)
    x = torch.as_tensor(noisy(train, np.full(5, 0.7)))
    expected = denoiser(x, 0.7)
    assert expected.shape == x.shape
    for sigma in (
        torch.tensor(0.7, dtype=torch.float64),
        torch.full((5,), 0.7, dtype=torch.float64),
        np.float64(0.7),
    ):
        torch.testing.assert_close(denoiser(x, sigma), expected, rtol=0, atol=0)
    levels = torch.tensor([0.1, 0.5, 0.7, 2.0, 30.0], dtype=torch.float64)
    together = denoiser(x, levels)
    for k, level in enumerate(levels):
        alone = denoiser(x[k : k + 1], level)[0]
        torch.testing.assert_close(together[k], alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize("make", [EmpiricalDenoiser, gaussian])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_result_has_the_shape_and_type_of_the_input(train, make, dtype) -> None:
    denoiser = make(train)
    x = torch.as_tensor(noisy(train, np.full(4, 0.3))).to(dtype)
    for shape in ((4, 2, 3), (4, 6), (4, 1, 2, 3)):
        found = denoiser(x.reshape(shape), 0.3)
        assert found.shape == shape
        assert found.dtype == dtype
        # Computed in double, then rounded once.
        exact = denoiser(x.double().reshape(shape), 0.3).to(dtype)
        torch.testing.assert_close(found, exact, rtol=0, atol=0)


def test_training_set_of_any_form(train) -> None:
    x = torch.as_tensor(noisy(train, np.full(4, 0.3)))
    single = train.astype(np.float32)
    expected = EmpiricalDenoiser(single.astype(np.float64))(x, 0.3)
    for form in (single, single.reshape(25, 6), torch.tensor(single), single.tolist()):
        torch.testing.assert_close(EmpiricalDenoiser(form)(x, 0.3), expected, rtol=0, atol=0)


@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0, 50.0])
def test_empirical_denoiser_stays_in_the_convex_hull(train, sigma) -> None:
    rows = train.reshape(25, 6)
    y = np.random.default_rng(SEED).uniform(-5, 5, (200, 6))
    found = EmpiricalDenoiser(train)(torch.as_tensor(y), sigma).numpy()
    # In the hull exactly where no direction sees the point beyond all training points.
    directions = np.random.default_rng(SEED + 2).standard_normal((500, 6))
    assert ((found @ directions.T) <= (rows @ directions.T).max(0) + 1e-12).all()
    # On a simplex the coordinates are the weights themselves.
    simplex = EmpiricalDenoiser(np.eye(6))(torch.as_tensor(y), sigma).numpy()
    assert (simplex >= 0).all()
    np.testing.assert_allclose(simplex.sum(1), 1, rtol=1e-12)


def test_limits_of_small_and_large_sigma(train) -> None:
    x = torch.as_tensor(train[2:])
    denoiser = EmpiricalDenoiser(train)
    torch.testing.assert_close(denoiser(x, 1e-4), x, rtol=0, atol=1e-14)
    mean = torch.as_tensor(train.mean(0)).expand_as(x)
    torch.testing.assert_close(denoiser(x, 1e9), mean, rtol=0, atol=1e-14)
    torch.testing.assert_close(denoiser(x, math.inf), mean, rtol=0, atol=1e-14)


def test_gradients_reach_the_input_and_not_the_training_set(train) -> None:
    points = torch.tensor(train, requires_grad=True)
    x = torch.as_tensor(noisy(train, np.full(4, 0.3))).requires_grad_()
    EmpiricalDenoiser(points)(x, 0.3).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert points.grad is None


@pytest.mark.parametrize("make", [EmpiricalDenoiser, gaussian])
@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (0.0, r"sigma = 0\.0"),
        (-1.5, r"sigma = -1\.5"),
        (math.nan, "sigma = nan"),
        (torch.tensor([1.0, 0.0, 2.0]), r"sigma = 0\.0"),
        (torch.ones(2), "2 entries for 3 images"),
        (torch.ones(0), "0 entries for 3 images"),
    ],
)
def test_bad_sigma_is_named_with_its_value(train, make, sigma, message) -> None:
    with pytest.raises(ValueError, match=message):
        make(train)(torch.zeros(3, 2, 3), sigma)


@pytest.mark.parametrize("make", [EmpiricalDenoiser, gaussian])
@pytest.mark.parametrize("d", [1, 5, 7])
def test_images_of_another_size_are_refused(train, make, d) -> None:
    with pytest.raises(ValueError, match=f"the denoiser has d = 6 and x {d}; must agree"):
        make(train)(torch.zeros(3, d), 1.0)


@pytest.mark.parametrize("points", [np.zeros((0, 4)), np.zeros(4), [[math.nan]]])
def test_what_is_no_training_set_is_refused(points) -> None:
    with pytest.raises(ValueError, match="points"):
        EmpiricalDenoiser(points)


def scaled(factor):
    """A denoiser that multiplies, and remembers what it was asked."""

    def denoiser(x, sigma):
        denoiser.calls.append((len(x), sigma))
        return factor * x

    denoiser.calls = []
    return denoiser


@pytest.mark.parametrize(
    ("sigma", "factor"),
    [(0.01, 1), (0.14, 10), (1.0, 10), (1.1, 100), (80.0, 100), (math.inf, 100)],
)
@pytest.mark.parametrize("form", [float, np.float64, torch.tensor])
def test_piecewise_picks_by_sigma(sigma, factor, form) -> None:
    # torch.tensor(0.14) is in single precision, above 0.14 and yet the edge itself.
    parts = [scaled(1), scaled(10), scaled(100)]
    x = torch.ones(4, 2)
    assert (Piecewise([0.14, 1.1], parts)(x, form(sigma)) == factor).all()
    assert [call for part in parts for call in part.calls] == [(4, form(sigma))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_piecewise_picks_for_each_image(dtype) -> None:
    parts = [scaled(1), scaled(10), scaled(100)]
    sigma = torch.tensor([0.1, 0.14, 5.0, 1.0999, 1.1, 0.1399], dtype=dtype)
    x = torch.arange(1.0, 13).reshape(6, 2)
    found = Piecewise([0.14, 1.1], parts)(x, sigma)
    expected = torch.tensor([1.0, 10, 100, 10, 100, 1])[:, None] * x
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    for part, rows in zip(parts, ([0, 5], [1, 3], [2, 4]), strict=True):
        ((count, levels),) = part.calls
        assert count == 2
        torch.testing.assert_close(levels, sigma[rows], rtol=0, atol=0)


def test_piecewise_of_one_denoiser_is_that_denoiser(train) -> None:
    x = torch.as_tensor(noisy(train, np.full(4, 0.3)))
    denoiser = EmpiricalDenoiser(train)
    torch.testing.assert_close(Piecewise([], [denoiser])(x, 0.3), denoiser(x, 0.3), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("edges", "count", "message"),
    [
        ([1.0], 1, "1 edges for 1 denoisers"),
        ([], 0, "0 edges for 0 denoisers"),
        ([1.0, 1.0], 3, "must be above 0 and rise"),
        ([2.0, 1.0], 3, "must be above 0 and rise"),
        ([0.0], 2, "must be above 0 and rise"),
        ([math.nan], 2, "must be above 0 and rise"),
    ],
)
def test_piecewise_refuses_edges_that_are_none(edges, count, message) -> None:
    with pytest.raises(ValueError, match=message):
        Piecewise(edges, [scaled(1)] * count)


def test_piecewise_refuses_bad_sigma() -> None:
    with pytest.raises(ValueError, match="2 entries for 3 images"):
        Piecewise([1.0], [scaled(1), scaled(2)])(torch.zeros(3, 2), torch.ones(2))
