"""Coordinates in fewer dimensions: the same distances, and curves of the same law."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chi2, fisher_exact, ks_2samp

from wildmiddle import empirical
from wildmiddle.empirical import two_curves
from wildmiddle.empirical.kernels.fewer_dimensions import in_fewer_dimensions
from wildmiddle.empirical.noise import BLOCK, beyond, blocks, indices
from wildmiddle.theory.constants import DEFAULT_MEMORY
from wildmiddle.theory.coverage import overlap_probability
from wildmiddle.theory.shells import radii

SEED = 20261130
N, M, D = 40, 30, 320
RATE = 1e-6


@pytest.fixture(scope="module")
def sets() -> tuple[np.ndarray, np.ndarray]:
    """Points with a falling spectrum, far from 0; near pairs, one nearly dependent, a near copy."""
    rng = np.random.default_rng(SEED)
    scale = np.arange(1, D + 1) ** -0.7
    train, test = (3 + rng.standard_normal((n, D)) * scale for n in (N, M))
    directions = rng.standard_normal((9, D)) / np.sqrt(D)
    for k, apart in enumerate((1e-1, 1e-2, 1e-3)):
        train[k] = train[10 + k] + apart * directions[k]
    train[5] = train[6] + train[7] - train[8] + 1e-5 * directions[6]
    test[:3] = train[20:23] + np.array([[1e-1], [1e-3], [0]]) * directions[3:6]
    return train, test


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.as_tensor(array) for array in arrays]


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.square(a[:, None] - b[None]).sum(2)


def test_distances_are_kept_near_pairs_and_nearly_dependent_points_too(sets) -> None:
    train, test = sets
    fewer = in_fewer_dimensions(*tensors(train, test), 10**6, DEFAULT_MEMORY)
    assert fewer is not None
    rows, held_out = (part.numpy() for part in fewer)
    assert rows.shape == (N, N)
    assert held_out.shape == (M, N)
    np.testing.assert_allclose(apart(rows, rows), apart(train, train), rtol=1e-6, atol=1e-25)
    np.testing.assert_allclose(apart(held_out, rows), apart(test, train), rtol=1e-6, atol=1e-12)


def test_coordinates_do_not_depend_on_threads_or_the_precision_of_the_images() -> None:
    rng = np.random.default_rng(SEED)
    train, test = tensors(*(rng.standard_normal((n, 1500)).astype(np.float32) for n in (700, 600)))
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(in_fewer_dimensions(train, test, 10**6, DEFAULT_MEMORY))
    finally:
        torch.set_num_threads(before)
    found.append(in_fewer_dimensions(train.double(), test.double(), 10**6, DEFAULT_MEMORY))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_rows_are_left_where_they_are_too_close_or_it_does_not_pay(sets) -> None:
    train, test = tensors(*sets)
    pays = 2 * (N + M) * D // (D - N) + 1
    assert in_fewer_dimensions(train, test, pays, DEFAULT_MEMORY) is not None
    assert in_fewer_dimensions(train, test, pays - 1, DEFAULT_MEMORY) is None
    assert in_fewer_dimensions(train, test, pays, 8 * N * D) is None
    assert in_fewer_dimensions(train[:, :N], test[:, :N], 10**9, DEFAULT_MEMORY) is None
    # The origin is the first point, so a copy of that one is a case of its own.
    for of, gap in ((0, 0.0), (4, 0.0), (0, 1e-5), (4, 1e-5)):
        close = train.clone()
        close[9] = close[of] + gap / D**0.5
        assert in_fewer_dimensions(close, test, 10**9, DEFAULT_MEMORY) is None


def dependent(kind: str, d: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Images of which some lie in the span of others, and held-out ones."""
    rng = np.random.default_rng(SEED)
    if kind == "of rank 5":
        axes = rng.standard_normal((5, d)) / np.sqrt(d)
        return rng.standard_normal((N, 5)) @ axes, rng.standard_normal((M, 5)) @ axes
    train, test = (rng.integers(0, 256, (n, d)) / 127.5 - 1 for n in (N, M))
    if kind == "constant":
        return np.repeat(train[:, :1], d, 1), np.repeat(test[:, :1], d, 1)
    if kind == "black, white and grey":
        train[[3, 20, 31]] = np.array([[-1], [1], [0.1]])
    else:
        train[5] = train[6] + train[7] - train[8]
    return train, test


@pytest.mark.parametrize("kind", ["of rank 5", "constant", "black, white and grey", "one"])
def test_dependent_points_give_the_curves_of_all_dimensions(kind, monkeypatch) -> None:
    train, test = dependent(kind)
    typical = np.median(np.sqrt(apart(train[:1], train)))
    sigmas = typical * np.array([0.01, 0.05, 0.2, 1])
    options = {"weight_queries": BLOCK, "coverage_queries": BLOCK, "seed": SEED}
    found = empirical.curves(train, test, sigmas, **options)
    monkeypatch.setattr(two_curves, "in_fewer_dimensions", lambda *_: None)
    whole = empirical.curves(train, test, sigmas, **options)
    exact = np.sqrt(apart(test, np.unique(train, axis=0)))
    np.testing.assert_allclose(found.nearest, exact.min(1), rtol=1e-9)
    overlap = overlap_probability(exact[:, :, None], sigmas, train.shape[1]).mean((0, 1))
    np.testing.assert_allclose(found.mean_overlap, overlap, rtol=1e-4, atol=1e-55)
    for name in ("max_weight", "coverage"):
        one, other = getattr(found, name), getattr(whole, name)
        assert (one.low <= other.high).all(), (name, one, other)
        assert (other.low <= one.high).all(), (name, one, other)


