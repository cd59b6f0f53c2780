"""Figure 5: DDPM training that leaves out timesteps, nine gaps around the danger zone."""

import numpy as np
from matplotlib.figure import Figure

from wildmiddle.checks.experiments.outcome import Outcome, Row
from wildmiddle.checks.experiments.remedies import (
    HEADER,
    Judged,
    judged,
    lowered,
    timestep_gaps,
)
from wildmiddle.checks.experiments.samples import HALF, rate_record
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.theory.schedules import ddpm_sigmas, ddpm_timestep

Gap = tuple[int, int]
NONE = (0, 0)
"""The baseline's gap."""


def run(study: TrainedStudy, alpha: float) -> Outcome:
    """Train with each gap and judge the samples; a verdict on the widest and on the zone itself."""
    found = measure(study)
    baseline, widest = found[NONE], next(gap for gap in found if gap != NONE)
    share = alpha / (len(found) + 1)
    records = [
        rate_record(study, "figure5", "no gap", baseline.copies, ">=", HALF, share, 0.7497),
        rate_record(study, "figure5", label(widest), found[widest].copies, "<=", HALF, share, 0.09),
    ]
    records += [
        lowered(study, "figure5", label(gap), (baseline, one), share)
        for gap, one in found.items()
        if gap != NONE
    ]

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 3])
        at = ddpm_timestep(study.curves.sigmas)
        above.plot(at, study.curves.max_weight.mean, label="posterior weight")
        above.plot(at, study.curves.coverage.mean, "--", label="shell coverage")
        above.set(ylabel="probability", ylim=(-0.02, 1.04))
        above.legend(loc="center right")
        for row, (gap, one) in enumerate(found.items()):
            below.barh(row, gap[1] - gap[0], left=gap[0], color="C3", height=0.6)
            rate = one.count / study.scale.samples
            below.text(1.02, row, f"{rate:.0%}", va="center", transform=below.get_yaxis_transform())
        names = ["none" if gap == NONE else f"{gap[0]} to {gap[1]}" for gap in found]
        below.set_yticks(range(len(found)), names)
        below.invert_yaxis()
        most = max(end for _, end in found)
        below.set(xlabel="timestep", ylabel="left out of training", xlim=(0, 1.2 * most))
        below.set_title("memorized samples", loc="right", fontsize="small")

    return Outcome(
        "figure5",
        "of the samples of 1,024 faces 75% are copies; leaving out timesteps 100 to 350 brings "
        "9%, 100 to 275 13%, 100 to 200 43%.",
        tuple(records),
        ("first timestep", "end", "sigma from", "sigma to", *HEADER),
        tuple(lines(found, alpha)),
        draw,
        (8, 6),
        {label(gap): one.found for gap, one in found.items()},
    )


def measure(study: TrainedStudy) -> dict[Gap, Judged]:
    """Train without a gap and with each of the nine, and judge the samples, by gap."""
    found = {NONE: judged(study, study.memorizing)}
    for gap in timestep_gaps(study):
        name = f"gap-{gap[0]}-{gap[1]}"
        trained = study.trained(study.scale.memorizing, name, gap=(gap,))
        found[gap] = judged(study, trained)
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
