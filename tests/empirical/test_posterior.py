"""Posterior weights against direct sums, exact distributions, limits, and by calibration."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import kstest, norm
from torch.overrides import TorchFunctionMode

from wildmiddle.empirical import posterior
from wildmiddle.empirical.kernels.noise_pass import run_pass
from wildmiddle.empirical.kernels.products import squared_distances
from wildmiddle.empirical.noise import blocks
from wildmiddle.empirical.posterior import posterior_mean, weight_accumulator, weights
from wildmiddle.theory.posterior import sigma_minus, sigma_plus

SEED = 20260302
SIGMAS = [0.002, 0.05, 0.3, 1.0, 5.0, 80.0]


def reference(points, index, noise, sigma, reference_weights):
    """Largest and own weight of one query, from its noisy point."""
    w = reference_weights(points[index] + sigma * noise, points, sigma)
    return w.max(), w[index]


@pytest.mark.parametrize("index", [None, 1])
def test_weights_are_those_of_the_noisy_points(cloud, index, reference_weights) -> None:
    largest, own = weights(cloud, SIGMAS, queries=40, seed=SEED, index=index)
    assert largest.shape == own.shape == (40, len(SIGMAS))
    block = next(blocks(SEED, "weight", 40, 5, len(cloud)))
    for q in range(40):
        i = block.indices[q] if index is None else index
        for k, sigma in enumerate(SIGMAS):
            top, mine = reference(cloud, i, block.noise[q], sigma, reference_weights)
            assert largest[q, k] == pytest.approx(top, abs=1e-9)
            assert own[q, k] == pytest.approx(mine, abs=1e-9)


def test_the_one_point_may_be_a_number_of_numpy(cloud) -> None:
    expected = weights(cloud, SIGMAS, queries=10, index=3)
    found = weights(cloud, SIGMAS, queries=10, index=np.int64(3))
    np.testing.assert_array_equal(found, expected)


BAD = [
    ({"index": -1}, "index = -1 must be the number of a point, 0 to 29"),
    ({"index": 30}, "index = 30 must be the number of a point"),
    ({"index": 2.5}, "index = 2.5 must be the number of a point"),
    ({"queries": 0}, "queries = 0 must be at least 1"),
    ({"queries": 0, "index": 1}, "queries = 0 must be at least 1"),
    ({"sigmas": [1.0, -1.0]}, "sigma = -1.0 must be finite and above 0"),
    ({"sigmas": [np.nan]}, "sigma = nan must be"),
    ({"sigmas": []}, r"shape \(0,\); give \(K,\), at least one noise level"),
    ({"sigmas": [[1.0, 2.0]]}, r"shape \(1, 2\); give \(K,\)"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_input_is_named(cloud, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        weights(cloud, **{"sigmas": [1.0], "queries": 5, **options})


@pytest.mark.parametrize("d", [3, 300], ids=["float64", "float32"])
def test_a_prior_of_many_powers_of_ten_leaves_no_term_out(d) -> None:
    # The other point counts only by its prior: its own term is far below exp(-40).
    points = torch.zeros(2, d, dtype=torch.float64)
    points[1, 0] = 1.0
    prior = torch.tensor([1e-13, 1.0], dtype=torch.float64)
    sigmas, origin = np.array([1 / 11, 1 / 9.3, 0.2, 1.0]), torch.zeros(d, dtype=torch.float64)
    chosen = np.zeros(256, np.int64)
    accumulator, result = weight_accumulator(points, sigmas, 256, origin, chosen, prior=prior)
    (block,) = blocks(SEED, "prior", 256, d, dtype=np.float32)
    found = result(run_pass(points, origin, [block], [accumulator], 2**30))
    for k, sigma in enumerate(sigmas):
        log_t = -0.5 / sigma**2 + block.noise[:, 0].astype(np.float64) / sigma
        other = expit(log_t - np.log(1e-13))
        assert (other > 0).all()
        np.testing.assert_allclose(1 - found.self_weight[:, k], other, rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(
            found.largest[:, k], np.maximum(other, 1 - other), rtol=1e-5, atol=1e-12
        )


def test_weights_survive_near_duplicates(reference_weights) -> None:
    rng = np.random.default_rng(SEED)
    points = rng.uniform(-1, 1, (6, 64))
    directions = rng.standard_normal((3, 64))
    points[3:] = points[:3] + 1e-4 * directions / np.linalg.norm(directions, axis=1)[:, None]
    largest, own = weights(points, 0.002, queries=60, seed=SEED)
    block = next(blocks(SEED, "weight", 60, 64, len(points)))
    for q, (i, z) in enumerate(zip(block.indices[:60], block.noise[:60], strict=True)):
        top, mine = reference(points, i, z, 0.002, reference_weights)
        assert largest[q, 0] == pytest.approx(top, abs=1e-6)
        assert own[q, 0] == pytest.approx(mine, abs=1e-6)
        assert 0.4 < mine < 0.6  # the pair shares the weight: the case is a hard one


def test_weights_of_one_point_survive_any_neighbour(reference_weights) -> None:
    # At a distance of 1e-9 and a sigma to match, products of whole points would keep no digit.
    rng = np.random.default_rng(SEED)
    points = rng.uniform(-1, 1, (5, 64))
    points[1] = points[0] + 1e-9 / 8
    apart = points - points[0]
    largest, own = weights(points, 4e-10, queries=40, seed=SEED, index=0)
    for q, z in enumerate(next(blocks(SEED, "weight", 40, 64)).noise[:40]):
        top, mine = reference(apart, 0, z, 4e-10, reference_weights)
        assert own[q, 0] == pytest.approx(mine, abs=1e-9)
        assert largest[q, 0] == pytest.approx(top, abs=1e-9)
    assert 0 < own.min() < 0.9999  # the pair shares the weight: the case is a hard one


def test_copies_share_the_weight(cloud) -> None:
    points = np.concatenate([cloud[5:9], cloud[5:9]])
    largest, own = weights(points, [0.002, 0.01], queries=200, seed=SEED)
    np.testing.assert_allclose(own, 0.5, atol=1e-9)
    np.testing.assert_allclose(largest, 0.5, atol=1e-9)


def test_limits_of_small_and_large_sigma(cloud) -> None:
    largest, own = weights(cloud, [1e-6, 1e9], queries=200, seed=SEED)
    np.testing.assert_array_equal(own[:, 0], 1)
    np.testing.assert_array_equal(largest[:, 0], 1)
    np.testing.assert_allclose(own[:, 1], 1 / 30, rtol=1e-7)
    np.testing.assert_allclose(largest[:, 1], 1 / 30, rtol=1e-7)


def test_queries_do_not_depend_on_how_many_there_are(cloud, small_images) -> None:
    for points in (cloud, small_images):
        for index in (None, 4):
            many = weights(points, SIGMAS, queries=600, seed=SEED, index=index)
            for n in (1, 17, 255, 256, 257, 300):
                few = weights(points, SIGMAS, queries=n, seed=SEED, index=index)
                for a, b in zip(many, few, strict=True):
                    np.testing.assert_array_equal(a[:n], b)


def test_form_of_the_input_does_not_matter(small_images) -> None:
    single = small_images.astype(np.float32)
    expected = weights(single.astype(np.float64).reshape(20, 64), SIGMAS, queries=50)
    trained = torch.tensor(single, requires_grad=True)
    for points in (single, single.reshape(20, 64), single.tolist(), torch.tensor(single), trained):
        for a, b in zip(weights(points, SIGMAS, queries=50), expected, strict=True):
            assert a.dtype == np.float64
            np.testing.assert_array_equal(a, b)


def test_seed_and_stream_choose_the_noise(cloud) -> None:
    base = weights(cloud, 0.5, queries=20, seed=1)[1]
    np.testing.assert_array_equal(weights(cloud, 0.5, queries=20, seed=1)[1], base)
    assert (weights(cloud, 0.5, queries=20, seed=2)[1] != base).any()
    assert (weights(cloud, 0.5, queries=20, seed=1, stream="other")[1] != base).any()


@pytest.mark.parametrize(("w", "delta"), [(0.9, 0.2), (0.6, 0.05), (0.8, 0.7)])
def test_two_points_fail_with_probability_delta(w, delta, expect_rate) -> None:
    # Theorem 4.2 is an equality at N = 2, both parts.
    points, n = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]]), 20_000
    levels = [float(f(3.0, 2, w, delta)) for f in (sigma_minus, sigma_plus)]
    _, own = weights(points, levels, queries=n, seed=SEED)
    for k, failed in enumerate((own[:, 0] < w, own[:, 1] > w)):
        what = f"failures of part {2 - k} at w = {w}"
        expect_rate(failed.sum(), n, "==", delta, seed=SEED, what=what)


def test_two_points_decode_by_the_distance_alone(expect_rate) -> None:
    points, n, sigma = np.array([[0.0, 0.0], [3.0, 4.0]]), 20_000, 2.0
    largest, own = weights(points, sigma, queries=n, seed=SEED)
    right = norm.cdf(5 / (2 * sigma))
    expect_rate((own == largest).sum(), n, "==", right, seed=SEED, what="most likely point")


def pit(weight: np.ndarray, index: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Randomised probability integral transform of ``index`` under the rows of ``weight``."""
    rows = np.arange(len(index))
    below = np.cumsum(weight, axis=1)[rows, index] - weight[rows, index]
    return below + uniform * weight[rows, index]


