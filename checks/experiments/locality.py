"""Section 4.2.1's hypothesis: the less noise, the fewer pixels an output pixel depends on.

The share of the squared sensitivity that comes from within r rows and columns, for both trained
denoisers and two Gaussian ones: of the images' own covariance, and of the nearest stationary one,
to which Theorem 4.10 applies. That theorem's bound on the torus stands beside the sensitivities of
the last. EDM's skip connection alone makes an output local at the smallest noise, so the verdict is
on the two ends of medium noise.
"""

from operator import itemgetter
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.experiments.weight_and_coverage import difference, reduce_band
from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.report.drawing import (
    DASHED,
    add_legend,
    label_log_axis,
    set_sigma_axis,
    set_unit_axis,
    sigma_limits,
)
from wildmiddle.checks.statistics import from_estimate
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.models.denoisers import Denoiser, GaussianDenoiser
from wildmiddle.models.receptive_field import receptive_field, sensitivity_by_offset
from wildmiddle.theory import locality

Array = NDArray[np.float64]

REACH = 1
"""Rows and columns around a pixel whose share the verdict is on: a window of 3 x 3."""
STATIONARY = "Gaussian, stationary"


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Measure the receptive fields; a verdict on both trained denoisers."""
    sigmas, images = study.sigmas, study.fresh.to(study.torch_device)
    denoisers: dict[str, Denoiser] = {
        "memorizing": study.memorizing,
        "generalizing": study.generalizing,
        "Gaussian": study.gaussian,
        STATIONARY: stationary_denoiser(study),
    }
    share = alpha / (2 * len(sigmas))
    settings = (study.scale.outputs, study.settings.seed)
    found = {
        name: receptive_field(one, images, sigmas, *settings, alpha=share)
        for name, one in denoisers.items()
    }
    decay = {
        name: by_ring(sensitivity_by_offset(one, images, sigmas, *settings))
        for name, one in denoisers.items()
    }
    decay["Theorem 4.10's bound, stationary"] = by_ring(bounds(study, sigmas))
    rows: list[TableRow] = [
        (name, float(sigma), r, *(float(end[k, r]) for end in (one.mean, one.low, one.high)))
        for name, one in found.items()
        for k, sigma in enumerate(sigmas)
        for r in range(one.mean.shape[1])
    ]
    sensitivities: list[TableRow] = [
        (name, float(sigma), r, float(values[k, r]))
        for name, values in decay.items()
        for k, sigma in enumerate(sigmas)
        for r in range(1, values.shape[1])
    ]

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, 2)
        for name, one in found.items():
            panels[0].plot(sigmas, one.mean[:, REACH], "o-", markersize=3, label=name)
        set_sigma_axis(panels[0], *sigma_limits(sigmas))
        set_unit_axis(panels[0], f"squared sensitivity within {REACH} pixel")
        level = int(np.abs(np.log(sigmas / study.regime("medium").start.sigma)).argmin())
        for name, values in decay.items():
            style = DASHED if "bound" in name else "-"
            reach = np.arange(1, values.shape[1])
            panels[1].plot(reach, values[level, 1:], linestyle=style, label=name)
        panels[1].set(xlabel="rows or columns away", ylabel="mean |J|", yscale="log")
        panels[1].set_title(f"σ = {sigmas[level]:.2g}")
        label_log_axis(panels[1], "y")
        add_legend(figure, columns=3)

    return ExperimentResult(
        "locality",
        "the locality increases as the noise decreases: each output pixel depends mainly on a "
        "local patch, and trained denoisers' receptive fields shrink (a hypothesis there).",
        tuple(_records(study, found, alpha)),
        ("denoiser", "sigma", "within", "share", "low", "high"),
        tuple(rows),
        draw,
        height=4,
        tables={"decay": (("denoiser", "sigma", "away", "mean |J|"), tuple(sensitivities))},
    )


def stationary_denoiser(study: TrainedStudy) -> GaussianDenoiser:
    """The Gaussian denoiser of the doubly circulant covariance nearest to the images', by channel.

    Channels are taken as independent, each with its own covariance.
    """
    blocks = []
    for channel in study.few.double().numpy().swapaxes(0, 1):
        block = locality.torus_covariance(channel)
        height, width = block.shape
        rows, columns = (index.ravel() for index in np.indices(block.shape))
        wrapped = (rows[:, None] - rows) % height, (columns[:, None] - columns) % width
        blocks.append(torch.as_tensor(block[wrapped]))
    mean = study.few.double().flatten(1).mean(0)
    covariance = torch.block_diag(*blocks)
    return GaussianDenoiser(mean.to(study.torch_device), covariance.to(study.torch_device))


def bounds(study: TrainedStudy, sigmas: Array) -> Array:
    """Theorem 4.10's bound on the torus, the largest over channels, by offset, (K, H, W).

    Offsets beyond half a side wrap around; 1 in the place of the pixel itself, which has none.
    """
    height, width = study.few.shape[2:]
    rows, columns = (
        np.minimum(index, side - index)
        for index, side in zip(np.indices((height, width)), (height, width), strict=True)
    )
    apart = rows + columns > 0
    found = np.ones((len(sigmas), height, width))
    tables = [
        np.maximum(locality.torus_eigenvalues(locality.torus_covariance(channel)), 0)
        for channel in study.few.double().numpy().swapaxes(0, 1)
    ]
    for k, sigma in enumerate(sigmas):
        found[k, apart] = np.max(
            [
                locality.torus_sensitivity_bound(table, sigma, rows[apart], columns[apart])
                for table in tables
            ],
            axis=0,
        )
    return found


def by_ring(values: Array) -> Array:
    """Mean of values (K, H, W) over the offsets that lie r rows or columns away, (K, R)."""
    ring = np.indices(values.shape[1:]).max(0)
    return np.stack([values[:, ring == r].mean(1) for r in range(ring.max() + 1)], axis=1)


def _records(study: TrainedStudy, found: dict[str, Estimate], alpha: float) -> list[Record]:
    medium = study.regime("medium")
    at = [
        int(np.abs(np.log(study.sigmas / end)).argmin())
        for end in (medium.start.sigma, medium.end.sigma)
    ]
    records = []
    for name in ("memorizing", "generalizing"):
        start, end = (reduce_band(found[name], itemgetter((k, REACH))) for k in at)
        comparison = Comparison(
            claim="locality",
            instance=f"{name} denoiser, start of medium noise less its end",
            quantity=f"share of the squared sensitivity within {REACH} pixel",
            relation=">=",
            bound=0.0,
            margin=0.02,
            parameters={
                f"sigma at the {end}": float(study.sigmas[k])
                for end, k in zip(("start", "end"), at, strict=True)
            },
        )
        records.append(from_estimate(comparison, difference(start, end), study.settings.seed))
    return records
