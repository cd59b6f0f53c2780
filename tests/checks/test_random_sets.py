"""Theorem 4.8 over random sets: what the mean overlap says is held to shells that are drawn."""

import numpy as np
import pytest

from wildmiddle.checks.random_sets import LEVELS, over_random_sets
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.theory import coverage


def records_of(overlap_probability):
    rng = np.random.default_rng(20261130)
    images = rng.uniform(-1, 1, (90, 12))
    study = Study(images[:60], images[60:], Settings(seed=3, samples=20_000, device="cpu"))
    return list(
        over_random_sets(
            study,
            1e-6,
            overlap_probability=overlap_probability,
            upper_bound=coverage.upper_bound,
            expected_coverage=coverage.expected_coverage,
            second_order_upper=coverage.second_order_upper,
            dawson_sankoff_lower=coverage.dawson_sankoff_lower,
        )
    )


@pytest.mark.parametrize(("nearer", "verdict"), [(1, "holds"), (0.5, "violated"), (2, "violated")])
def test_the_mean_overlap_of_all_pairs_is_that_of_noised_points(nearer, verdict):
    found = records_of(lambda r, *others: coverage.overlap_probability(nearer * r, *others))
    pairs = [record for record in found if record.instance.startswith("all pairs")]
    assert [record.verdict for record in pairs] == [verdict] * len(LEVELS)
