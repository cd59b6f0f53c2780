"""The threshold sweep and the CSV of samples."""

import csv

import numpy as np
import pytest
from scipy.stats import binomtest

from wildmiddle.empirical.neighbours import memorization
from wildmiddle.models.trajectory import COLUMNS, rate_by_threshold, write_samples

TRAIN = np.array([[0.0], [1.0], [4.0]])
SAMPLES = np.array([[0.0], [0.2], [0.3], [3.0], [0.5]])


def test_sweep_counts_ratios_below_each_threshold() -> None:
    ratio = memorization(SAMPLES, TRAIN).ratio  # 0, 1/4, 3/7, 1/2, 1
    at = [0.1, 0.25, 1 / 3, 0.45, 0.6, 1.0]
    found = rate_by_threshold(ratio, at, alpha=0.01)
    np.testing.assert_allclose(found.mean, np.array([1, 1, 2, 3, 4, 4]) / 5)
    for mean, low, high in zip(found.mean, found.low, found.high, strict=True):
        interval = binomtest(round(5 * mean), 5).proportion_ci(0.99, method="exact")
        assert (low, high) == pytest.approx((interval.low, interval.high))
    third = memorization(SAMPLES, TRAIN)
    assert found.mean[2] == third.rate


@pytest.mark.parametrize("bad", [0.0, 1.1])
def test_a_threshold_outside_is_named(bad) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        rate_by_threshold([0.5], [bad])


def test_csv_holds_every_sample_to_the_last_bit(tmp_path) -> None:
    found = memorization(SAMPLES, TRAIN)
    path = tmp_path / "samples.csv"
    write_samples(path, {"one": found, "other": found}, train_indices=[7, 5, 3])
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row[0] for row in rows[1:]] == ["one"] * 5 + ["other"] * 5
    assert [row[1:] for row in rows[6:]] == [row[1:] for row in rows[1:6]]
    numbers = np.array([row[1:] for row in rows[1:6]], np.float64)
    np.testing.assert_array_equal(numbers[:, 0], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(numbers[:4, 1], [7, 7, 7, 3])
    np.testing.assert_array_equal(numbers[:, 2], np.abs(SAMPLES[:, 0] - [0, 0, 0, 4, 0]))
    np.testing.assert_array_equal(numbers[:, 3], np.abs(SAMPLES[:, 0] - [1, 1, 1, 1, 1]))
    np.testing.assert_array_equal(numbers[:, 4], found.ratio)
    np.testing.assert_array_equal(numbers[:, 5], [1, 1, 0, 0, 0])
