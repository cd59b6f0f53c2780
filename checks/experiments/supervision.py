"""Whether a model was trained where its own samples go, and what it answers there.

Beyond the paper, whose coverage is of held-out images. A state of a sample on its way down is
supervised where it lies in the shell of a training image. After Song et al. 2025, who find that a
trained model is close to the empirical optimum where it is supervised, and not elsewhere.
"""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.boundaries import PLACES, places
from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.seeds import Claims, SeedResult, between, judge
from wildmiddle.checks.experiments.table1 import COLOURS
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.experiments.trajectories import (
    held_out_in_shell,
    in_shell,
    record_trajectories,
)
from wildmiddle.checks.report.drawing import (
    DASHED,
    DOTTED,
    MUTED,
    add_legend,
    set_sigma_axis,
    sigma_limits,
)
from wildmiddle.empirical.intervals import Estimate, proportion, student_mean

Array = NDArray[np.float64]

MORE, CLOSE, OCTAVES = 0.5, 0.2, 1.0
"""The three bounds: of the share beyond the coverage, of its difference from it, and of the error
where nothing was trained over that where something was."""

INTERVALS = 7
"""Of a noise level: the coverage, and of both models the supervised states and the errors at them
and elsewhere."""

METHOD = "Clopper-Pearson; Student for errors"

PAPER = "nothing of this: it looks at held-out images alone."

HEADER = (
    "denoiser",
    "sigma",
    "supervised",
    "samples",
    "coverage",
    "low",
    "high",
    "error where supervised",
    "low there",
    "high there",
    "error elsewhere",
    "low elsewhere",
    "high elsewhere",
)


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Count supervised states and take errors along both models' sampling, for one seed."""
    sigmas = study.sigmas
    share = alpha / (INTERVALS * len(sigmas))
    draws = held_out_in_shell(study)
    covered = proportion(draws.sum(0), len(draws), share)
    rows: list[TableRow] = []
    shares: dict[str, Estimate] = {}
    for name, denoiser in (
        ("memorizing", study.memorizing),
        ("generalizing", study.generalizing),
    ):
        states, outputs = record_trajectories(study, denoiser)
        inside = np.stack([in_shell(study, *at) for at in zip(states, sigmas, strict=True)])
        shares[name] = proportion(inside.sum(1), inside.shape[1], share)
        for k, sigma in enumerate(sigmas):
            errors = _errors(study, states[k], outputs[k], float(sigma))
            rows.append(
                (
                    name,
                    float(sigma),
                    int(inside[k].sum()),
                    inside.shape[1],
                    *(float(end[k]) for end in (covered.mean, covered.low, covered.high)),
                    *_mean(errors[inside[k]], share),
                    *_mean(errors[~inside[k]], share),
                )
            )

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(sigmas, covered.mean, color=MUTED, linestyle=DOTTED, label="held-out images")
        for name, found in shares.items():
            above.fill_between(sigmas, found.low, found.high, color=COLOURS[name], alpha=0.12)
            above.plot(sigmas, found.mean, "o-", color=COLOURS[name], label=name)
            own = [row for row in rows if row[0] == name]
            for column, line in ((7, "-"), (10, DASHED)):
                errors = [float(row[column]) for row in own]
                below.plot(sigmas, errors, color=COLOURS[name], linestyle=line)
        above.set(ylabel="supervised states", ylim=(-0.02, 1.02))
        below.set(ylabel="squared distance from\nthe empirical optimum", yscale="log")
        below.set_title("whole line: supervised states; broken: the others", fontsize="small")
        set_sigma_axis(below, *sigma_limits(sigmas))
        add_legend(figure)

    return ExperimentResult(
        "supervision",
        PAPER,
        (),
        HEADER,
        tuple(rows),
        draw,
        height=5.6,
        tables={"places": (PLACES, tuple(places(study)))},
    )


def _errors(
    study: TrainedStudy, states: torch.Tensor, outputs: torch.Tensor, sigma: float
) -> Array:
    # Squared distance of the outputs (n, C, H, W) from the empirical optimum's, (n,).
    with torch.no_grad():
        optimum = study.optimum(states.to(study.torch_device), sigma).cpu()
    squared: Array = (outputs - optimum).double().square().flatten(1).sum(1).numpy()
    return squared


def _mean(errors: Array, alpha: float) -> tuple[float, float, float]:
    if not len(errors):
        return np.nan, -np.inf, np.inf
    found = student_mean(errors, alpha)
    return float(found.mean), float(found.low), float(found.high)


def combine(found: Mapping[int, SeedResult], alpha: float) -> ExperimentResult:
    """Whether the memorizing model is supervised where held-out images are not, over the seeds."""
    measured = {seed: measure(one, alpha) for seed, one in found.items()}
    return judge("supervision", PAPER, measured, _CLAIMS, alpha)


BEYOND = "supervised states beyond the coverage, an octave below 10% coverage"
AWAY = "largest difference of supervised states from the coverage"
WORSE = "octaves of the error at states that are not supervised over that at those that are"

_CLAIMS: Claims = (
    ("memorizing", BEYOND, ">=", MORE),
    ("generalizing", AWAY, "<=", CLOSE),
    ("memorizing", WORSE, ">=", OCTAVES),
)


def measure(one: SeedResult, alpha: float) -> dict[str, Estimate]:
    """The quantities of one seed by model and name."""
    places = {row["place"]: float(row["sigma"]) for row in one.tables["supervision-places"]}
    found: dict[str, Estimate] = {}
    for name in COLOURS:
        rows = [row for row in one.rows if row["denoiser"] == name]
        table = {
            column: np.array([float(row[column]) for row in rows])
            for column in HEADER
            if column != "denoiser"
        }
        n = int(rows[0]["samples"])
        share = proportion(table["supervised"].astype(int), n, alpha / (INTERVALS * len(rows)))
        gap = share.mean - table["coverage"]
        low, high = share.low - table["high"], share.high - table["low"]
        k = int(np.abs(np.log(table["sigma"] / (places["coverage 10%"] / 2))).argmin())
        found[f"{name}: {BEYOND}"] = between(gap[k], low[k], high[k], METHOD, n)
        found[f"{name}: {AWAY}"] = between(
            np.abs(gap).max(),
            np.maximum(np.maximum(low, -high), 0).max(),
            np.maximum(np.abs(low), np.abs(high)).max(),
            METHOD,
            n,
        )
        half = int(np.abs(share.mean - 0.5).argmin())
        inside, outside = (
            np.array([max(float(table[column][half]), 0.0) for column in columns])
            for columns in (HEADER[7:10], HEADER[10:13])
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio, low_ratio, high_ratio = np.log2(outside / inside[[0, 2, 1]])
        found[f"{name}: {WORSE}"] = between(ratio, low_ratio, high_ratio, METHOD, n)
    return found
