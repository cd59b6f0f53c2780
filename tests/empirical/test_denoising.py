"""Error, sensitivity and entropy from the weights alone, against outputs and exact forms."""

import numpy as np
import pytest
import torch
from scipy.integrate import cumulative_simpson
from scipy.special import entr

from wildmiddle.empirical.data import load
from wildmiddle.empirical.denoising import denoising
from wildmiddle.empirical.kernels.noise_pass import run_pass
from wildmiddle.empirical.kernels.products import mean_of
from wildmiddle.empirical.locality import jacobian
from wildmiddle.empirical.noise import blocks, indices
from wildmiddle.empirical.posterior import weight_accumulator
from wildmiddle.models.denoisers import EmpiricalDenoiser
from wildmiddle.models.one_step import denoising_error
from wildmiddle.theory.posterior import weights

SEED = 20261124
SIGMAS = np.array([0.002, 0.05, 0.3, 1.0, 5.0, 80.0])


def near(d: int) -> np.ndarray:
    """Forty points, of which three pairs lie 1e-4 apart and one is a duplicate."""
    rng = np.random.default_rng(SEED)
    points = rng.uniform(-1, 1, (40, d))
    steps = rng.standard_normal((3, d))
    points[3:6] = points[:3] + 1e-4 * steps / np.linalg.norm(steps, axis=1)[:, None]
    points[7] = points[6]
    return points


@pytest.mark.parametrize("d", [5, 300])
def test_draws_are_those_of_the_weights_at_the_noisy_points(d) -> None:
    points, count = near(d), 60
    rows = torch.as_tensor(points)
    chosen = indices(SEED, "denoising", count, len(points))
    part, result = weight_accumulator(rows, SIGMAS, count, mean_of(rows), chosen, moments=True)
    drawn = list(blocks(SEED, "denoising", count, d, dtype=np.float32))
    found = result(run_pass(rows, mean_of(rows), drawn, [part], 2**28))
    apart = ((points[:, None] - points) ** 2).sum(-1)
    for q in range(count):
        i, z = chosen[q], drawn[0].noise[q].astype(np.float64)
        for k, sigma in enumerate(SIGMAS.tolist()):
            w = weights(sigma * z, points - points[i], sigma)
            spread = w @ apart[i] / 2
            assert found.spread[q, k] == pytest.approx(spread, rel=2e-5, abs=1e-12)
            assert found.entropy[q, k] == pytest.approx(entr(w).sum(), abs=2e-5)


def test_the_error_is_that_of_the_outputs() -> None:
    train = load("digits").train[:100]
    few, sigmas = torch.as_tensor(train)[:, None], [0.5, 3.0, 10.0]
    found = denoising(train, sigmas, queries=20_000, seed=SEED, device="cpu", alpha=1e-6)
    outputs = denoising_error(
        EmpiricalDenoiser(few, "cpu"),
        few,
        sigmas,
        20_000,
        SEED,
        value_range=(-1.0, 1.0),
        alpha=1e-6 / len(sigmas),
    )
    assert found.error.alpha * len(sigmas) == pytest.approx(1e-6)
    assert (found.error.low < outputs.high).all()
    assert (outputs.low < found.error.high).all()
    # Sharp enough to tell it from half of it or twice, where it is no rare event.
    wide = (found.error.high - found.error.low)[1:] + (outputs.high - outputs.low)[1:]
    assert (wide < 0.1 * outputs.mean[1:]).all()


def test_the_sensitivity_is_the_trace_of_the_jacobian() -> None:
    points = np.random.default_rng(SEED).uniform(-1, 1, (8, 3))
    sigma = 0.8
    found = denoising(points, sigma, queries=40_000, seed=SEED, device="cpu", alpha=1e-6)
    denoiser, count = EmpiricalDenoiser(points, "cpu"), 600
    block = np.random.default_rng(1)
    y = points[block.integers(8, size=count)] + sigma * block.standard_normal((count, 3))
    traces = [np.trace(jacobian(denoiser, torch.as_tensor(each), sigma)) for each in y]
    error = 5 * np.std(traces) / np.sqrt(count)
    assert found.sensitivity.low[0] - error < np.mean(traces) < found.sensitivity.high[0] + error
    assert error < 0.1 * np.mean(traces)


def test_the_entropy_rises_as_the_errors_integral() -> None:
    # d H / d(1 / (2 sigma^2)) = -error: Guo, Shamai and Verdu 2005, for the same draws.
    train = load("digits").train[:60]
    sigmas = np.geomspace(0.05, 100, 81)
    found = denoising(train, sigmas, queries=8000, seed=SEED, device="cpu", alpha=1e-6)
    rate = 1 / (2 * sigmas**2)
    fallen = cumulative_simpson(found.error.mean[::-1], x=rate[::-1], initial=0)[::-1]
    expected = found.entropy.mean[-1] - fallen
    assert found.entropy.mean[-1] == pytest.approx(np.log(60), abs=0.01)
    np.testing.assert_allclose(found.entropy.mean, expected, atol=0.05)
    assert found.entropy.mean[0] < 1e-3


def test_memory_does_not_change_the_draws() -> None:
    train = load("digits").train[:200]
    one, other = (
        denoising(train, SIGMAS, queries=300, seed=SEED, device="cpu", memory=memory)
        for memory in (2**23, 2**28)
    )
    for name in ("error", "entropy"):
        np.testing.assert_allclose(getattr(one, name).mean, getattr(other, name).mean, rtol=1e-9)


@pytest.mark.parametrize("d", [5, 300])
def test_copies_are_one_image_with_their_weight(d) -> None:
    points, count = near(d)[:30], 100
    points = np.delete(points, 7, axis=0)
    listed = np.repeat(points, [200, 1, 40, *[1, 2] * 13], axis=0)
    listed = np.random.default_rng(SEED).permutation(listed)
    found = denoising(listed, SIGMAS, queries=count, device="cpu")
    chosen = indices(0, "denoising", count, len(listed))[:count]
    drawn = blocks(0, "denoising", count, d, dtype=np.float32)
    noise = np.concatenate([block.noise for block in drawn])[:count]
    same = (listed[:, None] == points).all(2).argmax(1)
    apart = np.square(listed[chosen][:, None] - points).sum(2)
    for k, sigma in enumerate(SIGMAS):
        of_listed = weights(listed[chosen] + sigma * noise, listed, sigma)
        weight = np.stack([of_listed[:, same == g].sum(1) for g in range(len(points))], axis=1)
        entropy, error = entr(weight).sum(1).mean(), (weight * apart).sum(1).mean() / 2
        assert found.entropy.mean[k] == pytest.approx(entropy, abs=1e-5)
        assert found.error.mean[k] == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize(
    ("train", "sigmas", "message"),
    [
        (np.ones((1, 3)), [1.0], "N = 1 image"),
        (np.ones((4, 3)), [1.0], "all 4 training images are equal"),
        (np.eye(3), [1.0, -2.0], "sigma = -2"),
        (np.eye(3), [np.nan], "sigma = nan"),
        (np.eye(3), [], "at least one noise level"),
    ],
)
def test_bad_input_is_named(train, sigmas, message) -> None:
    with pytest.raises(ValueError, match=message):
        denoising(train, sigmas, device="cpu")


def test_an_error_rate_that_is_none_is_named() -> None:
    # Split over 50 noise levels it would be one.
    with pytest.raises(ValueError, match="alpha = 2 must lie strictly between 0 and 1"):
        denoising(np.eye(3), np.geomspace(1, 2, 50), alpha=2, device="cpu")
