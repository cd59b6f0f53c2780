"""Beyond the paper: how often a denoiser's own trajectories are in a shell and copy, over sigma.

The paper's coverage is about held-out images. The trajectory of a sample that becomes a copy comes
close to a training image, so it may lie in a shell at noise levels where held-out images do not.
"""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.samples import is_copy
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.report.drawing import (
    COVERAGE,
    DOTTED,
    MUTED,
    WEIGHT,
    add_legend,
    draw_curve,
    set_sigma_axis,
    set_unit_axis,
    sigma_limits,
)
from wildmiddle.empirical.coverage import coverage_draws, distances
from wildmiddle.empirical.intervals import Estimate, proportion
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.models.sampling import sample
from wildmiddle.theory.shells import radii

STREAM = "supervision/coverage"
"""Name of the noise stream of the held-out images."""

COUNTED = ("in a shell", "copied in one step", "final image chosen")
"""What is counted among the samples at each noise level."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Count at each step of both models' own sampling; no verdict."""
    n, sigmas, covered = study.scale.samples, study.sigmas, held_out_in_shell(study)
    found: dict[tuple[str, str], Estimate] = {}
    rows: list[TableRow] = []
    for name, denoiser in (
        ("memorizing", study.memorizing),
        ("generalizing", study.generalizing),
    ):
        states, outputs = record_trajectories(study, denoiser)
        matches = [study.compare(each) for each in outputs]
        final = matches[-1].nearest
        counts = {
            COUNTED[0]: [
                in_shell(study, *level).sum() for level in zip(states, sigmas, strict=True)
            ],
            COUNTED[1]: [is_copy(each).sum() for each in matches],
            COUNTED[2]: [(each.nearest == final).sum() for each in matches],
        }
        for what, count in counts.items():
            share = alpha / (2 * len(COUNTED) * len(sigmas))
            band = found[name, what] = proportion(np.array(count), n, share)
            rows += [
                (
                    name,
                    what,
                    float(sigma),
                    int(count[k]),
                    n,
                    float(band.low[k]),
                    float(band.high[k]),
                )
                for k, sigma in enumerate(sigmas)
            ]

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, len(COUNTED), sharey=True)
        panels[0].plot(
            sigmas, covered.mean(0), color=MUTED, linestyle=DOTTED, label="held-out images"
        )
        for (name, what), band in found.items():
            axes = panels[COUNTED.index(what)]
            colour = WEIGHT if name == "memorizing" else COVERAGE
            draw_curve(axes, sigmas, band, colour, "o", name)
        for axes, what in zip(panels, COUNTED, strict=True):
            set_sigma_axis(axes, *sigma_limits(sigmas))
            set_unit_axis(axes, "")
            axes.set_title(what)
        panels[0].set_ylabel("share of the samples")
        add_legend(figure)

    return ExperimentResult(
        "trajectories",
        "nothing of this: it looks at held-out images alone.",
        (),
        ("denoiser", "counted", "sigma", "count", "samples", "low", "high"),
        tuple(rows),
        draw,
        height=3.4,
    )


def record_trajectories(
    study: TrainedStudy, denoiser: Denoiser
) -> tuple[torch.Tensor, torch.Tensor]:
    """States and outputs of a denoiser at each noise level of its own trajectories.

    States ``x`` and outputs ``D(x, sigma)``, (K, samples, C, H, W) each, at ``study.sigmas``:
    where a step of the sampler starts.
    """
    batch = 64
    met: list[tuple[torch.Tensor, torch.Tensor]] = []
    for first in range(0, study.scale.samples, batch):
        numbers = range(first, min(first + batch, study.scale.samples))
        last: dict[float, tuple[torch.Tensor, torch.Tensor]] = {}

        def record(
            x: torch.Tensor,
            sigma: torch.Tensor | float,
            last: dict[float, tuple[torch.Tensor, torch.Tensor]] = last,
        ) -> torch.Tensor:
            # Heun's method looks ahead to each level first, then starts from it: the second stays.
            output = denoiser(x, sigma)
            last[float(sigma)] = x.cpu(), output.cpu()
            return output

        sample(
            record,
            tuple(study.few.shape[1:]),
            numbers,
            sigmas=study.sigmas,
            method=study.scale.method,
            seed=study.settings.seed,
            batch_size=batch,
            device=study.settings.device,
        )
        pairs = [last[sigma] for sigma in study.sigmas.tolist()]
        met.append(
            (
                torch.stack([x[: len(numbers)] for x, _ in pairs]),
                torch.stack([output[: len(numbers)] for _, output in pairs]),
            )
        )
    states, outputs = (torch.cat(parts, 1) for parts in zip(*met, strict=True))
    return states, outputs


def in_shell(study: TrainedStudy, states: torch.Tensor, sigma: float) -> NDArray[np.bool_]:
    """Which states (n, C, H, W) lie in the shell of some training image, (n,). Source: Def 4.6."""
    r_in, r_out = radii(np.float64(study.d), study.settings.c)
    apart = distances(study.seen, states, study.settings.device) / sigma
    return np.any((apart >= r_in) & (apart <= r_out), axis=1)


def held_out_in_shell(study: TrainedStudy) -> NDArray[np.bool_]:
    """The same of held-out images that are drawn and noised anew, at each step, (queries, K)."""
    at = study.settings
    return coverage_draws(
        study.seen.flatten(1).numpy(),
        study.test,
        study.sigmas,
        c=at.c,
        queries=at.samples,
        seed=at.seed,
        device=at.device,
        stream=STREAM,
        memory=at.memory,
    )