def calibration(factor: float, n: int) -> np.ndarray:
    """The transform of n draws whose weights are computed at ``factor`` times the true sigma.

    The points stand on the axes at different lengths, so that a denoised point shows its weights.
    """
    rng = np.random.default_rng(SEED)
    lengths = np.linspace(0.5, 2.5, 12)
    points = np.diag(lengths)
    index, sigma = rng.integers(12, size=n), rng.uniform(0.1, 2, n)
    y = points[index] + sigma[:, None] * rng.standard_normal((n, 12))
    mean = posterior_mean(
        torch.as_tensor(y), torch.as_tensor(points), torch.as_tensor(factor * sigma)
    )
    return pit(mean.numpy() / lengths, index, rng.random(n))


def test_weights_are_calibrated(expect_law) -> None:
    expect_law(calibration(1.0, 20_000), "uniform", seed=SEED, what="index under its weights")


@pytest.mark.parametrize("factor", [math.sqrt(0.5), 1.25, math.sqrt(2)])
def test_calibration_sees_a_wrong_sigma(factor) -> None:
    assert kstest(calibration(factor, 20_000), "uniform").pvalue < 1e-6


def test_posterior_mean_is_the_weighted_mean(cloud, reference_weights) -> None:
    rng = np.random.default_rng(SEED)
    sigma = np.geomspace(0.01, 50, 25)
    y = cloud[:25] + sigma[:, None] * rng.standard_normal((25, 5))
    mean = posterior_mean(torch.as_tensor(y), torch.as_tensor(cloud), torch.as_tensor(sigma))
    for row, point, level in zip(mean.numpy(), y, sigma, strict=True):
        np.testing.assert_allclose(
            row, reference_weights(point, cloud, level) @ cloud, rtol=0, atol=1e-10
        )


