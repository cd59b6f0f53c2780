"""Memorization by the nearest and the second nearest training image."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import binomtest
from sklearn.neighbors import NearestNeighbors

from wildmiddle import empirical
from wildmiddle.empirical.kernels import products
from wildmiddle.empirical.neighbours import (
    distances_to_others,
    extreme_distances,
    nearest_two,
)
from wildmiddle.theory.constants import DEFAULT_MEMORY

SEED = 20260306


def sets() -> tuple[np.ndarray, np.ndarray]:
    """1,300 samples of 4x3 pixels, more than one block, half of them close to a training image."""
    rng = np.random.default_rng(SEED)
    train = rng.uniform(-1, 1, (80, 4, 3))
    samples = rng.uniform(-1, 1, (1300, 4, 3))
    noise = rng.uniform(0, 0.4, (650, 1, 1)) * rng.standard_normal((650, 4, 3))
    samples[::2] = train[rng.integers(80, size=650)] + noise
    return samples, train


@pytest.mark.parametrize("threshold", [0.1, 1 / 3, 0.6])
def test_distances_and_rate_are_those_of_an_exhaustive_search(threshold) -> None:
    samples, train = sets()
    found = empirical.memorization(samples, train, threshold, alpha=0.01)
    search = NearestNeighbors(n_neighbors=2, algorithm="kd_tree").fit(train.reshape(80, 12))
    distances, indices = search.kneighbors(samples.reshape(1300, 12))
    np.testing.assert_allclose(found.ratio, distances[:, 0] / distances[:, 1], rtol=1e-9)
    np.testing.assert_array_equal(found.nearest, indices[:, 0])
    memorized = int((distances[:, 0] < threshold * distances[:, 1]).sum())
    assert 0 < memorized < 1300
    assert found.rate == memorized / 1300
    interval = binomtest(memorized, 1300).proportion_ci(confidence_level=0.99, method="exact")
    assert found.low == pytest.approx(interval.low, abs=1e-8)
    assert found.high == pytest.approx(interval.high, abs=1e-8)


def test_extreme_distances_are_those_of_an_exhaustive_search() -> None:
    samples, train = sets()
    points = np.concatenate([samples, train[:2], train[:2]])  # more than one block, two copies
    rows = points.reshape(len(points), 12)
    search = NearestNeighbors(algorithm="kd_tree").fit(rows)
    distances, _ = search.kneighbors(n_neighbors=len(points) - 1)  # of every point, itself left out
    ends = extreme_distances(points)
    np.testing.assert_array_equal(ends[-4:, 0], 0)
    np.testing.assert_allclose(ends[:-4], distances[:-4][:, [0, -1]], rtol=1e-9)
    np.testing.assert_allclose(ends[-4:, 1], distances[-4:, -1], rtol=1e-9)
    with pytest.raises(ValueError, match="N = 1 image"):
        extreme_distances(points[:1])


@pytest.mark.parametrize(("memory", "most"), [(DEFAULT_MEMORY, 256), (30_000_000, 150)])
def test_distances_to_others_are_direct_ones(memory, most) -> None:
    train = 3 + np.random.default_rng(SEED).standard_normal((2500, 3))
    blocks = list(distances_to_others(train, memory=memory))
    assert max(len(block) for block in blocks) == most
    others = cdist(train, train)[~np.eye(2500, dtype=bool)].reshape(2500, 2499)
    np.testing.assert_allclose(np.concatenate(blocks), others, rtol=1e-9, atol=1e-9)


def test_the_default_threshold_is_a_third() -> None:
    samples, train = sets()
    ours = empirical.memorization(samples, train)
    assert ours.rate == empirical.memorization(samples, train, 1 / 3).rate
    assert ours.rate != empirical.memorization(samples, train, 0.4).rate


def test_exact_copies_are_at_ratio_zero() -> None:
    _, train = sets()
    order = np.random.default_rng(SEED).permutation(80)
    found = empirical.memorization(train[order], train)
    np.testing.assert_array_equal(found.ratio, 0)
    np.testing.assert_array_equal(found.nearest, order)
    assert (found.rate, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 80))


def test_near_copies_keep_their_tiny_ratio() -> None:
    _, train = sets()
    samples = train + 1e-9
    distances = np.linalg.norm(samples[:, None] - train[None], axis=(2, 3))
    nearest, second = np.sort(distances, axis=1)[:, :2].T
    found = empirical.memorization(samples, train)
    np.testing.assert_allclose(found.ratio, nearest / second, rtol=1e-9)


def test_rounding_of_the_products_does_not_choose_the_nearest() -> None:
    # Far from the origin the fast distances cannot tell these pairs apart; direct ones can.
    rng = np.random.default_rng(SEED)
    for point in 1e4 + rng.standard_normal((40, 12)):
        direction = rng.standard_normal(12)
        train = np.stack([point + 1e-3 * direction, point + 2e-3 * direction])
        for order, nearest in ((train, 0), (train[::-1], 1)):
            found = empirical.memorization(point[None], order)
            assert found.nearest.tolist() == [nearest]
            assert found.ratio[0] == pytest.approx(0.5, rel=1e-6)


def test_copies_among_the_training_images_change_nothing() -> None:
    samples, train = sets()
    samples = np.concatenate([samples, train[:5], train[:5] + 0.01])
    expected = empirical.memorization(samples, train)
    assert 0 < expected.rate < 1
    for copies in (np.full(80, 2), np.arange(80) % 4 + 1):
        found = empirical.memorization(samples, np.repeat(train, copies, axis=0))
        np.testing.assert_array_equal(found.distances, expected.distances)
        first = np.cumsum(copies) - copies
        np.testing.assert_array_equal(found.nearest, first[expected.nearest])
        assert found.rate == expected.rate


def test_mirror_images_among_the_training_images_change_nothing() -> None:
    samples, train = sets()
    train[7] += train[7][..., ::-1]  # is its own mirror image
    samples = np.concatenate([samples, train[:9], train[:9, :, ::-1] + 0.01])
    expected = empirical.memorization(samples, train, mirrored=True)
    ways = (one.reshape(-1, 12) for one in (samples, samples[..., ::-1]))
    direct = np.minimum(*(cdist(one, train.reshape(-1, 12)) for one in ways))
    np.testing.assert_array_equal(expected.nearest, direct.argmin(1))
    np.testing.assert_allclose(expected.distances, np.sort(direct, 1)[:, :2], rtol=1e-9)
    assert 0.1 < expected.rate < 0.5
    listed = np.concatenate([train, train[..., ::-1], train[::-1]])
    found = empirical.memorization(samples, listed, mirrored=True)
    np.testing.assert_array_equal(found.nearest, expected.nearest)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-12)
    assert found.rate == expected.rate
    with pytest.raises(ValueError, match="all 2 training images are equal or mirror images of one"):
        empirical.memorization(samples, listed[[3, 83]], mirrored=True)


def test_training_images_that_are_all_equal_are_refused() -> None:
    samples, train = sets()
    with pytest.raises(ValueError, match="all 3 training images are equal"):
        empirical.memorization(samples, np.repeat(train[:1], 3, axis=0))


@pytest.mark.parametrize("dimension", [3, 300], ids=["float64", "float32"])
@pytest.mark.parametrize("columns", [1024, 7], ids=["one tile", "many tiles"])
@pytest.mark.parametrize("alike", [True, False], ids=["copies", "other points"])
@pytest.mark.parametrize("ties", [2, 4, 5, 9, 40])
def test_of_equal_distances_the_lower_index_comes_first(
    dimension, columns, alike, ties, monkeypatch
) -> None:
    monkeypatch.setattr(products, "_COLUMNS", columns)
    rng = np.random.default_rng(SEED)
    for nearer in (False, True) * 2:
        # Small integers, whose distances have no rounding; copies have the same rounding.
        sample = rng.integers(-5, 6, dimension)
        train = sample + rng.uniform(10, 20, (60, dimension))
        where = rng.permutation(60)
        step = rng.uniform(1, 9, dimension) if alike else rng.integers(1, 10, dimension)
        for i in where[:ties]:
            train[i] = sample + (step if alike else rng.permuted(step) * rng.choice([-1, 1]))
        if nearer:  # the ties are then for the second place
            train[where[-1]] = sample
        distances = np.square(train - sample).sum(1)
        first = np.argsort(distances, kind="stable")[:2]
        assert (distances == distances[first[1]]).sum() == ties
        others = rng.integers(-5, 6, (300, dimension))  # more than one block
        queries = torch.as_tensor(np.insert(others, 270, sample, axis=0).astype(np.float64))
        found, index = nearest_two(queries, torch.as_tensor(train))
        assert index[270].tolist() == first.tolist()
        np.testing.assert_allclose(found[270], np.sqrt(distances[first]), rtol=1e-15)


def test_ties_are_not_memorized() -> None:
    train = np.array([[0.0, 0.0], [4.0, 0.0]])
    middle = empirical.memorization([[2.0, 1.0]], train, 1.0)
    assert (middle.ratio[0], middle.rate) == (1, 0)
    # At distances 1 and 3 the ratio is the threshold itself, and the test is strict.
    third = empirical.memorization([[1.0, 0.0], [3.0, 0.0], [0.999, 0.0]], train)
    assert third.ratio[:2].tolist() == [1 / 3, 1 / 3]
    assert third.nearest.tolist() == [0, 1, 0]
    assert third.rate == 1 / 3


def test_form_of_the_input_and_number_of_samples_do_not_matter() -> None:
    samples, train = (a.astype(np.float32) for a in sets())
    expected = empirical.memorization(samples.astype(np.float64), train.astype(np.float64))
    grown = torch.tensor(samples, requires_grad=True)
    for drawn in (samples, samples.reshape(1300, 12), torch.tensor(samples), grown):
        found = empirical.memorization(drawn, torch.tensor(train))
        np.testing.assert_array_equal(found.ratio, expected.ratio)
        np.testing.assert_array_equal(found.nearest, expected.nearest)
    alone = empirical.memorization(samples[1100:1101], train)
    np.testing.assert_allclose(alone.ratio, expected.ratio[1100], rtol=1e-12)


@pytest.mark.parametrize(
    ("samples", "train", "threshold", "message"),
    [
        (np.zeros((3, 4)), np.zeros((1, 4)), 1 / 3, "N = 1 image"),
        (np.zeros((3, 4)), np.zeros((5, 6)), 1 / 3, "d = 6 and samples 4"),
        (np.zeros((3, 4)), np.zeros((5, 4)), 0.0, r"threshold = 0\.0"),
        (np.zeros((3, 4)), np.zeros((5, 4)), 1.5, r"threshold = 1\.5"),
        (np.zeros((3, 4)), np.zeros((5, 4)), math.nan, "threshold = nan"),
        (np.full((3, 4), math.nan), np.zeros((5, 4)), 1 / 3, "NaN"),
        (np.zeros((0, 4)), np.zeros((5, 4)), 1 / 3, r"shape \(0, 4\)"),
    ],
)
def test_bad_use_is_named_with_its_value(samples, train, threshold, message) -> None:
    with pytest.raises(ValueError, match=message):
        empirical.memorization(samples, train, threshold)
