"""Coverage counts against brute force on the same noise, and the bounds of Theorem 4.8."""

from functools import partial

import numpy as np
import pytest

from wildmiddle.empirical import coverage
from wildmiddle.empirical.kernels import products
from wildmiddle.empirical.noise import BLOCK, Block, blocks
from wildmiddle.theory.coverage import lower_bound, mean_overlap, overlap_probability, upper_bound

SEED = 20260303
SIGMAS = np.geomspace(0.05, 20, 12)


@pytest.fixture(scope="module")
def sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    return rng.uniform(-1, 1, (40, 8)), rng.uniform(-1, 1, (25, 8))


def brute_force(train, test, sigmas, c: float, queries: int) -> tuple[np.ndarray, int]:
    """Every single distance; and how often a query lay in the hole of the closest shell."""
    d = train.shape[1]
    width = 2 * np.sqrt(c * d)
    noise = list(blocks(SEED, "coverage", queries, d, len(test)))
    index = np.concatenate([b.indices for b in noise])[:queries]
    z = np.concatenate([b.noise for b in noise])[:queries]
    columns, rescued = [], 0
    for sigma in sigmas:
        y = test[index] + sigma * z
        squared = np.square(y[:, None] - train[None]).sum(2) / sigma**2
        inside = (squared >= d - width) & (squared <= d + width + 2 * c)
        covered = inside.any(axis=1)
        columns.append(covered)
        rescued += int((covered & (squared.min(axis=1) < d - width)).sum())
    return np.stack(columns, axis=1), rescued


@pytest.mark.parametrize("c", [0.2, 1.0, 2.0])
@pytest.mark.parametrize("queries", [1, 300, 1500])
def test_coverage_draws_are_those_of_brute_force(sets, c, queries) -> None:
    expected, rescued = brute_force(*sets, SIGMAS, c, queries)
    found = coverage.coverage_draws(*sets, SIGMAS, c=c, queries=queries, seed=SEED)
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, expected)
    if c < 1 and queries > 1:
        assert rescued > 0  # else the farther shells were not put to the test


def hit(monkeypatch, train, noise, c: float, sigma: float = 1.0) -> list[bool]:
    """Whether each given noise, added to the origin, is covered."""
    found = []
    for z in np.asarray(noise, np.float64):
        draw = partial(np.resize, z, (BLOCK, len(z)))
        block = Block(0, np.zeros(BLOCK, np.int64), draw, pytest.fail)
        monkeypatch.setattr(coverage, "blocks", lambda *_, block=block, **__: iter([block]))
        origin = np.zeros((1, len(z)))
        found.append(bool(coverage.coverage_draws(train, origin, sigma, c=c, queries=1)[0, 0]))
    return found


def axis(value: float, d: int) -> np.ndarray:
    return np.eye(d)[0] * value


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
def test_both_ends_of_a_shell_belong_to_it(monkeypatch, sigma) -> None:
    # Radii without rounding: d = 8, c = 1/2 has r_in = 2, and d = 10, c = 5/2 has r_out = 5.
    inner = [axis(r, 8) for r in (2 - 1e-9, 2, 2 + 1e-9)]
    assert hit(monkeypatch, np.zeros((1, 8)), inner, 0.5, sigma) == [False, True, True]
    outer = [axis(r, 10) for r in (5 - 1e-9, 5, 5 + 1e-9)]
    assert hit(monkeypatch, np.zeros((1, 10)), outer, 2.5, sigma) == [True, True, False]


def test_the_hole_of_the_nearest_shell_may_be_covered_by_a_farther_one(monkeypatch) -> None:
    # d = 8, c = 1/2: the shell runs from 2 to sqrt(13) = 3.606.
    train = np.stack([axis(0, 8), axis(3, 8), axis(-20, 8)])
    noise = [axis(r, 8) for r in (0, 0.5, -0.5, -1, 1.2, -2)]
    expected = [True, True, True, False, False, True]
    assert hit(monkeypatch, train, noise, 0.5) == expected