@pytest.mark.parametrize("d", [5, 300])
@pytest.mark.parametrize("sigma", [1e-3, 0.1, 0.3])
def test_points_without_weight_change_nothing(monkeypatch, sigma, d) -> None:
    # 40 clusters, far from 0: the inputs are about the first two of them.
    rng = np.random.default_rng(SEED)
    centres = 7 + rng.standard_normal((40, d))
    points = torch.as_tensor(np.repeat(centres, 30, 0) + 0.1 * rng.standard_normal((1200, d)))
    origin = points.mean(0)
    about = origin, (points - origin).square().sum(1)
    y = points[torch.arange(256) % 60] + sigma * torch.as_tensor(rng.standard_normal((256, d)))
    levels = torch.full((256,), sigma, dtype=torch.float64)
    whole = posterior_mean(y, points, levels, about)
    monkeypatch.setattr(posterior, "_MANY", 400)
    kept = posterior.with_weight(y, points, levels, origin)
    assert isinstance(kept, torch.Tensor) == (d == 300 or sigma < 0.2)
    np.testing.assert_allclose(posterior_mean(y, points, levels, about), whole, rtol=1e-13)


def test_points_without_weight_are_found_tile_by_tile(monkeypatch) -> None:
    class Largest(TorchFunctionMode):
        size = 0

        def __torch_function__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor):
                self.size = max(self.size, found.numel())
            return found

    monkeypatch.setattr(posterior, "_MANY", 100)
    rng = np.random.default_rng(SEED)
    points, z = (torch.as_tensor(rng.standard_normal((n, 8))) for n in (2000, 256))
    with Largest() as largest:
        kept = posterior.with_weight(
            points[950] + 0.01 * z, points, torch.full((256,), 0.01), points[0]
        )
    assert isinstance(kept, torch.Tensor)
    assert 950 in kept.tolist()
    assert 0 < largest.size < len(z) * len(points)


def test_squared_distances_are_never_negative(cloud) -> None:
    points = torch.as_tensor(cloud)
    squared = squared_distances(points, points)
    direct = np.square(cloud[:, None] - cloud[None]).sum(2)
    assert (squared >= 0).all()
    np.testing.assert_allclose(squared.numpy(), direct, atol=1e-14)
