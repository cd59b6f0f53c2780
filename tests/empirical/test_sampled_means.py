"""Crossings of means from drawn rows: how often they miss, when they stop, what they leave open."""

from time import monotonic

import numpy as np
import pytest
import torch
from scipy.stats import binom

from wildmiddle.empirical.sampled_means import Passing, Values, passing

N = 20_000
THRESHOLDS = np.exp(np.random.default_rng(0).uniform(-1, 1, N))
"""Every row's value passes from 0 to 1 here: the mean passes 1/4 at their first quartile."""
TRUTH = np.quantile(THRESHOLDS, 0.25)


def steps(rows: torch.Tensor, apart: float = 1.0) -> Values:
    """Steps at the thresholds: known for sure, or but for a factor of ``apart`` in sigma."""
    thresholds = THRESHOLDS[rows.numpy()][None, :, None]

    def values(sigmas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = (sigmas[:, None, :] > thresholds * by for by in (apart, 1 / apart))
        return low.astype(np.float64), high.astype(np.float64)

    return values


def find(scale: float = TRUTH, population: int = N, count=steps, **options) -> Passing:
    rest = {"alpha": 0.05, "resolution": 10.0, "until": np.inf, "seed": 0, "stream": "test"}
    rest["most"] = N
    return passing(count, [lambda mean: mean - 0.25], scale, population, **(rest | options))


def test_an_interval_misses_as_rarely_as_it_says() -> None:
    runs = [find(alpha=0.1, seed=seed) for seed in range(200)]
    missed = sum(not run.low[0] <= TRUTH <= run.high[0] for run in runs)
    assert missed <= binom.isf(1e-3, 200, 0.1)
    assert np.median([run.high[0] / run.low[0] for run in runs]) < 1.5


def test_rows_are_drawn_until_the_crossing_is_known() -> None:
    coarse, fine = find(resolution=0.5), find(resolution=0.1)
    assert coarse.rows < fine.rows < N
    for run, octaves in ((coarse, 0.5), (fine, 0.1)):
        assert np.log2(run.high[0] / run.low[0]) <= octaves
        assert run.low[0] <= TRUTH <= run.high[0]


def test_time_and_the_number_of_rows_end_it_too() -> None:
    assert find(resolution=1e-9, most=1500).rows == 1024
    assert find(resolution=1e-9, most=10).rows == 256  # the first look is always taken
    assert find(resolution=1e-9, until=monotonic()).rows == 256
    assert find(resolution=1e-9, population=1000).rows == 512


@pytest.mark.parametrize("by", [1e-6, 1e6])
def test_the_scale_may_be_far_off(by) -> None:
    near, far = find(), find(scale=by * TRUTH)
    np.testing.assert_allclose(far.low, near.low, rtol=0.02)
    np.testing.assert_allclose(far.high, near.high, rtol=0.02)


def test_what_is_not_known_of_the_values_widens_the_interval() -> None:
    sure, unsure = find(), find(count=lambda rows: steps(rows, 1.2))
    assert unsure.low[0] == pytest.approx(sure.low[0] / 1.2, rel=0.05)
    assert unsure.high[0] == pytest.approx(1.2 * sure.high[0], rel=0.05)


def test_a_mean_that_never_passes_is_left_open() -> None:
    def nothing(rows: torch.Tensor) -> Values:
        return lambda sigmas: (np.zeros((1, len(rows), sigmas.shape[1])),) * 2

    run = find(count=nothing, resolution=0.1, until=monotonic())
    assert (run.low[0], run.high[0]) == (0, np.inf)
