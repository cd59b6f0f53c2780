"""Figure 5: DDPM training that leaves out timesteps, nine gaps around the danger zone."""

import numpy as np
from matplotlib.figure import Figure

from checks.experiments.outcome import Outcome, Row
from checks.experiments.remedies import (
    HEADER,
    Judged,
    judged,
    lowered,
    rate_record,
    timestep_gaps,
)
from checks.experiments.setting import Setting
from theory.schedules import ddpm_sigmas, ddpm_timestep

HALF = 0.5
"""A training copies, or does not, by the side of this that its rate is on."""

Gap = tuple[int, int]
NONE = (0, 0)
"""The baseline's gap."""


def run(setting: Setting, alpha: float) -> Outcome:
    """Train with each gap and judge the samples; a verdict on the widest and on the zone itself."""
    found = measure(setting)
    baseline, widest = found[NONE], next(gap for gap in found if gap != NONE)
    share = alpha / (len(found) + 1)
    records = [
        rate_record(setting, "figure5", "no gap", baseline, ">=", HALF, share, 0.7497),
        rate_record(setting, "figure5", label(widest), found[widest], "<=", HALF, share, 0.09),
    ]
    records += [
        lowered(setting, "figure5", label(gap), (baseline, one), share)
        for gap, one in found.items()
        if gap != NONE
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        at = ddpm_timestep(setting.curves.sigmas)
        axes.plot(at, setting.curves.max_weight.mean, label="posterior weight", color="0.4")
        coverage = setting.curves.coverage.mean
        axes.plot(at, coverage, "--", label="shell coverage", color="0.4")
        rate = baseline.count / setting.scale.samples
        axes.axhline(rate, color="C3", linestyle=":", label=f"no gap: {rate:.0%} memorized")
        for gap, one in found.items():
            if gap != NONE:
                height = one.count / setting.scale.samples
                axes.plot(gap, [height, height], color="C3", linewidth=3, solid_capstyle="butt")
                axes.annotate(
                    f"{height:.0%}",
                    (gap[1], height),
                    xytext=(3, -3),
                    textcoords="offset points",
                    fontsize="small",
                )
        most = max(end for _, end in found)
        axes.set(xlabel="timestep", ylabel="rate", ylim=(-0.02, 1.04), xlim=(0, 1.3 * most))
        axes.plot([], [], color="C3", linewidth=3, label="left out, at the rate it leaves")
        figure.legend(loc="outside upper center", ncols=2, frameon=False)

    return Outcome(
        "figure5",
        "of the samples of 1,024 faces 75% are copies; leaving out timesteps 100 to 350 brings "
        "9%, 100 to 275 13%, 100 to 200 43%.",
        tuple(records),
        ("first timestep", "end", "sigma from", "sigma to", *HEADER),
        tuple(lines(found, alpha)),
        draw,
        (8, 5),
        {label(gap): one.found for gap, one in found.items()},
    )


def measure(setting: Setting) -> dict[Gap, Judged]:
    """Train without a gap and with each of the nine, and judge the samples, by gap."""
    setting.extractor  # noqa: B018  (before the training, which would be in vain without it)
    found = {NONE: judged(setting, setting.memorizing)}
    for gap in timestep_gaps(setting):
        name = f"gap-{gap[0]}-{gap[1]}"
        trained = setting.trained(setting.scale.memorizing, name, gap=(gap,))
        found[gap] = judged(setting, trained)
    return found


def lines(found: dict[Gap, Judged], alpha: float) -> list[Row]:
    """A row for each gap."""
    sigmas = np.append(ddpm_sigmas(), np.inf)
    return [
        (
            *gap,
            *(float(sigmas[t]) if gap != NONE else 0.0 for t in gap),
            *one.row(found[NONE], alpha / len(found)),
        )
        for gap, one in found.items()
    ]


def label(gap: Gap) -> str:
    """A gap in words."""
    return "no gap" if gap == NONE else f"without timesteps {gap[0]} to {gap[1]}"
