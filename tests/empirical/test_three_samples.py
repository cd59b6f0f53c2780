"""The three-sample test against scipy, on samplers whose answer is known, and its intervals."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import binomtest, mannwhitneyu, norm

from wildmiddle.empirical.three_samples import three_sample_test

SEED = 20261125
D = 5


def draw(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng([SEED, seed]).standard_normal((n, D))


def test_one_cell_is_mann_and_whitneys_score() -> None:
    train, held_out, samples = draw(40, 0), draw(60, 1), draw(50, 2)
    found = three_sample_test(samples, train, held_out, cells=1, device="cpu")
    ours, theirs = (
        np.linalg.norm(one[:, None] - train, axis=2).min(1) for one in (samples, held_out)
    )
    p = mannwhitneyu(ours, theirs, alternative="less", method="asymptotic", use_continuity=False)
    assert found.statistic == pytest.approx(norm.ppf(p.pvalue), rel=1e-6)
    assert found.cells == 1
    assert float(found.closer.mean) == pytest.approx((ours[:, None] < theirs).mean())


def test_copies_lie_well_below_and_noise_well_above() -> None:
    train, held_out = draw(200, 0), draw(300, 1)
    rng = np.random.default_rng(SEED)
    copies = train[rng.integers(200, size=300)] + 0.01 * draw(300, 2)
    found = three_sample_test(copies, train, held_out, device="cpu")
    assert found.statistic < -5
    assert found.closer.low > 0.9
    far = three_sample_test(5 * draw(300, 3), train, held_out, device="cpu")
    assert far.statistic > 5 or far.cells == 0
    assert far.closer.high < 0.1


def test_copies_in_one_region_are_not_hidden_by_noise_in_another() -> None:
    # Half of the space is copied, in the other half samples are too far: the pooled probability is
    # near 1/2, and each cell tells its own.
    shift = np.array([50.0] + [0.0] * (D - 1))
    train = np.concatenate([draw(100, 0), draw(100, 1) + shift])
    held_out = np.concatenate([draw(100, 2), draw(100, 3) + shift])
    copied = train[:100] + 0.001 * draw(100, 4)
    far = 3 * draw(100, 5) + shift
    both = three_sample_test(np.concatenate([copied, far]), train, held_out, cells=2, device="cpu")
    assert both.cells == 2
    assert abs(float(both.closer.mean) - 0.5) < 0.1
    alone = three_sample_test(copied, train[:100], held_out[:100], cells=1, device="cpu")
    assert alone.statistic < -5


def test_under_the_null_score_and_interval_keep_their_rates() -> None:
    train, alpha, repeats = draw(50, 0), 0.1, 300
    scores, missed = [], 0
    for k in range(repeats):
        found = three_sample_test(
            draw(60, 1000 + k), train, draw(60, 5000 + k), cells=1, alpha=alpha, device="cpu"
        )
        scores.append(found.statistic)
        missed += int(not found.closer.low <= 0.5 <= found.closer.high)
    assert binomtest(missed, repeats, alpha, alternative="greater").pvalue > 1e-6
    below = int((np.array(scores) < norm.ppf(0.1)).sum())
    assert binomtest(below, repeats, 0.1).pvalue > 1e-6
    assert np.std(scores, ddof=1) == pytest.approx(1, abs=0.2)


def test_ties_are_counted_by_half() -> None:
    train = np.zeros((2, 1))
    found = three_sample_test(np.ones((30, 1)), train, np.ones((30, 1)), cells=1, device="cpu")
    assert float(found.closer.mean) == 0.5
    assert found.cells == 0
    assert np.isnan(found.statistic)


def test_pairs_are_counted_without_a_matrix_of_them() -> None:
    train, samples, held_out = draw(50, 0), draw(2000, 1), draw(2000, 2)
    samples[:200] = held_out[100:300]  # ties
    tracemalloc.start()
    try:
        found = three_sample_test(samples, train, held_out, device="cpu")
        assert tracemalloc.get_traced_memory()[1] < len(samples) * len(held_out) / 4
    finally:
        tracemalloc.stop()
    ours, theirs = (cdist(one, train).min(1)[:, None] for one in (samples, held_out))
    pairs = (ours < theirs.T).mean() + (ours == theirs.T).mean() / 2
    assert float(found.closer.mean) == pytest.approx(pairs, rel=1e-12)


@pytest.mark.parametrize("different", [1, 2, 3])
def test_there_are_no_more_cells_than_training_images_that_differ(different) -> None:
    train = np.repeat(3 * draw(different, 0), 100, axis=0)
    found = three_sample_test(draw(300, 1), train, draw(300, 2), device="cpu")
    assert 1 <= found.cells <= different


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="held_out"):
        three_sample_test(draw(3, 0), draw(4, 1), np.zeros((3, D + 1)), device="cpu")