@pytest.mark.parametrize(
    ("sigmas", "queries", "message"),
    [
        (-1.0, 5, "sigma = -1.0 must be finite and above 0"),
        ([1.0, np.nan], 5, "sigma = nan must be"),
        ([], 5, "at least one noise level"),
        (1.0, 0, "queries = 0 must be at least 1"),
    ],
)
def test_bad_input_is_named(sets, sigmas, queries, message) -> None:
    with pytest.raises(ValueError, match=message):
        coverage.coverage_draws(*sets, sigmas, queries=queries)


def test_distances_are_direct_ones_in_parts_too(sets, monkeypatch) -> None:
    train, test = sets
    direct = np.linalg.norm(test[:, None] - train[None], axis=2)
    np.testing.assert_allclose(coverage.distances(train, test), direct, atol=1e-13)
    monkeypatch.setattr(products, "_COLUMNS", 3)
    found = coverage.distances(train, np.repeat(test, 11, axis=0), memory=2**23)
    np.testing.assert_allclose(found, np.repeat(direct, 11, axis=0), atol=1e-13)
    with pytest.raises(ValueError, match="memory = 1000 bytes; d = 8 needs at least"):
        coverage.distances(train, test, memory=1000)


@pytest.mark.parametrize(("d", "c"), [(1, 0.25), (4, 0.3), (64, 5.0), (3072, 5.0)])
def test_mean_overlap_is_the_mean_of_the_exact_probability(d, c) -> None:
    rng = np.random.default_rng(SEED)
    pairs = rng.gamma(3.0, 1.0, (30, 40))
    pairs[0, 0] = 0.0
    sigmas = np.geomspace(0.01, 100, 15)
    direct = overlap_probability(pairs[:, :, None], sigmas, d, c).mean(axis=(0, 1))
    np.testing.assert_allclose(mean_overlap(pairs, sigmas, d, c), direct, rtol=1e-7)
    # One pair alone: every value down to the end of the table.
    for distance in np.sqrt(d) * np.geomspace(0.5, 20, 40):
        one = overlap_probability(distance, 1.0, d, c)
        np.testing.assert_allclose(mean_overlap([distance], 1.0, d, c), one, rtol=1e-7, atol=1e-55)


def test_one_training_point_meets_both_bounds(sets, expect_rate) -> None:
    # Theorem 4.8 is an equality at N = 1.
    train, test = sets[0][:1], sets[1]
    pairs, n = coverage.distances(train, test), 20_000
    sigmas = np.median(pairs) * np.array([0.25, 0.35, 0.7])
    both = mean_overlap(pairs, sigmas, 8, 1.0)
    np.testing.assert_allclose(lower_bound(pairs[:, 0], sigmas, 8, 1.0), both, rtol=1e-7)
    counts = coverage.coverage_draws(train, test, sigmas, c=1.0, queries=n, seed=SEED).sum(axis=0)
    for count, p, sigma in zip(counts, both, sigmas, strict=True):
        assert 0.03 < p < 0.95  # else any count would do
        expect_rate(count, n, "==", p, seed=SEED, what=f"coverage at sigma = {sigma}")


@pytest.mark.parametrize("clustered", [False, True])
def test_coverage_lies_between_its_bounds(clustered, expect_rate) -> None:
    rng = np.random.default_rng(SEED)
    n, d, c = 5000, 16, 1.0
    scale = np.geomspace(0.05, 2, 80)[:, None] if clustered else 1.0
    points = rng.standard_normal((80, d)) * scale
    points = rng.permutation(points)
    train, test = points[:50], points[50:]
    pairs = coverage.distances(train, test)
    sigmas = np.geomspace(0.05, 20, 10)
    low = lower_bound(pairs.min(axis=1), sigmas, d, c)
    high = upper_bound(mean_overlap(pairs, sigmas, d, c), 50)
    counts = coverage.coverage_draws(train, test, sigmas, c=c, queries=n, seed=SEED).sum(axis=0)
    assert ((low < high) | (high < 1e-12)).all()
    for k, sigma in enumerate(sigmas):
        what = f"coverage at sigma = {sigma:.3g}"
        expect_rate(counts[k], n, ">=", low[k], seed=SEED, what=what)
        expect_rate(counts[k], n, "<=", high[k], seed=SEED, what=what)
