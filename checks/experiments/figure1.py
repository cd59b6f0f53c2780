"""Figure 1: the error of the denoisers on training and held-out images, over sigma."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.report.drawing import (
    add_legend,
    label_log_axis,
    set_sigma_axis,
    sigma_limits,
)
from wildmiddle.checks.statistics import from_estimate
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.models.one_step import denoising_error

RECORDS = 4
"""Comparisons, of two intervals each."""
AGREE = 1.1
"""How far the errors of the three may lie apart, as a ratio, to agree at the largest sigma."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Measure the mean squared errors; a verdict on the two ends of the schedule."""
    denoisers = study.denoisers | {"Gaussian": study.gaussian}
    images = {"train": study.few, "test": study.fresh}
    found: dict[tuple[str, str], Estimate] = {
        (name, part): denoising_error(
            denoiser,
            pool.to(study.torch_device),
            study.sigmas,
            study.scale.outputs,
            study.settings.seed,
            alpha=alpha / max(len(study.sigmas), 2 * RECORDS),
        )
        for name, denoiser in denoisers.items()
        for part, pool in images.items()
    }
    rows: list[TableRow] = [
        (name, part, float(sigma), *(float(end[k]) for end in (e.mean, e.low, e.high)))
        for (name, part), e in found.items()
        for k, sigma in enumerate(study.sigmas)
    ]

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, 2, sharey=True)
        for axes, part in zip(panels, images, strict=True):
            for name in denoisers:
                axes.plot(study.sigmas, found[name, part].mean, label=name)
            set_sigma_axis(axes, *sigma_limits(study.sigmas))
            axes.set_title(f"{part} images")
        panels[0].set_yscale("log")
        panels[0].set_ylim(bottom=1e-5)  # the optimum's error on its own images goes to 0
        label_log_axis(panels[0], "y")
        panels[0].set_ylabel("squared error, sum over pixels")
        add_legend(figure, columns=4)

    return ExperimentResult(
        "figure1",
        "the three denoisers agree at large noise, the two trained ones at small noise too, where "
        "the optimum of the training images fails on held-out ones.",
        tuple(_ends(study, found)),
        ("denoiser", "images", "sigma", "error", "low", "high"),
        tuple(rows),
        draw,
    )


def _ends(study: TrainedStudy, found: dict[tuple[str, str], Estimate]) -> list[Record]:
    largest, smallest = 0, len(study.sigmas) - 1
    cases = [
        (name, "generalizing", largest, "<=", AGREE)
        for name in ("memorizing", "empirical optimum", "Gaussian")
    ]
    cases.append(("empirical optimum", "memorizing", smallest, ">=", AGREE))
    records = []
    for above, below, k, relation, bound in cases:
        a, b = found[above, "test"], found[below, "test"]
        ratio = Estimate(
            a.mean[k] / b.mean[k],
            np.maximum(a.low[k], 0) / b.high[k],
            a.high[k] / max(float(b.low[k]), np.finfo(float).tiny),
            a.n,
            a.alpha + b.alpha,
            f"quotient of intervals, {a.method}",
        )
        comparison = Comparison(
            claim="figure1",
            instance=f"sigma = {study.sigmas[k]:.3g}, held-out images",
            quantity=f"error of the {above} over that of the {below} denoiser",
            relation="<=" if relation == "<=" else ">=",
            bound=bound,
            margin=0.05,
        )
        records.append(from_estimate(comparison, ratio, study.settings.seed))
    return records
