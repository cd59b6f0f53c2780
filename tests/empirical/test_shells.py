"""Simulated squared radii against the chi-square distributions, central and not."""

import numpy as np
import pytest
from scipy.stats import chi2, kstest, ncx2

from wildmiddle.empirical.shells import squared_radii

SEED = 20260311


@pytest.mark.parametrize("d", [1, 7, 300])
@pytest.mark.parametrize("offset", [0.0, 1.5, 20.0])
def test_squared_radii_follow_the_chi_square_law(d, offset, expect_law) -> None:
    expected = ncx2(d, offset**2) if offset else chi2(d)
    squared = squared_radii(d, offset, queries=10_000, seed=SEED)
    expect_law(squared, expected.cdf, seed=SEED, what=f"squared radii, d = {d}, offset {offset}")


def test_a_law_of_one_more_degree_is_refuted() -> None:
    squared = squared_radii(30, 0.0, queries=10_000, seed=SEED)
    assert kstest(squared, chi2(31).cdf).pvalue < 1e-6


def test_queries_continue_and_streams_differ() -> None:
    many = squared_radii(5, 2.0, queries=600, seed=SEED)
    for n in (1, 255, 256, 300):
        np.testing.assert_array_equal(squared_radii(5, 2.0, queries=n, seed=SEED), many[:n])
    assert not np.isin(squared_radii(5, 2.0, queries=600, seed=SEED, stream="b"), many).any()
    assert not np.isin(squared_radii(5, 2.0, queries=600, seed=SEED + 1), many).any()