def test_curves_are_those_of_the_coordinates_and_the_noise_beyond(sets) -> None:
    train, test = sets
    # So many sigmas that a degree of freedom more or less would change some of the events.
    sigmas, queries = np.geomspace(0.01, 1, 200), 2 * BLOCK
    options = {"weight_queries": queries, "coverage_queries": queries, "seed": SEED}
    listed = np.vstack([train, train[[30, 30]]])  # copies count as one point with their weight
    counts = np.bincount([*range(N), 30, 30])
    curves = empirical.curves(listed, test, sigmas, **options)
    fewer = in_fewer_dimensions(*tensors(train, test), queries, DEFAULT_MEMORY)
    assert fewer is not None
    rows, held_out = (part.numpy() for part in fewer)
    z = np.concatenate([block.noise for block in blocks(SEED, "curves", queries, N)])
    more = beyond(SEED, "curves", queries, D - N)
    r_in, r_out = radii(D)
    chosen = indices(SEED, "coverage", queries, M)
    noised = indices(SEED, "weight", queries, N + 2)
    noised[noised >= N] = 30
    between = {
        name: (apart(x, rows), np.einsum("qnk,qk->qn", x[:, None] - rows, z))
        for name, x in (("coverage", held_out[chosen]), ("weight", rows[noised]))
    }
    norms = np.square(z).sum(1) + more.squared
    for k, sigma in enumerate(sigmas):
        squared, inner = between["coverage"]
        radius = squared / sigma**2 + 2 * inner / sigma + norms[:, None]
        inside = ((radius >= r_in**2) & (radius <= r_out**2)).any(1)
        np.testing.assert_array_equal(curves.covered_draws[:, k], inside)
        squared, inner = between["weight"]
        exponent = -(squared / sigma + 2 * inner) / (2 * sigma)
        weight = counts * np.exp(exponent - exponent.max(1, keepdims=True))
        weight /= weight.sum(1, keepdims=True)
        np.testing.assert_allclose(curves.max_weight_draws[:, k], weight.max(1), rtol=0, atol=1e-6)
    np.testing.assert_allclose(curves.nearest, np.sqrt(apart(test, train).min(1)), rtol=1e-12)
    assert curves.nearest[2] == 0
    exact = overlap_probability(np.sqrt(apart(test, train))[:, :, None], sigmas, D)
    np.testing.assert_allclose(curves.mean_overlap, exact.mean((0, 1)), rtol=1e-6, atol=1e-55)


def test_noise_beyond_has_its_law_and_a_stream_of_its_own(expect_law) -> None:
    more = beyond(SEED, "curves", 20 * BLOCK, 7)
    assert more.dimensions == 7
    expect_law(more.squared, chi2(7).cdf, seed=SEED, what="squared length of 7 normals")
    np.testing.assert_array_equal(beyond(SEED, "curves", 3, 7).squared, more.squared[:BLOCK])
    assert not np.isin(more.squared, beyond(SEED, "other", 20 * BLOCK, 7).squared).any()


def test_curves_have_the_law_of_those_in_all_dimensions(sets, monkeypatch) -> None:
    train, test = sets
    sigmas, queries = np.array([0.02, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5]), 6000
    options = {"weight_queries": queries, "coverage_queries": queries}
    fewer = empirical.curves(train, test, sigmas, seed=SEED, **options)
    monkeypatch.setattr(two_curves, "in_fewer_dimensions", lambda *_: None)
    whole = empirical.curves(train, test, sigmas, seed=SEED + 1, **options)
    rate, varies = RATE / (2 * len(sigmas)), 0
    for k in range(len(sigmas)):
        counts = [int(curves.covered_draws[:, k].sum()) for curves in (fewer, whole)]
        table = [[count, queries - count] for count in counts]
        assert fisher_exact(table).pvalue >= rate, (sigmas[k], counts, SEED)
        draws = [curves.max_weight_draws[:, k] for curves in (fewer, whole)]
        assert ks_2samp(*draws).pvalue >= rate, (sigmas[k], SEED)
        varies += 0.05 < counts[0] / queries < 0.95
        varies += draws[0].std() > 0.05
    assert varies >= 6


def test_coverage_by_one_shell_is_its_exact_probability(sets) -> None:
    # The second training point is so far away that its shell holds none of the queries.
    train = np.stack([np.zeros(D), np.full(D, 1e3)])
    test = np.random.default_rng(SEED).standard_normal((1, D)) / np.sqrt(D)
    sigmas, queries = np.geomspace(0.05, 1, 6), 4000
    found = empirical.curves(
        train, test, sigmas, weight_queries=10, coverage_queries=queries, seed=SEED, c=0.5
    )
    exact = overlap_probability(np.linalg.norm(test), sigmas, D, 0.5)
    assert ((exact > 0.05) & (exact < 0.95)).sum() >= 3
    for count, p in zip(found.covered_draws.sum(0), exact, strict=True):
        assert binomtest(int(count), queries, p).pvalue >= RATE / len(sigmas), (p, SEED)
