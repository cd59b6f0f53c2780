"""Trajectory-level memorization: the threshold swept, and one line of a CSV for every sample."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.intervals import Estimate, proportion
from wildmiddle.empirical.neighbours import Memorization
from wildmiddle.theory.constants import COPY_RATIO

Array = NDArray[np.float64]

COLUMNS = ("condition", "sample", "nearest", "distance", "second_distance", "ratio", "memorized")


def rate_by_threshold(ratio: ArrayLike, thresholds: ArrayLike, alpha: float = 0.05) -> Estimate:
    """Share of samples with ``d_(1) / d_(2)`` below each threshold, (K,).

    ``ratio`` (S,) of :func:`wildmiddle.empirical.neighbours.memorization`. Each Clopper-Pearson
    interval misses with probability ``alpha``; for all of them at once give ``alpha / K``. Raises
    ValueError without samples or for a threshold outside (0, 1]. Source: Section 3; the paper's is
    1/3.
    """
    ratios, at = np.asarray(ratio, np.float64), np.atleast_1d(np.asarray(thresholds, np.float64))
    if not ((at > 0) & (at <= 1)).all():
        raise ValueError(f"thresholds = {at} must lie in (0, 1]")
    return proportion((ratios[:, None] < at).sum(0), len(ratios), alpha)


def write_samples(
    path: str | Path,
    found: Mapping[str, Memorization],
    train_indices: ArrayLike | None = None,
    threshold: float = COPY_RATIO,
    names: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write a CSV with a line for each sample: number, nearest image, distances, ratio, verdict.

    The file appears whole or not at all. ``found`` holds the samples of each condition, numbered
    from 0, or named by ``names`` of each condition. ``train_indices`` (N,) give the nearest image's
    place or name in the source instead of its number in train.
    Numbers are written so that reading them gives the same bits.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(COLUMNS)
            for condition, each in found.items():
                nearest = each.nearest
                if train_indices is not None:
                    nearest = np.asarray(train_indices)[nearest]
                copied = (each.ratio < threshold).astype(int)
                columns = (nearest, *each.distances.T, each.ratio, copied)
                rows = zip(*(column.tolist() for column in columns), strict=True)
                called = range(len(nearest)) if names is None else names[condition]
                lines.writerows(
                    (condition, name, *row) for name, row in zip(called, rows, strict=True)
                )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
