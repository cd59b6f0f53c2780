"""Flow-matching fields against the form in sigma and against slow sums."""

import math

import numpy as np
import pytest
import torch

from wildmiddle.empirical.flow_matching import fields
from wildmiddle.empirical.noise import blocks
from wildmiddle.empirical.posterior import posterior_mean, weights

SEED = 20260307
TIMES = [0.02, 0.3, 0.6, 0.9, 0.99]


def noise(queries: int) -> np.ndarray:
    return next(blocks(SEED, "flow", queries, 5)).noise[:queries]


@pytest.mark.parametrize("t", TIMES)
def test_fields_agree_with_the_sigma_clock(cloud, t) -> None:
    # m_t(y) = m_sigma(y / t) at sigma = (1 - t)/t (Eq. 24), and y / t = x_i + sigma Z.
    found = fields(cloud, 1, t, queries=150, seed=SEED)
    sigma = (1 - t) / t
    y = (cloud[1] + sigma * noise(150), cloud, np.full(150, sigma))
    mean = posterior_mean(*(torch.as_tensor(a) for a in y)).numpy()
    error = np.linalg.norm(mean - cloud[1], axis=1)
    np.testing.assert_allclose(found.denoiser_error, error, rtol=0, atol=1e-10)
    _, own = weights(cloud, sigma, queries=150, seed=SEED, index=1, stream="flow")
    np.testing.assert_allclose(found.self_weight, own[:, 0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("t", TIMES)
def test_fields_are_the_slow_sums(cloud, t, reference_weights) -> None:
    found = fields(cloud, 2, t, queries=20, seed=SEED)
    for q, z in enumerate(noise(20)):
        y = (1 - t) * z + t * cloud[2]
        # Eq. 21 with its own softmax: centres t x_j, width 1 - t.
        w = reference_weights(y, t * cloud, 1 - t)
        optimal = sum(w[j] * (cloud[j] - y) / (1 - t) for j in range(len(cloud)))
        conditional = (cloud[2] - y) / (1 - t)
        inner = math.fsum(a * b for a, b in zip(optimal, conditional, strict=True))
        cosine = inner / (math.hypot(*optimal) * math.hypot(*conditional))
        assert found.cosine[q] == pytest.approx(cosine, abs=1e-9)
        assert found.target_norm[q] == pytest.approx(math.dist(cloud[2], z), rel=1e-12)
        assert found.self_weight[q] == pytest.approx(w[2], abs=1e-9)
        assert found.denoiser_error[q] == pytest.approx(math.dist(w @ cloud, cloud[2]), abs=1e-9)


def test_fields_survive_any_neighbour(reference_weights) -> None:
    # At a distance of 1e-9 and a time to match, products of whole points would keep no digit.
    rng = np.random.default_rng(SEED)
    points = rng.uniform(-1, 1, (4, 5))
    points[1] = points[0] + 1e-9 / np.sqrt(5)
    apart, t = points - points[0], 1 - 4e-10
    sigma = (1 - t) / t
    found = fields(points, 0, t, queries=20, seed=SEED)
    for q, z in enumerate(noise(20)):
        w = reference_weights(sigma * z, apart, sigma)
        assert found.self_weight[q] == pytest.approx(w[0], abs=1e-9)
        assert found.denoiser_error[q] == pytest.approx(math.hypot(*(w @ apart)), rel=1e-9)
    assert 0 < found.self_weight.min() < 0.9999


def test_queries_do_not_depend_on_how_many_there_are(cloud) -> None:
    many = fields(cloud, 0, 0.4, queries=300, seed=SEED)
    for n in (1, 100, 257):
        for a, b in zip(many, fields(cloud, 0, 0.4, queries=n, seed=SEED), strict=True):
            np.testing.assert_array_equal(a[:n], b)


def test_images_are_rows(small_images) -> None:
    images = fields(small_images, 3, 0.4, queries=5)
    rows = fields(small_images.reshape(20, 64), 3, 0.4, queries=5)
    for a, b in zip(images, rows, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("t", [0.0, 1.0, -0.5, math.nan])
def test_times_outside_of_0_and_1_are_refused(cloud, t) -> None:
    with pytest.raises(ValueError, match=f"t = {t}"):
        fields(cloud, 0, t, queries=5)


def test_each_query_may_noise_a_point_of_its_own(cloud) -> None:
    chosen = np.arange(len(cloud)).repeat(2)[:9]
    found = fields(cloud, chosen, 0.6, queries=9, seed=SEED)
    for q, i in enumerate(chosen):
        alone = fields(cloud, int(i), 0.6, queries=9, seed=SEED)
        for name in found._fields:
            np.testing.assert_allclose(getattr(found, name)[q], getattr(alone, name)[q], rtol=1e-12)


@pytest.mark.parametrize(
    ("index", "queries", "message"),
    [
        (-1, 5, "index = -1 must be the number of a point, 0 to 29"),
        (np.array([0, 30]), 2, "index = 30 must be the number of a point"),
        (np.array([0, 1]), 5, r"index of shape \(2,\); give one, or one for each of 5"),
        (1, 0, "queries = 0 must be at least 1"),
    ],
)
def test_bad_input_is_named(cloud, index, queries, message) -> None:
    with pytest.raises(ValueError, match=message):
        fields(cloud, index, 0.5, queries=queries)


def test_the_one_point_may_be_a_number_of_numpy(cloud) -> None:
    found = fields(cloud, np.int64(4), 0.5, queries=5)
    np.testing.assert_array_equal(found, fields(cloud, 4, 0.5, queries=5))
