"""The streams of noise: fixed by seed, name and number, independent, rightly distributed."""

import numpy as np

from wildmiddle.empirical.noise import BLOCK, batches, blocks, generator

SEED = 20260304


def drawn(n: int, **changes) -> tuple[np.ndarray, np.ndarray]:
    options = {"seed": SEED, "stream": "test", "n": n, "dimension": 3, "population": 7, **changes}
    parts = list(blocks(**options))
    indices = np.concatenate([part.indices for part in parts])
    return indices, np.concatenate([part.noise for part in parts])


def test_a_larger_number_of_queries_continues_the_same_ones() -> None:
    many = drawn(3 * BLOCK + 5)
    for n in (1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK):
        for few, all_of_them in zip(drawn(n), many, strict=True):
            np.testing.assert_array_equal(few[:n], all_of_them[:n])


def test_noise_is_the_same_for_every_population() -> None:
    for population in (1, 2, 1000):
        np.testing.assert_array_equal(drawn(300, population=population)[1], drawn(300)[1])


def test_blocks_are_whole_and_numbered() -> None:
    parts = list(blocks(SEED, "test", 2 * BLOCK + 1, 3, 7))
    assert [part.start for part in parts] == [0, BLOCK, 2 * BLOCK]
    assert {part.noise.shape for part in parts} == {(BLOCK, 3)}
    assert {part.indices.shape for part in parts} == {(BLOCK,)}
    assert list(blocks(SEED, "test", 0, 3)) == []


def test_seed_stream_and_block_give_other_draws() -> None:
    base = drawn(BLOCK)[1]
    for other in (drawn(BLOCK, seed=SEED + 1)[1], drawn(BLOCK, stream="tes")[1]):
        assert not np.isin(base, other).any()
    first, second = drawn(2 * BLOCK)[1].reshape(2, BLOCK, 3)
    assert not np.isin(first, second).any()
    assert generator(1, "a", 2).random() == generator(1, "a", 2).random()


def test_noise_is_standard_normal_and_indices_are_uniform(expect_law, expect_rate) -> None:
    n = 80 * BLOCK
    indices, noise = drawn(n)
    for column in range(3):
        what = f"noise in column {column}"
        expect_law(noise[:, column], "norm", seed=SEED, what=what)
    # Sums over columns, over neighbours and across blocks show dependence that no column shows.
    for pairs in (noise[:, :2], noise[:, 1:], noise[:, 0].reshape(-1, 2)):
        expect_law(pairs.sum(1) / np.sqrt(2), "norm", seed=SEED, what="sum of two draws")
    across = (noise[: BLOCK * 40] + noise[BLOCK * 40 :])[:, 0] / np.sqrt(2)
    expect_law(across, "norm", seed=SEED, what="sum across blocks")
    for index, count in enumerate(np.bincount(indices, minlength=7)):
        expect_rate(count, n, "==", 1 / 7, seed=SEED, what=f"index {index}")


def test_batches_hold_all_blocks_in_their_order() -> None:
    for size, lengths in ((3, [3, 3, 1]), (1, [1] * 7), (0, [1] * 7), (9, [7])):
        found = list(batches(blocks(SEED, "test", 7 * BLOCK, 3), size))
        assert [len(batch) for batch in found] == lengths
        assert [part.start for batch in found for part in batch] == [k * BLOCK for k in range(7)]
