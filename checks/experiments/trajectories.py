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

from checks.experiments.outcome import Outcome, Row
from checks.experiments.samples import along, copied
from checks.experiments.setting import Setting
from empirical.coverage import distances
from empirical.intervals import Estimate, proportion
from empirical.neighbours import memorization
from theory.shells import radii

WHAT = ("in a shell", "copied in one step", "final image chosen")
"""Counted of the samples at each noise level."""


def run(setting: Setting, alpha: float) -> Outcome:
    """Count, at each step of both models' own sampling; no verdict."""
    n, sigmas = setting.scale.samples, setting.sigmas
    found: dict[tuple[str, str], Estimate] = {}
    rows: list[Row] = []
    for name, denoiser in (
        ("memorizing", setting.memorizing),
        ("generalizing", setting.generalizing),
    ):
        states, outputs = along(setting, denoiser)
        looked = [memorization(each, setting.few, device=setting.device) for each in outputs]
        final = looked[-1].nearest
        counts = {
            WHAT[0]: [covered(setting, *level).sum() for level in zip(states, sigmas, strict=True)],
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
        held_out = setting.curves
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


def covered(setting: Setting, states: torch.Tensor, sigma: float) -> NDArray[np.bool_]:
    """Which states (n, C, H, W) lie in the shell of some training image, (n,). Source: Def 4.6."""
    r_in, r_out = radii(states[0].numel(), 5.0)
    apart = distances(setting.few, states, setting.device) / sigma
    return np.any((apart >= r_in) & (apart <= r_out), axis=1)
