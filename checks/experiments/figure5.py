"""Figure 5: DDPM training that leaves out timesteps, nine gaps around the danger zone."""

import numpy as np
from matplotlib.figure import Figure

from wildmiddle.checks.experiments.gaps import TimestepGap, timestep_gaps
from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.samples import (
    HALF,
    HEADER,
    Evaluation,
    evaluate,
    null_row,
    rate_record,
    reduction_record,
)
from wildmiddle.checks.experiments.trained import TrainedStudy, Trainings
from wildmiddle.checks.records import Parameters
from wildmiddle.checks.report.drawing import COVERAGE, DANGER, DASHED, WEIGHT, add_legend
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.theory.schedules import ddpm_timestep

NONE = (0, 0)
"""The baseline's gap."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Train with each gap and judge the samples; a verdict on each, and on the widest's rate."""
    found = evaluate_gaps(study)
    baseline, share = found[NONE], alpha / (len(found) + 1)
    named: dict[TimestepGap, tuple[str, Parameters]] = {
        gap: (f"gap {name}", {"first timestep": gap[0], "end": gap[1]})
        for gap, name in timestep_gaps(study).items()
    }
    widest, (name, ends) = next(iter(named.items()))
    records = [
        rate_record(study, "figure5", "no gap", baseline.copies, ">=", HALF, share, 0.7497),
        rate_record(study, "figure5", name, found[widest].copies, "<=", HALF, share, 0.09, ends),
    ]
    records += [
        reduction_record(study, "figure5", name, (baseline, found[gap]), share, ends)
        for gap, (name, ends) in named.items()
    ]

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 3])
        at = ddpm_timestep(study.curves.sigmas, study.timestep_sigmas)
        above.plot(at, study.curves.max_weight.mean, color=WEIGHT, label="posterior weight")
        above.plot(
            at, study.curves.coverage.mean, color=COVERAGE, linestyle=DASHED, label="shell coverage"
        )
        above.set(ylabel="probability", ylim=(-0.02, 1.04))
        for row, (gap, one) in enumerate(found.items()):
            below.barh(row, gap[1] - gap[0], left=gap[0], color=DANGER, height=0.6)
            rate = one.count / study.scale.samples
            below.text(1.02, row, f"{rate:.0%}", va="center", transform=below.get_yaxis_transform())
        names = ["none" if gap == NONE else f"{gap[0]} to {gap[1]}" for gap in found]
        below.set_yticks(range(len(found)), names)
        below.invert_yaxis()
        most = max(end for _, end in found)
        below.set(xlabel="timestep", ylabel="left out of training", xlim=(0, 1.2 * most))
        below.set_title("memorized samples", loc="right")
        below.grid(False)
        add_legend(figure)

    return ExperimentResult(
        "figure5",
        "of the samples of 1,024 faces 75% are copies; leaving out timesteps 100 to 350 brings "
        "9%, 100 to 275 13%, 100 to 200 43%.",
        tuple(records),
        ("first timestep", "end", "sigma from", "sigma to", *HEADER),
        (*table_rows(study, found, alpha), ("held-out images", *[""] * 3, *null_row(study, alpha))),
        draw,
        height=5.6,
        samples={gap_label(gap): one.memorization for gap, one in found.items()},
    )


def train_gaps(study: TrainedStudy) -> dict[TimestepGap, Denoiser]:
    """Train without a gap and with each of the nine: the denoisers by gap."""
    gaps = (NONE, *timestep_gaps(study))
    return {
        gap: study.train_denoiser(count, name, **changes)
        for gap, (name, (count, changes)) in zip(gaps, trainings(study).items(), strict=True)
    }


def trainings(study: TrainedStudy) -> Trainings:
    """What this experiment trains: the baseline, then a model for each gap."""
    count = study.scale.memorizing
    with_gaps = {f"gap-{gap[0]}-{gap[1]}": (count, {"gap": (gap,)}) for gap in timestep_gaps(study)}
    return {"memorizing": (count, {}), **with_gaps}


def evaluate_gaps(study: TrainedStudy) -> dict[TimestepGap, Evaluation]:
    """The samples of each of :func:`train_gaps`, judged against held-out images."""
    return {
        gap: evaluate(study, denoiser, "held-out") for gap, denoiser in train_gaps(study).items()
    }


def table_rows(
    study: TrainedStudy, found: dict[TimestepGap, Evaluation], alpha: float
) -> list[TableRow]:
    """A row for each gap."""
    sigmas = np.append(study.timestep_sigmas, np.inf)
    return [
        (
            *gap,
            *(float(sigmas[t]) if gap != NONE else 0.0 for t in gap),
            *one.row(found[NONE], alpha / len(found)),
        )
        for gap, one in found.items()
    ]


def gap_label(gap: TimestepGap) -> str:
    """A gap in words."""
    return "no gap" if gap == NONE else f"without timesteps {gap[0]} to {gap[1]}"
