"""Remark 4.3: the noise levels that certify a low and a high posterior weight, on average.

Theorem 4.2 is about one training point; the remark averages its two levels over 20 random ones. The
averages over all points, and how much those of 20 differ from draw to draw, stand beside them, with
the sharper levels that use all distances, and the noise level at which the measured weight is w.
"""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.report.drawing import (
    DANGER,
    DASHED,
    WEIGHT,
    add_legend,
    draw_curve,
    set_sigma_axis,
    set_unit_axis,
    sigma_limits,
)
from wildmiddle.empirical.intervals import bounded_mean
from wildmiddle.empirical.neighbours import distances_to_others
from wildmiddle.empirical.noise import generator
from wildmiddle.empirical.posterior import weights
from wildmiddle.empirical.regimes import crossing
from wildmiddle.theory import posterior

Array = NDArray[np.float64]

IMAGES = 1000
"""Training images, as many as the remark's; fewer where there are fewer."""
POINTS = 20
"""Points of an average."""
LOW, HIGH = 0.05, 0.95
"""Weights that are certified; the paper's text has the second."""
DRAWS = 1000
"""Draws of 20 points, for their standard deviation."""
QUERIES = 2000
"""Noised points of the measured weight."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Average both levels over 20 random points and over all; no verdict: 4.2 is in ``verify``."""
    images = study.different[:IMAGES]
    n, at = len(images), study.settings
    apart = np.concatenate(list(distances_to_others(images, at.device, at.memory)))
    nearest, farthest = apart.min(1), apart.max(1)
    found = {
        ("sigma_plus", LOW): posterior.sigma_plus(farthest, n, LOW, at.delta),
        ("sigma_plus, all distances", LOW): posterior.sigma_plus_from_distances(
            apart, LOW, at.delta
        ),
        ("sigma_minus", HIGH): posterior.sigma_minus(nearest, n, HIGH, at.delta),
        ("sigma_minus, all distances", HIGH): posterior.sigma_minus_from_distances(
            apart, HIGH, at.delta
        ),
    }
    sigmas = study.curves.sigmas
    draws, _ = weights(
        images, sigmas, queries=QUERIES, seed=at.seed, device=at.device, stream="remark4.3"
    )
    weight = bounded_mean(draws, alpha / len(sigmas))
    rows: list[TableRow] = []
    for (name, w), levels in found.items():
        of_twenty = _averages(levels, at.seed)
        where = crossing(sigmas, weight, w, rising=False)
        spread = float(of_twenty.std(ddof=1))
        measured = where.sigma, where.low, where.high
        rows.append((name, w, float(of_twenty[0]), spread, float(levels.mean()), *measured))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        draw_curve(axes, sigmas, weight, WEIGHT, "o", "mean largest weight, measured")
        labels = {"-": "averages of Theorem 4.2, low and high w", DASHED: "by all distances"}
        for row in rows:
            style = DASHED if "all distances" in str(row[0]) else "-"
            at, w = float(row[4]), float(row[1])
            label = labels.pop(style, None)
            axes.axvline(at, color=DANGER, linestyle=style, linewidth=1, label=label)
            axes.plot(at, w, "D", color=DANGER, markersize=4)
        set_sigma_axis(axes, *sigma_limits(sigmas))
        set_unit_axis(axes, "posterior weight")
        add_legend(figure, columns=3)

    return ExperimentResult(
        "remark4.3",
        "for 1,000 images of CIFAR-10 the average sigma_minus at w = 0.95, over 20 points, is "
        "close to where the measured weight is 0.95.",
        (),
        (
            "level",
            "w",
            f"average of {POINTS} points",
            "standard deviation over draws",
            f"average of all {n}",
            "sigma where the mean weight is w",
            "low",
            "high",
        ),
        tuple(rows),
        draw,
        height=3.6,
    )


def _averages(levels: Array, seed: int) -> Array:
    # Averages over draws of POINTS points without replacement, the remark's own first.
    chosen = generator(seed, "remark4.3/points")
    count = min(POINTS, len(levels))
    return np.array(
        [levels[chosen.choice(len(levels), count, replace=False)].mean() for _ in range(DRAWS)]
    )
