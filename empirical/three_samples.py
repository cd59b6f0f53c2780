"""Is a sampler nearer to its training set than held-out images are? A null for the copying test.

Held-out images pass the copying test at some rate too, and where images have near neighbours the
rate is not small. Beside that rate stands the three-sample test of Meehan, Chaudhuri and Dasgupta
2020: distances to the nearest training image, of samples against those of held-out images.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.vq import kmeans2, vq
from scipy.stats import mannwhitneyu

from wildmiddle.empirical.data.dataset import digests
from wildmiddle.empirical.intervals import Estimate, pair_mean
from wildmiddle.empirical.kernels.device import rows_of_both
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.theory.constants import DEFAULT_MEMORY

Array = NDArray[np.float64]

CELLS = 5
"""Cells of the space, by k-means on the training images; fewer where there are few samples, or
fewer training images that differ."""
FEWEST = 20
"""A cell with fewer samples or held-out images is left out: the normal limit needs as many."""


@dataclass(frozen=True)
class ThreeSamples:
    """The outcome of the test."""

    statistic: float
    """``C_T``, a mean of standard scores: well below 0 for copying, above 0 for underfitting; NaN
    where no cell holds enough."""
    cells: int
    """Cells that count."""
    closer: Estimate
    """Probability that a sample is nearer to the training set than a held-out image; half of the
    ties count. 1/2 where both have one distribution."""


def three_sample_test(
    samples: ArrayLike | torch.Tensor,
    train: ArrayLike | torch.Tensor,
    held_out: ArrayLike | torch.Tensor,
    *,
    cells: int = CELLS,
    alpha: float = 0.05,
    seed: int = 0,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
) -> ThreeSamples:
    """Compare the distances of ``samples`` and of ``held_out`` images to the training set.

    ``samples`` (S, ...), ``train`` (N, ...), ``held_out`` (M, ...). In every cell Mann and
    Whitney's U of the two groups of distances is standardised, with the correction for ties; C_T
    is the mean of the scores by the shares of held-out images. The interval of the probability is
    for samples and held-out images that are drawn independently, given the training set: by
    Chernoff's bound for two-sample U-statistics. ``seed`` is that of k-means. Raises ValueError for
    shapes that differ. Source: Meehan, Chaudhuri and Dasgupta 2020.
    """
    points, drawn = rows_of_both(train, samples, "samples", device, units=False)
    rows = [drawn, rows_of_both(train, held_out, "held_out", device)[1]]
    ours, theirs = (nearest_two(one, points, memory=memory)[0][:, 0].cpu().numpy() for one in rows)
    order = np.sort(theirs)
    nearer = sum(np.searchsorted(order, ours, side).mean() for side in ("left", "right")) / 2
    closer = pair_mean(1 - nearer / len(theirs), min(len(ours), len(theirs)), alpha)
    space = points.cpu().numpy()
    # Not so many cells that the smaller group could not fill each twice over, or one had no centre.
    most = min(len(set(digests(space))), min(len(ours), len(theirs)) // (2 * FEWEST))
    count = max(1, min(cells, most))
    centres = kmeans2(space, count, minit="++", rng=seed)[0]
    places = [vq(one.cpu().numpy(), centres)[0] for one in rows]
    scores, shares = [], []
    for cell in range(len(centres)):
        a, b = ours[places[0] == cell], theirs[places[1] == cell]
        if min(len(a), len(b)) >= FEWEST and np.ptp(np.concatenate([a, b])) > 0:
            scores.append(_score(a, b))
            shares.append(len(b))
    statistic = float(np.average(scores, weights=shares)) if scores else float("nan")
    return ThreeSamples(statistic, len(scores), closer)


def _score(a: Array, b: Array) -> float:
    # (U - E U) / sd(U), U the number of pairs in which a is the larger.
    m, n = len(a), len(b)
    u = mannwhitneyu(a, b).statistic
    _, ties = np.unique(np.concatenate([a, b]), return_counts=True)
    tied = (ties**3 - ties).sum() / ((m + n) * (m + n - 1))
    return float((u - m * n / 2) / np.sqrt(m * n / 12 * (m + n + 1 - tied)))
