"""Two sets of images: layouts and units that differ, offsets, and copies across them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

import wildmiddle
from wildmiddle.empirical.copies import merge_copies, near_copies
from wildmiddle.empirical.coverage import coverage_draws, distances
from wildmiddle.empirical.data import DataWarning
from wildmiddle.empirical.neighbours import distances_to_others, extreme_distances
from wildmiddle.models import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.one_step import count_copies

SEED = 20261126
SIGMAS = np.array([0.05, 0.5, 5.0])


def colours(n: int = 40, seed: int = SEED) -> np.ndarray:
    """Images (n, 8, 8, 3) in [-1, 1]."""
    return np.random.default_rng(seed).uniform(-1, 1, (n, 8, 8, 3))


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "memorization": wildmiddle.memorization,
    "curves": lambda test, train: wildmiddle.curves(
        train, test, SIGMAS, weight_queries=256, coverage_queries=256
    ),
    "zone": lambda test, train: wildmiddle.zone(train, test),
    "coverage": lambda test, train: coverage_draws(train, test, SIGMAS, queries=256),
    "distances": lambda test, train: distances(train, test),
    "near copies": lambda test, train: near_copies(train, test),
    "denoiser": lambda test, train: EmpiricalDenoiser(train)(torch.as_tensor(test), 0.5),
}


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_channels_first_against_last_is_refused_with_the_remedy(name: str, form: str) -> None:
    train = colours()
    last, first = train[:9], np.ascontiguousarray(np.moveaxis(train[:9], -1, 1))
    if form == "torch":
        last, first = torch.as_tensor(last), torch.as_tensor(first)
    for one, other in ((first, train), (last, np.moveaxis(train, -1, 1))):
        with pytest.raises(ValueError, match=r"\(3, 8, 8\).*wildmiddle.to_channels_first"):
            COMPARISONS[name](one, other)
    with pytest.raises(ValueError, match="different orders"):
        COMPARISONS[name](last.reshape(9, -1), train)
    # The remedy that is named, and flat rows against flat rows.
    COMPARISONS[name](wildmiddle.to_channels_first(last), wildmiddle.to_channels_first(train))
    COMPARISONS[name](last.reshape(9, -1), train.reshape(40, -1))


def test_copies_are_found_in_either_layout() -> None:
    train = colours()
    first = wildmiddle.to_channels_first(train)
    assert wildmiddle.memorization(first, wildmiddle.to_channels_first(train)).rate == 1
    assert wildmiddle.memorization(train, train).rate == 1


def test_sampling_and_comparing_work_together() -> None:
    # Trained images as load gives them, samples as networks give them: one conversion.
    train = wildmiddle.to_channels_first(colours(10))
    optimum = EmpiricalDenoiser(train)
    samples = wildmiddle.sample(
        optimum, tuple(train.shape[1:]), range(6), sigmas=[9.0, 1.0, 0.1], batch_size=6
    )
    found = wildmiddle.memorization(samples, train)
    assert found.rate == 1


@pytest.mark.parametrize("name", ["memorization", "curves", "zone", "coverage"])
def test_other_units_are_warned_of_and_bytes_refused(name: str) -> None:
    train = colours(40)
    test = colours(9, SEED + 1)
    with pytest.warns(DataWarning, match="different units") as caught:
        COMPARISONS[name]((test + 1) / 2, train)
    assert len(caught) == 1
    with pytest.warns(DataWarning, match="different units"):
        COMPARISONS[name](test, (train + 1) / 2)
    stored = np.rint(127.5 * (test + 1)).astype(np.uint8)
    for whole in (stored, stored.astype(np.float32), torch.as_tensor(stored)):
        with pytest.raises(ValueError, match="whole numbers up to 255"):
            COMPARISONS[name](whole, train)
    with pytest.raises(ValueError, match="whole numbers up to 255"):
        COMPARISONS[name](test, np.rint(127.5 * (train + 1)))


def test_outputs_of_a_denoiser_are_in_the_units_of_its_images() -> None:
    # A denoiser that has learnt nothing yet: neither refused nor warned of.
    train = colours(20)
    assert count_copies(lambda x, sigma: 300 * x, train, train, 1.0, 64) == 0
    assert count_copies(lambda x, sigma: x.abs() / 9, train, train, 1.0, 64) == 0


def test_gaussian_denoiser_knows_the_order_where_its_mean_does() -> None:
    train = torch.as_tensor(colours(20))
    rows = train.reshape(20, -1)
    covariance = rows.T.cov(correction=0)
    shaped = GaussianDenoiser(train.mean(0), covariance)
    flat = GaussianDenoiser(rows.mean(0), covariance)
    assert torch.equal(shaped(train, 0.7), flat(train, 0.7))
    with pytest.raises(ValueError, match="different orders"):
        shaped(train.movedim(-1, 1), 0.7)


# Offsets: all of it depends on differences of images alone.


@pytest.mark.parametrize("side", [4, 17], ids=["float64", "float32 products"])
def test_an_offset_changes_nothing_that_float64_resolves(side: int) -> None:
    offset = 1e8
    rng = np.random.default_rng(SEED)
    train, test = rng.uniform(-1, 1, (40, side, side)), rng.uniform(-1, 1, (30, side, side))
    train[1] = train[0] + 1e-3
    # The same numbers to the last bit, so that only the arithmetic may differ.
    far, far_test = offset + train, offset + test
    train, test = far - offset, far_test - offset
    close = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(distances(far, far_test), distances(train, test), rtol=1e-5)
    np.testing.assert_allclose(extreme_distances(far), extreme_distances(train), rtol=1e-6)
    for a, b in zip(distances_to_others(far), distances_to_others(train), strict=True):
        np.testing.assert_allclose(a, b, **close)
    a, b = wildmiddle.memorization(far_test, far), wildmiddle.memorization(test, train)
    np.testing.assert_array_equal(a.nearest, b.nearest)
    np.testing.assert_allclose(a.ratio, b.ratio, rtol=1e-9)
    zones = wildmiddle.zone(far, far_test).parts, wildmiddle.zone(train, test).parts
    for name, part in zones[0].items():
        np.testing.assert_allclose(part, zones[1][name], rtol=1e-4)
    at, near = (
        wildmiddle.curves(x, y, SIGMAS, weight_queries=256, coverage_queries=256)
        for x, y in ((far, far_test), (train, test))
    )
    np.testing.assert_allclose(at.max_weight_draws, near.max_weight_draws, rtol=1e-4)
    np.testing.assert_array_equal(at.covered_draws, near.covered_draws)
    np.testing.assert_allclose(at.coverage_upper.mean, near.coverage_upper.mean, **close)
    y = torch.as_tensor(test)
    for sigma in (0.3, 3.0):
        found = EmpiricalDenoiser(far)(y + offset, sigma) - offset
        expected = EmpiricalDenoiser(train)(y, sigma)
        # The spacing of float64 at the offset, in the output and, over sigma^2, in the weights.
        atol = 100 * side * np.spacing(offset) / min(1, sigma**2)
        torch.testing.assert_close(found, expected, rtol=0, atol=atol)


# Copies


def test_near_copies_are_counted_across_and_within() -> None:
    rng = np.random.default_rng(SEED)
    train, test = rng.uniform(-1, 1, (60, 6, 6)), rng.uniform(-1, 1, (30, 6, 6))
    found = near_copies(train, test)
    assert (found.train, found.test, found.sentences) == (0, 0, ())
    nearest = np.sort(np.linalg.norm((train[:, None] - train).reshape(60, 60, 36), axis=2))[:, 1]
    assert found.distance == pytest.approx(np.median(nearest) / 10, rel=1e-9)
    train[7], train[9] = train[3], train[4]  # exact copies are counted elsewhere
    train[20] = train[21] + 0.01
    train[22] = train[23] + 0.08  # 0.48 away, and the limit is near 0.3
    test[0], test[1], test[2] = train[0], train[10] - 0.01, train[11] + 0.02
    found = near_copies(train, test)
    assert (found.train, found.test) == (2, 2)
    assert (found.train_examined, found.test_examined) == (58, 30)
    own, across = found.sentences
    assert own.startswith("2 of 58 distinct training images are a near copy of another one: ")
    assert own.endswith(f"; --copies-within {found.distance:.3g} counts near copies as one image")
    assert across.startswith("2 of 30 held-out images are a near copy of a training image")


def test_near_copies_in_few_dimensions_are_not_told() -> None:
    train = np.random.default_rng(SEED).uniform(-1, 1, (500, 2))
    found = near_copies(train, train[:3])
    assert (found.train, found.test, found.distance) == (0, 0, 0)


@pytest.mark.parametrize("d", [6, 300], ids=["float64", "float32"])
@pytest.mark.parametrize("unit", [2e-14, 5e13])
def test_the_unit_changes_nothing(d: int, unit: float) -> None:
    rng = np.random.default_rng(SEED)
    train, test = (rng.uniform(-1, 1, (n, d)) for n in (400, 30))
    sigmas = np.array([0.02, 0.1, 0.3, 1.0]) * d**0.5
    queries = {"weight_queries": 256, "coverage_queries": 256}
    ones = wildmiddle.curves(train, test, sigmas, **queries), wildmiddle.zone(train, test)
    found = (
        wildmiddle.curves(unit * train, unit * test, unit * sigmas, **queries),
        wildmiddle.zone(unit * train, unit * test),
    )
    np.testing.assert_allclose(found[0].max_weight_draws, ones[0].max_weight_draws, atol=1e-6)
    np.testing.assert_array_equal(found[0].covered_draws, ones[0].covered_draws)
    for name in ("certain", "possible", "certain_to_copy"):
        expected = np.array(getattr(ones[1], name))
        np.testing.assert_allclose(np.array(getattr(found[1], name)) / unit, expected, rtol=1e-5)


@pytest.mark.parametrize("d", [3, 300], ids=["float64", "float32"])
@pytest.mark.parametrize("memory", [2**30, 2**26])
def test_near_copies_are_joined_in_chains(d: int, memory: int) -> None:
    train = 1e3 + np.random.default_rng(SEED).standard_normal((1500, d))
    train[700:705] = train[3] + np.arange(1, 6)[:, None] * np.eye(d)[0] * 1e-3  # a chain
    train[900] = train[4] + 1e-3 * (1 + 1e-9) * np.eye(d)[0]  # just too far
    apart = cdist(train, train)
    nearest = float(np.sort(apart, axis=1)[:, 1].mean())
    for within in (1e-3 * (1 + 1e-12), nearest, float(apart.max())):
        _, group = connected_components(apart <= within, directed=False)
        first = np.unique(group, return_index=True)[1][group]
        merged = merge_copies(train, within, device="cpu", memory=memory)
        np.testing.assert_array_equal(merged, train[first])
    merged = merge_copies(train, 1.001e-3, device="cpu")
    np.testing.assert_array_equal(merged[700:705], np.repeat(train[3:4], 5, axis=0))
    assert merge_copies(train, 0.0) is train


def test_near_copies_under_a_bright_band_are_joined() -> None:
    # All roundings of a product of two such images have one sign, and add up.
    rng = np.random.default_rng(SEED)
    train = np.repeat(0.1 * rng.uniform(-1, 1, (700, 1)), 256, 1)
    train[:, :32] = rng.choice([-1, 1], (700, 1))
    _, group = connected_components(cdist(train, train) <= 1e-3, directed=False)
    first = np.unique(group, return_index=True)[1][group]
    assert len(np.unique(first)) < 680
    np.testing.assert_array_equal(merge_copies(train, 1e-3, device="cpu"), train[first])


def test_of_a_large_set_images_evenly_spaced_are_looked_at(monkeypatch) -> None:
    from wildmiddle.empirical import copies

    monkeypatch.setattr(copies, "_MOST", 25)  # numbers 0, 2, 4, 7, ... and 0, 1, 2, 3, 4, 6, ...
    rng = np.random.default_rng(SEED)
    train, test = rng.uniform(-1, 1, (60, 9)), rng.uniform(-1, 1, (30, 9))
    train[4] = train[50] + 1e-3  # seen: against all training images
    train[40] = train[50] - 1e-3  # not looked at
    test[2], test[5] = train[55] + 1e-3, train[56] + 1e-3  # the second is not
    found = near_copies(train, test)
    assert (found.train, found.train_examined) == (1, 25)
    assert (found.test, found.test_examined) == (1, 25)
