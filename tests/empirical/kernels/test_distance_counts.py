"""Counts of distances against the sums of theory over all of them."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from wildmiddle.empirical.kernels.distance_counts import DistanceCounts
from wildmiddle.theory.posterior import decoding_error
from wildmiddle.theory.regimes import posterior_entropy

ROWS = np.array([3, 0, 41, 17, 55])
SIGMAS = np.stack([np.geomspace(0.01, 30, 25), np.geomspace(0.1, 300, 25)])
COPIES = {
    "none": np.ones(60, np.int64),
    "few": np.where(np.arange(60) % 7, 1, 2),
    "many": np.random.default_rng(1).integers(1, 40, 60),
}


def points(apart: float) -> np.ndarray:
    """Sixty points, of which two are so far apart."""
    found = np.random.default_rng(0).standard_normal((60, 6))
    found[5] = found[3] + apart / np.sqrt(6)
    return found


def counted(points: np.ndarray, copies: np.ndarray) -> DistanceCounts:
    """Of the five rows, in four parts."""
    squared = torch.as_tensor(cdist(points[ROWS], points) ** 2)
    squared[torch.arange(len(ROWS)), torch.as_tensor(ROWS)] = torch.inf
    counts = DistanceCounts(len(ROWS), float(cdist(points, points).max()), copies, squared.device)
    for rows in (slice(0, 2), slice(2, 5)):
        for columns in (slice(0, 25), slice(25, 60)):
            counts.add(rows, columns, squared[rows, columns].clone(), threads=2)
    counts.combine()
    return counts


@pytest.mark.parametrize("apart", [1.0, 1e-6])
@pytest.mark.parametrize("kind", COPIES)
def test_the_terms_of_every_row_lie_between(kind, apart) -> None:
    where, copies = points(apart), COPIES[kind]
    low, high = counted(where, copies).terms(copies[ROWS], SIGMAS)
    for r, row in enumerate(ROWS):
        others = np.arange(60) != row
        distances = cdist(where[[row]], where)[:, others]
        ratios = np.log(copies / copies[row])[None, others]
        error = [decoding_error(distances, sigma, ratios)[0] for sigma in SIGMAS[0]]
        entropy = [posterior_entropy(distances, sigma, ratios)[0] for sigma in SIGMAS[1]]
        exact = np.array([error, entropy])
        assert (low[:, r] <= exact + 1e-12).all()
        assert (exact <= high[:, r] + 1e-12).all()
    if kind != "many":  # whose numbers of copies share powers of two
        assert (high - low).max() < 0.02


def test_a_point_of_few_copies_is_mistaken_most_at_some_distance() -> None:
    # Up to r = sigma sqrt(2 log 5) the error at a row of five copies rises with the distance.
    counts = DistanceCounts(1, 9.0, np.array([5, 1]), torch.device("cpu"))
    counts.add(slice(0, 1), slice(0, 2), torch.tensor([[torch.inf, 9.0]]), threads=1)
    counts.combine()
    sigmas = np.tile(np.geomspace(1, 10, 50), (2, 1))
    low, high = (end[0, 0] for end in counts.terms(np.array([5]), sigmas))
    exact = decoding_error(np.full((50, 1), 3.0), sigmas[0], -np.log(5))
    assert (low < exact).all()
    assert (exact < high).all()
