"""Crossings of means from drawn rows: how often they miss, when they stop, what they leave open."""

from time import monotonic

import numpy as np
import pytest
import torch
from scipy.stats import binom

from wildmiddle.empirical.sampled_means import Passing, passing

N = 20_000
THRESHOLDS = np.exp(np.random.default_rng(0).uniform(-1, 1, N))
"""Every row's value passes from 0 to 1 here: the mean passes 1/4 at their first quartile."""
TRUTH = np.quantile(THRESHOLDS, 0.25)


def steps(rows: torch.Tensor, sigmas: np.ndarray) -> np.ndarray:
    return (sigmas[:, None, :] > THRESHOLDS[rows.numpy()][None, :, None]).astype(np.float64)


def find(guess: float = np.log(TRUTH), population: int = N, **options) -> Passing:
    rest = {"alpha": 0.05, "resolution": 10.0, "until": np.inf, "seed": 0, "stream": "test"}
    surplus = [lambda mean: mean - 0.25]
    return passing(steps, surplus, np.array([guess]), population, **(rest | options))


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
        assert run.low[0] < run.sigma[0] < run.high[0]
        assert run.low[0] <= TRUTH <= run.high[0]


def test_time_and_the_number_of_rows_end_it_too() -> None:
    assert find(resolution=1e-9, until=monotonic()).rows == 256
    assert find(resolution=1e-9, population=1000).rows == 512


@pytest.mark.parametrize("off", [-1.5, 1.5])
def test_a_poor_guess_finds_the_same_crossing(off) -> None:
    near, far = find(), find(guess=np.log(TRUTH) + off)
    np.testing.assert_allclose(far.low, near.low, rtol=0.02)
    np.testing.assert_allclose(far.high, near.high, rtol=0.02)


def test_a_mean_that_never_passes_is_left_open() -> None:
    run = passing(
        lambda rows, sigmas: np.zeros((1, len(rows), sigmas.shape[1])),
        [lambda mean: mean - 0.25],
        np.zeros(1),
        N,
        alpha=0.05,
        resolution=0.1,
        until=monotonic(),
        seed=0,
        stream="test",
    )
    assert (run.low[0], run.high[0]) == (0, np.inf)
