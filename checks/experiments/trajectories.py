"""Beyond the paper: what a model meets along its own trajectories, and when it has chosen.

The regimes speak of held-out images. A model that copies comes close to a training image long
before the end, and there training did supervise it, at noises where held-out images are far from
every shell.
"""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.outcome import Outcome, Row
from wildmiddle.checks.experiments.samples import copied
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.empirical.coverage import distances
from wildmiddle.empirical.intervals import Estimate, proportion
from wildmiddle.empirical.neighbours import memorization
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.models.sampling import sample
from wildmiddle.theory.shells import radii

WHAT = ("in a shell", "copied in one step", "final image chosen")
"""Counted of the samples at each noise level."""


def run(study: TrainedStudy, alpha: float) -> Outcome:
    """Count, at each step of both models' own sampling; no verdict."""
    n, sigmas = study.scale.samples, study.sigmas
    found: dict[tuple[str, str], Estimate] = {}
    rows: list[Row] = []
    for name, denoiser in (
        ("memorizing", study.memorizing),
        ("generalizing", study.generalizing),
    ):
        states, outputs = along(study, denoiser)
        looked = [memorization(each, study.few, device=study.settings.device) for each in outputs]
        final = looked[-1].nearest
        counts = {
            WHAT[0]: [covered(study, *level).sum() for level in zip(states, sigmas, strict=True)],
            WHAT[1]: [copied(each).sum() for each in looked],
            WHAT[2]: [(each.nearest == final).sum() for each in looked],
        }
        for what, count in counts.items():
            share = alpha / (2 * len(WHAT) * len(sigmas))
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
        panels: Any = figure.subplots(1, len(WHAT), sharey=True)
        held_out = study.curves
        panels[0].plot(
            held_out.sigmas, held_out.coverage.mean, ":", color="0.4", label="held-out images"
        )
        for (name, what), band in found.items():
            axes = panels[WHAT.index(what)]
            line = axes.plot(sigmas, band.mean, "o-", markersize=3, label=name)[0]
            axes.fill_between(
                sigmas, band.low, band.high, color=line.get_color(), alpha=0.15, linewidth=0
            )
            axes.set(xscale="log", xlabel="σ", title=what, ylim=(-0.02, 1.02))
        panels[0].set_ylabel("share of the samples")
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=3,
            frameon=False,
        )

    return Outcome(
        "trajectories",
        "nothing of this: it looks at held-out images alone.",
        (),
        ("denoiser", "counted", "sigma", "count", "samples", "low", "high"),
        tuple(rows),
        draw,
        (10, 4),
    )


def along(study: TrainedStudy, denoiser: Denoiser) -> tuple[torch.Tensor, torch.Tensor]:
    """What a denoiser meets and answers at each level of its own trajectories.

    States ``x`` and outputs ``D(x, sigma)``, (K, samples, C, H, W) each, at ``study.sigmas``:
    where a step of the sampler starts.
    """
    batch = 64
    met: list[tuple[torch.Tensor, torch.Tensor]] = []
    for first in range(0, study.scale.samples, batch):
        numbers = range(first, min(first + batch, study.scale.samples))
        last: dict[float, tuple[torch.Tensor, torch.Tensor]] = {}

        def noted(
            x: torch.Tensor,
            sigma: torch.Tensor | float,
            last: dict[float, tuple[torch.Tensor, torch.Tensor]] = last,
        ) -> torch.Tensor:
            # Heun's method looks ahead to each level first, then starts from it: the second stays.
            output = denoiser(x, sigma)
            last[float(sigma)] = x.cpu(), output.cpu()
            return output

        sample(
            noted,
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


def covered(study: TrainedStudy, states: torch.Tensor, sigma: float) -> NDArray[np.bool_]:
    """Which states (n, C, H, W) lie in the shell of some training image, (n,). Source: Def 4.6."""
    r_in, r_out = radii(states[0].numel(), 5.0)
    apart = distances(study.few, states, study.settings.device) / sigma
    return np.any((apart >= r_in) & (apart <= r_out), axis=1)
