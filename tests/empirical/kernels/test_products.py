"""The float32 path: exact where it decides, whatever the batch, the memory and the threads."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.neighbors import NearestNeighbors

from wildmiddle import empirical
from wildmiddle.empirical import two_curves
from wildmiddle.empirical.coverage import coverage_draws
from wildmiddle.empirical.kernels import products
from wildmiddle.empirical.kernels.distances import squared_to
from wildmiddle.empirical.kernels.noise_pass import run_pass
from wildmiddle.empirical.neighbours import extreme_distances, nearest_two
from wildmiddle.empirical.noise import BLOCK, blocks, indices
from wildmiddle.empirical.posterior import weight_accumulator, weights
from wildmiddle.theory.constants import DEFAULT_MEMORY
from wildmiddle.theory.coverage import mean_overlap, overlap_probability
from wildmiddle.theory.shells import radii

SEED = 20260311
D = 300
SIGMAS = np.array([0.002, 0.01, 0.1, 0.4, 0.6, 0.8, 1.0, 1.5, 2.5, 5.0, 20.0, 80.0])
LITTLE = 9_000_000


@pytest.fixture(scope="module")
def sets() -> tuple[np.ndarray, np.ndarray]:
    """150 and 40 points far from the origin: pairs at 1e-4, copies, held-out points on top."""
    rng = np.random.default_rng(SEED)
    scale = np.arange(1, D + 1) ** -0.3
    train, test = (5 + rng.standard_normal((n, D)) * scale for n in (150, 40))
    directions = rng.standard_normal((20, D))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    train[130:150] = train[:20] + 1e-4 * directions
    train[20:23] = train[23]
    test[:10] = train[40:50] + 0.02 * directions[:10]
    test[10] = train[60]
    return train, test


def noise(stream: str, queries: int, population: int) -> tuple[np.ndarray, np.ndarray]:
    parts = list(blocks(SEED, stream, queries, D, population))
    indices = np.concatenate([part.indices for part in parts])[:queries]
    return indices, np.concatenate([part.noise for part in parts])[:queries]


@pytest.mark.parametrize("memory", [DEFAULT_MEMORY, LITTLE])
def test_weights_are_those_of_direct_differences(sets, memory) -> None:
    train, _ = sets
    largest, own = weights(train, SIGMAS, queries=300, seed=SEED, memory=memory)
    for q, (i, z) in enumerate(zip(*noise("weight", 300, 150), strict=True)):
        apart = train - train[i]
        a, g = np.square(apart).sum(1) / 2, apart @ z
        t = np.exp((g[:, None] * SIGMAS - a[:, None]) / SIGMAS**2)
        np.testing.assert_allclose(largest[q], t.max(0) / t.sum(0), rtol=0, atol=1e-6)
        np.testing.assert_allclose(own[q], t[i] / t.sum(0), rtol=0, atol=1e-6)
        if i < 20 or i >= 130:  # a pair that shares its weight; the products alone see one point
            assert own[q, 0] < 0.7
            np.testing.assert_allclose(own[q, :3], (t[i] / t.sum(0))[:3], rtol=0, atol=1e-9)


def test_squares_are_those_of_all_weights(sets) -> None:
    train, test = sets
    same = np.unique(train, axis=0, return_inverse=True)[1]
    found = empirical.curves(train, test, SIGMAS, weight_queries=256, coverage_queries=256)
    chosen = indices(0, "weight", 256, 150)
    noise = next(blocks(0, "curves", 256, D)).noise
    squares = []
    for i, z in zip(chosen, noise, strict=True):
        apart = train - train[i]
        a, g = np.square(apart).sum(1) / 2, apart @ z
        t = np.exp((g[:, None] * SIGMAS - a[:, None]) / SIGMAS**2)
        weight = np.zeros_like(t)
        np.add.at(weight, same, t / t.sum(0))  # copies are one point
        squares.append(np.square(weight).sum(0))
    np.testing.assert_allclose(found.squared_weight.mean, np.mean(squares, 0), rtol=0, atol=1e-6)


def test_coverage_is_that_of_direct_differences(sets) -> None:
    train, test = sets
    index, z = noise("coverage", 600, 40)
    found = coverage_draws(train, test, SIGMAS, queries=600, seed=SEED)
    width = 2 * np.sqrt(5.0 * D)
    gap = test[index][:, None] - train[None]
    for k, sigma in enumerate(SIGMAS):
        squared = np.square(gap / sigma + z[:, None]).sum(2)
        inside = (squared >= D - width) & (squared <= D + width + 10)
        np.testing.assert_array_equal(found[:, k], inside.any(1))
    assert 0.2 < found[:, 0].mean() + found[:, 4].mean() < 1.8


@pytest.mark.parametrize("both", [False, True], ids=["alone", "with the weight"])
def test_coverage_is_decided_in_float64_at_the_end_of_a_shell(both, monkeypatch) -> None:
    rng = np.random.default_rng(SEED)
    train, test = rng.standard_normal((3, D)), rng.standard_normal((5, D))
    monkeypatch.setattr(two_curves, "in_fewer_dimensions", lambda *_: None)
    stream = "curves" if both else "coverage"
    index, z = indices(SEED, "coverage", 60, 5)[:60], noise(stream, 60, 5)[1]
    gap = test[index][:, None] - train[None]
    a, g = np.square(gap).sum(2), np.einsum("qjd,qd->qj", gap, z)
    room = D + 2 * np.sqrt(5.0 * D) + 10 - np.square(z).sum(1)[:, None]
    # Each query enters the first of its shells here; float32 cannot tell the two sides apart.
    enters = ((g + np.sqrt(g**2 + room * a)) / room).min(1)
    ends = np.outer([1 - 1e-8, 1 + 1e-8], enters).ravel()
    if both:
        found = empirical.curves(
            train, test, ends, weight_queries=60, coverage_queries=60, seed=SEED
        ).covered_draws
    else:
        found = coverage_draws(train, test, ends, queries=60, seed=SEED)
    own = np.arange(60)
    assert not found[own, own].any()
    assert found[own, own + 60].all()


def test_counts_do_not_depend_on_memory_threads_or_precision(sets, monkeypatch) -> None:
    train, test = sets
    expected = coverage_draws(train, test, SIGMAS, queries=900, seed=SEED)
    weight = weights(train, SIGMAS, queries=900, seed=SEED)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        again = weights(train, SIGMAS, queries=900, seed=SEED)
        one = coverage_draws(train, test, SIGMAS, queries=900, seed=SEED)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(one, expected)
    for a, b in zip(again, weight, strict=True):
        np.testing.assert_array_equal(a, b)
    few = coverage_draws(train, test, SIGMAS, queries=900, seed=SEED, memory=LITTLE)
    np.testing.assert_array_equal(few, expected)
    monkeypatch.setattr(products, "_COLUMNS", 37)
    np.testing.assert_array_equal(
        coverage_draws(train, test, SIGMAS, queries=900, seed=SEED), expected
    )
    tiled = weights(train, SIGMAS, queries=900, seed=SEED)
    monkeypatch.setattr(products, "_SINGLE_FROM", 10**9)
    np.testing.assert_array_equal(
        coverage_draws(train, test, SIGMAS, queries=900, seed=SEED), expected
    )
    double = weights(train, SIGMAS, queries=900, seed=SEED)
    for a, b, c in zip(tiled, weight, double, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
        np.testing.assert_allclose(a, c, rtol=0, atol=1e-6)


@pytest.mark.parametrize("multiplies", [True, False])
def test_distances_of_bytes_are_exact(monkeypatch, multiplies) -> None:
    if multiplies and not products._multiplies_bytes():
        pytest.skip("this processor has no exact products of bytes, and they are not used here")
    monkeypatch.setattr(products, "_multiplies_bytes", lambda: multiplies)
    rng = np.random.default_rng(SEED)
    points = rng.choice([0, 1, 127, 128, 254, 255], (70, 3072)).astype(np.uint8)
    points[1], points[2] = 255 - points[0], points[0]
    points[3] = points[0] ^ (np.arange(3072) == 7)  # one pixel, by one step
    wide = points.astype(np.int64)
    known = np.square(wide[:, None] - wide).sum(2)
    rows = torch.as_tensor(points)
    dtype = products.distance_dtype(rows, rows)
    assert (dtype == torch.int8) is multiplies
    origin = products.origin_of(rows, dtype)
    chosen = torch.arange(len(points)).flip(0)
    for ends in products.tiles(len(points), 50):
        tile = products.tile_of(rows, ends, origin, dtype, 1)
        found = squared_to(rows, chosen, rows, tile, origin).numpy()
        expected = known[::-1, slice(*ends)]
        if multiplies:
            np.testing.assert_array_equal(found, expected.astype(np.float32))
        else:  # a row is no neighbour of its own
            apart = chosen.numpy()[:, None] != np.arange(*ends)
            np.testing.assert_allclose(found[apart], expected[apart], rtol=1e-4)


PATTERNS = {
    "normal": lambda x: x + 1,
    "constant": lambda x: np.repeat(x[:, :1], x.shape[1], 1),
    "a bright pixel first": lambda x: (
        np.hstack([np.full((len(x), 1), 32.0), 1 + 0 * x[:, 1:]])
        * np.sign(x[:, :1])
        * np.linspace(0.5, 1, len(x))[:, None]
    ),
    "a bright band": lambda x: np.hstack([np.sign(x[:, :32]), 0.1 * x[:, 32:33] + 0 * x[:, 32:]]),
}
"""Images of independent pixels, and such that all roundings of a product have one sign."""


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("d", [256, 384, 3072])
def test_rounding_stays_below_its_bound(pattern, d) -> None:
    rng = np.random.default_rng(SEED)
    a, b = (torch.as_tensor(PATTERNS[pattern](rng.standard_normal((n, d)))) for n in (30, 40))
    origin = products.mean_of(a)
    x, y = (products.centre(rows, origin, torch.float32) for rows in (a, b))
    sizes = x.double().norm(dim=1), y.double().norm(dim=1)
    error = (products.product(x, y).double() - x.double() @ y.double().T).abs()
    bound = products.rounding(d, torch.float32) * torch.outer(*sizes)
    assert (error <= bound).all(), (error / bound).max()
    exact = (a[:, None] - b[None]).square().sum(2)
    far = products.distance_error(d, torch.float32, sizes[0].square(), sizes[1].max())
    found = products.squared_distances(x, y).double()
    assert ((found - exact).abs() <= far[:, None]).all()
    norms = products.squared_norms(x).float()[:, None], products.squared_norms(y)
    found = (products.product(x, y, scale=-2, plus=norms[1]) + norms[0]).double()
    assert ((found - exact).abs() <= far[:, None]).all()
    assert ((found - exact).abs() > far[:, None] / 1e6).any()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("visit", [None, lambda *_: None], ids=["alone", "with the distances"])
def test_rounding_with_one_sign_does_not_choose_the_nearest(pattern, visit) -> None:
    rng = np.random.default_rng(SEED)
    train, samples = (
        torch.as_tensor(PATTERNS[pattern](rng.standard_normal((n, 256)).astype(np.float32)))
        for n in (500, 100)
    )
    exact = (samples[:, None].double() - train.double()).square().sum(2).sort(1).values[:, :2]
    found, _ = nearest_two(samples, train, visit=visit)
    np.testing.assert_allclose(found.double(), exact.sqrt(), rtol=1e-9)


def test_norms_of_bytes_do_not_wrap_around() -> None:
    rng = np.random.default_rng(SEED)
    bytes_ = torch.as_tensor(rng.integers(0, 256, (300, 40), dtype=np.uint8))
    origin = products.mean_of(bytes_)
    direct = (bytes_.double() - origin.double()).norm(dim=1)
    torch.testing.assert_close(products.norms_about(bytes_, origin), direct)


def test_nearest_and_ties_are_those_of_an_exhaustive_search(sets, monkeypatch) -> None:
    train, test = sets
    monkeypatch.setattr(products, "_COLUMNS", 37)
    samples = np.concatenate([test, train[125:] + 3e-5])
    search = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(train - 5)
    distances, _ = search.kneighbors(samples - 5)
    direct = np.linalg.norm(samples[:, None] - train[None], axis=2)
    found = empirical.memorization(samples, train)
    np.testing.assert_array_equal(found.nearest, direct.argmin(1))
    ordered = np.sort(np.delete(direct, [21, 22, 23], axis=1), axis=1)  # copies are one image
    np.testing.assert_allclose(found.ratio, ordered[:, 0] / ordered[:, 1], rtol=1e-9)
    ordered = np.sort(direct, axis=1)
    np.testing.assert_allclose(distances[:40], ordered[:40, :2], rtol=1e-5, atol=1e-5)
    ends = extreme_distances(train)
    between = np.linalg.norm(train[:, None] - train[None], axis=2)
    np.testing.assert_allclose(ends[:, 1], between.max(1), rtol=1e-12)
    np.fill_diagonal(between, np.inf)
    np.testing.assert_allclose(ends[:, 0], between.min(1), rtol=1e-12)


def test_many_copies_are_searched_again_in_float64(sets) -> None:
    train, _ = sets
    crowd = np.concatenate([np.repeat(train[:1], 9, axis=0) + 1e-7 * np.arange(9)[:, None], train])
    found = empirical.memorization(crowd[:9] + 2e-8, crowd)
    np.testing.assert_array_equal(found.nearest, np.arange(9))


def test_curves_hardly_depend_on_memory(sets) -> None:
    options = {"weight_queries": 300, "coverage_queries": 300, "seed": SEED}
    whole = empirical.curves(*sets, SIGMAS, **options)
    parts = empirical.curves(*sets, SIGMAS, memory=LITTLE, **options)
    np.testing.assert_array_equal(whole.covered_draws, parts.covered_draws)
    np.testing.assert_array_equal(whole.nearest, parts.nearest)
    np.testing.assert_allclose(whole.mean_overlap, parts.mean_overlap, rtol=1e-3, atol=1e-55)
    pairs = np.linalg.norm(sets[1][:, None] - np.unique(sets[0], axis=0), axis=2)
    np.testing.assert_allclose(whole.nearest, pairs.min(1), rtol=1e-12)
    exact = mean_overlap(pairs, SIGMAS, D)
    direct = overlap_probability(pairs[:, :, None], SIGMAS, D).mean(axis=(0, 1))
    np.testing.assert_allclose(exact, direct, rtol=1e-7, atol=1e-55)
    np.testing.assert_allclose(whole.mean_overlap, exact, rtol=1e-4, atol=1e-55)


@pytest.mark.parametrize("least", [1, 10**9], ids=["distances kept", "found once more"])
def test_coverage_of_the_curves_is_that_of_direct_differences(sets, least, monkeypatch) -> None:
    train, test = sets
    monkeypatch.setattr(products, "_COLUMNS", 37)
    monkeypatch.setattr(two_curves, "_SHARE", least)
    options = {"weight_queries": 300, "coverage_queries": 300, "seed": SEED}
    found = empirical.curves(*sets, SIGMAS, **options).covered_draws
    chosen, z = indices(SEED, "coverage", 300, len(test)), noise("curves", 300, 1)[1]
    r_in, r_out = radii(D)
    for q, k in np.ndindex(found.shape):
        y = test[chosen[q]] + SIGMAS[k] * z[q]
        r = np.linalg.norm(y - train, axis=1) / SIGMAS[k]
        assert found[q, k] == ((r >= r_in) & (r <= r_out)).any(), (q, k)
    assert 0.1 < found.mean() < 0.9


def test_too_little_memory_is_named_with_what_is_needed(sets) -> None:
    with pytest.raises(ValueError, match=r"memory = 1000 bytes; d = 300 needs at least \d+"):
        coverage_draws(*sets, SIGMAS, queries=10, memory=1000)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("d", [1, 64, 3072])
def test_memory_that_is_enough_for_fewer_columns_is_enough(d, wide) -> None:
    with pytest.raises(ValueError, match="needs at least") as refusal:
        products.plan(1000, 3000, d, wide=wide)
    need = int(str(refusal.value).split()[-1])
    assert products.plan(need, 3000, d, wide=wide).columns == 32
    for memory in np.geomspace(need, 2**32, 60).astype(int).tolist():
        sizes = products.plan(memory, 3000, d, wide=wide)
        assert sizes.columns >= 32
        assert sizes.queries >= BLOCK
        assert sizes.threads >= 1


def test_weights_of_real_images_are_right_to_2e6(shared) -> None:
    """The largest error is that of the products: 1e-6 or 1.5e-6, by the processor."""
    x = (
        np.load(shared("cifar10_subset.npz"), allow_pickle=False)["train"][:1000].reshape(1000, -1)
        / 127.5
        - 1
    )
    sigmas, n = np.geomspace(4, 12, 16), 1024
    found = weights(x, sigmas, queries=n, seed=3)
    drawn = list(blocks(3, "weight", n, 3072, 1000))
    i, z = np.concatenate([b.indices for b in drawn]), np.concatenate([b.noise for b in drawn])
    norms, inner = np.square(x).sum(1), x @ x.T
    a = (norms[i, None] + norms - 2 * inner[i]) / 2
    g = z @ x.T
    g -= g[np.arange(n), i, None]
    for k, sigma in enumerate(sigmas):
        w = softmax((sigma * g - a) / sigma**2, axis=1)
        np.testing.assert_allclose(found[0][:, k], w.max(1), rtol=0, atol=2e-6)
        np.testing.assert_allclose(found[1][:, k], w[np.arange(n), i], rtol=0, atol=2e-6)


def test_a_pass_leaves_no_noise_behind(sets) -> None:
    rows = torch.as_tensor(sets[0])
    origin = products.mean_of(rows)
    chosen = indices(SEED, "weight", 600, len(rows))
    accumulator, _ = weight_accumulator(rows, SIGMAS, 600, origin, chosen)
    drawn = list(blocks(SEED, "weight", 600, D, dtype=np.float32))
    run_pass(rows, origin, drawn, [accumulator], DEFAULT_MEMORY)
    assert not any("noise" in vars(block) for block in drawn)
    assert drawn[0].noise is vars(drawn[0])["noise"]  # where it would have been
