"""The two curves by their public call: truth, reproducibility, forms of input, errors."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from wildmiddle import empirical
from wildmiddle.empirical import two_curves
from wildmiddle.empirical.noise import blocks, indices
from wildmiddle.theory.coverage import overlap_probability
from wildmiddle.theory.posterior import weights

SEED = 20260305
SIGMAS = np.geomspace(0.05, 20, 8)
FIELDS = (
    "max_weight",
    "self_weight",
    "squared_weight",
    "coverage",
    "coverage_lower",
    "coverage_upper",
)


@pytest.fixture(scope="module")
def sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    return rng.uniform(-1, 1, (30, 5, 4)), rng.uniform(-1, 1, (20, 5, 4))


def run(train, test, sigmas=SIGMAS, **options):
    few = {"weight_queries": 500, "coverage_queries": 700, "seed": SEED}
    return empirical.curves(train, test, sigmas, **few | options)


def assert_same(a, b) -> None:
    np.testing.assert_array_equal(a.sigmas, b.sigmas)
    for name in FIELDS:
        for end in ("mean", "low", "high"):
            np.testing.assert_array_equal(
                getattr(getattr(a, name), end), getattr(getattr(b, name), end), err_msg=name
            )


def test_shapes_order_and_counts(sets) -> None:
    curves = run(*sets)
    np.testing.assert_array_equal(curves.sigmas, SIGMAS)
    for name in FIELDS:
        estimate = getattr(curves, name)
        assert estimate.mean.shape == estimate.low.shape == estimate.high.shape == (8,)
        assert (estimate.low >= 0).all()
        assert (estimate.low <= estimate.mean).all()
        assert (estimate.mean <= estimate.high).all()
        assert (estimate.high <= 1).all()
    assert [getattr(curves, name).n for name in FIELDS] == [500, 500, 500, 700, 0, 0]
    # One curve's intervals hold together: its error rate is split over the noise levels.
    assert curves.max_weight.alpha == curves.coverage.alpha == 0.05 / 8
    np.testing.assert_array_equal(curves.covered_draws.mean(axis=0), curves.coverage.mean)
    np.testing.assert_allclose(curves.max_weight_draws.mean(axis=0), curves.max_weight.mean)
    assert curves.covered_draws.shape == (700, 8)
    assert curves.max_weight_draws.shape == (500, 8)
    assert (curves.max_weight.mean >= curves.self_weight.mean).all()


def test_bounds_are_exact_for_the_two_sets(sets) -> None:
    train, test = (images.reshape(len(images), -1) for images in sets)
    curves = run(*sets)
    pairs = np.linalg.norm(test[:, None] - train[None], axis=2)
    np.testing.assert_allclose(curves.nearest, pairs.min(axis=1), atol=1e-13)
    overlap = overlap_probability(pairs[:, :, None], SIGMAS, 20, 5.0)
    nearest = overlap_probability(pairs.min(axis=1)[:, None], SIGMAS, 20, 5.0).mean(axis=0)
    np.testing.assert_allclose(curves.coverage_lower.mean, nearest, rtol=1e-7, atol=1e-60)
    union = np.minimum(1, 30 * overlap.mean(axis=(0, 1)))
    np.testing.assert_allclose(curves.mean_overlap, overlap.mean(axis=(0, 1)), 1e-7, atol=1e-55)
    np.testing.assert_allclose(curves.coverage_upper.mean, union, rtol=1e-7, atol=1e-55)
    assert curves.coverage_upper.low is curves.coverage_upper.high


def test_weight_curves_hold_the_exact_value_of_two_points() -> None:
    # Def 4.1 at N = 2: the weight is the chance that the noised point is the nearer one.
    train = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    exact = norm.cdf(2 / (2 * SIGMAS))
    curves = run(train, train, c=1.0, weight_queries=4000, alpha=1e-6)
    for name in ("max_weight", "self_weight"):
        estimate = getattr(curves, name)
        inside = (estimate.low <= exact) & (exact <= estimate.high)
        # The own weight's mean is smaller, E sum_j w_j^2, but for very small and large sigma.
        assert inside.all() == (name == "max_weight"), (name, SEED, 4000)
        assert (estimate.high - estimate.low).max() < 0.1


@pytest.mark.parametrize("d", [5, 300], ids=["float64", "float32"])
def test_the_weight_of_an_image_is_that_of_its_copies(d, monkeypatch) -> None:
    monkeypatch.setattr(two_curves, "in_fewer_dimensions", lambda *_: None)
    rng = np.random.default_rng(SEED)
    points, test = rng.uniform(-1, 1, (25, d)), rng.uniform(-1, 1, (10, d))
    points[1] = points[2] + 1e-3 * rng.standard_normal(d)
    counts = np.array([300, 1, 40, *[1, 2] * 11])
    listed = rng.permutation(np.repeat(points, counts, axis=0))
    found = run(listed, test, weight_queries=100)
    plain = run(points, test)
    for name in ("covered_draws", "nearest", "mean_overlap"):
        np.testing.assert_allclose(getattr(found, name), getattr(plain, name), rtol=1e-6)
    # Against the weights of all that is listed, added up over the copies.
    same = (listed[:, None] == points).all(2).argmax(1)
    chosen = indices(SEED, "weight", 100, len(listed))[:100]
    noise = np.concatenate([b.noise for b in blocks(SEED, "curves", 700, d, dtype=np.float32)])
    for k, sigma in enumerate(SIGMAS):
        every = weights(listed[chosen] + sigma * noise[:100], listed, sigma)
        weight = np.stack([every[:, same == g].sum(1) for g in range(25)], axis=1)
        np.testing.assert_allclose(found.max_weight_draws[:, k], weight.max(1), atol=2e-6)
        own = weight[np.arange(100), same[chosen]].mean()
        assert found.self_weight.mean[k] == pytest.approx(own, abs=2e-6)
        squares = np.square(weight).sum(1).mean()
        assert found.squared_weight.mean[k] == pytest.approx(squares, abs=4e-6)


def test_two_images_of_unequal_numbers_have_their_exact_weight() -> None:
    points = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    listed = np.repeat(points, [19, 1], axis=0)
    curves = run(listed, points, c=1.0, weight_queries=4000, alpha=1e-6)
    shift = SIGMAS * np.log(19) / 2
    exact = 0.95 * norm.cdf(1 / SIGMAS + shift) + 0.05 * norm.cdf(1 / SIGMAS - shift)
    inside = (curves.max_weight.low <= exact) & (exact <= curves.max_weight.high)
    assert inside.all(), (SEED, 4000)


def test_images_that_are_all_equal_are_refused(sets) -> None:
    with pytest.raises(ValueError, match="all 3 training images are equal; give two"):
        run(np.repeat(sets[0][:1], 3, axis=0), sets[1])


def test_coverage_holds_the_exact_value_where_it_is_known(sets) -> None:
    # Images nearly on one point: the union is one shell, and the lower bound is the coverage.
    train = sets[0][:1] + 1e-9 * np.arange(3).reshape(3, 1, 1)
    curves = run(train, sets[1], coverage_queries=4000, alpha=1e-6)
    exact = curves.coverage_lower.mean
    inside = (curves.coverage.low <= exact) & (exact <= curves.coverage.high)
    assert inside.all(), (SEED, 4000)
    assert ((exact > 0.1) & (exact < 0.9)).any()  # else the comparison would be empty


def test_same_seed_same_result(sets) -> None:
    assert_same(run(*sets), run(*sets))
    assert (run(*sets, seed=1).max_weight.mean != run(*sets).max_weight.mean).any()
    assert (run(*sets, seed=1).coverage.mean != run(*sets).coverage.mean).any()


def test_form_of_the_input_does_not_matter(sets) -> None:
    train, test = (images.astype(np.float32) for images in sets)
    expected = run(train.astype(np.float64).reshape(30, 20), test.astype(np.float64))
    assert_same(run(train, test), expected)
    assert_same(run(torch.tensor(train), torch.tensor(test), torch.as_tensor(SIGMAS)), expected)
    assert_same(run(train.tolist(), test, SIGMAS.tolist(), device="cpu"), expected)


def test_one_noise_level_gives_one_value(sets) -> None:
    assert run(*sets, sigmas=0.7).coverage.mean.shape == (1,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": np.zeros((1, 20))}, "N = 1 image"),
        ({"test": np.zeros((4, 21))}, "d = 20 and test 21"),
        ({"train": np.full((3, 20), math.nan)}, "NaN"),
        ({"test": np.full((3, 20), math.inf)}, "infinite"),
        ({"test": np.zeros((0, 20))}, r"shape \(0, 20\)"),
        ({"train": np.zeros(20)}, r"shape \(20,\)"),
        ({"sigmas": [0.5, 0.0]}, r"sigma = 0\.0"),
        ({"sigmas": [-1.0]}, r"sigma = -1\.0"),
        ({"sigmas": [math.nan]}, "sigma = nan"),
        ({"sigmas": []}, r"sigmas of shape \(0,\)"),
        ({"c": np.inf}, "c = inf"),
        ({"c": 0.0}, r"c = 0\.0"),
        ({"alpha": 1.5}, r"alpha = 1\.5"),
        ({"alpha": 0.0}, r"alpha = 0\.0"),
        ({"device": "abacus"}, "device = abacus"),
    ],
)
def test_bad_use_is_named_with_its_value(sets, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        run(**{"train": sets[0], "test": sets[1]} | change)
