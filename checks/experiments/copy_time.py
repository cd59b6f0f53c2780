"""When copying sets in, by the number of training images, at one network and batch size.

Beyond the paper: Bonnaire et al. 2025 and Favero et al. 2025 have the time proportional to n, and
the time at which a model generalizes the same for all n.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from wildmiddle.checks.experiments.looks import (
    HEADER,
    MOST,
    RATE,
    Look,
    least_error,
    look_rows,
    look_until,
    onset,
)
from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.seeds import (
    BETWEEN_LOOKS,
    Claims,
    Rows,
    SeedResult,
    between,
    judge,
)
from wildmiddle.checks.experiments.trained import TrainedStudy, Trainings
from wildmiddle.checks.report.drawing import DOTTED, MUTED, add_legend, label_log_axis
from wildmiddle.empirical.intervals import Estimate

SIZES = (50, 100, 200, 400)
FIRST, EACH = 100, 4
"""The first look, and looks an octave of steps."""
SLOPE = "slope of log time on log n"
COPIES, ERROR = "until copies are common", "until the held-out error is near its least"
_CLAIMS: Claims = (
    (COPIES, SLOPE, ">=", 0.75),
    (COPIES, SLOPE, "<=", 1.25),
    (ERROR, SLOPE, ">=", -0.25),
    (ERROR, SLOPE, "<=", 0.25),
)
"""Of the slope, to within a quarter: 1 for copies, 0 for what all images have in common."""

PAPER = "nothing of this: it trains on one number of images at a time."


def trainings(study: TrainedStudy) -> Trainings:
    """What this experiment trains, at most."""
    steps = MOST * study.training().steps
    return {f"copy-time-{n}": (n, {"steps": steps}) for n in sizes(study)}


def sizes(study: TrainedStudy) -> list[int]:
    """The numbers of images. Raises ValueError where there are too few images for a slope."""
    found = [n for n in SIZES if n <= len(study.data.train)]
    if len(found) < 3:
        raise ValueError(
            f"{study.data.title} has {len(study.data.train)} training images; copy-time needs "
            f"{SIZES[2]} or more"
        )
    return found


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Train on each number of images until copies are common, for one seed; no verdict."""
    rows: list[TableRow] = []
    found: dict[int, list[Look]] = {}
    for name, (n, changes) in trainings(study).items():
        found[n] = looks = look_until(study, name, n, changes, first=FIRST, each=EACH)
        rows += [(n, *line) for line in look_rows(looks, alpha / (len(SIZES) * len(looks)))]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for n, looks in found.items():
            rates = [look.copies / look.samples for look in looks]
            axes.plot([look.step for look in looks], rates, "o-", label=f"{n} images")
        axes.axhline(RATE, color=MUTED, linestyle=DOTTED)
        axes.set(xlabel="training steps", ylabel="memorized samples", xscale="log")
        label_log_axis(axes, "x")
        add_legend(figure)

    return ExperimentResult("copy-time", PAPER, (), ("images", *HEADER), tuple(rows), draw)


def combine(found: Mapping[int, SeedResult], alpha: float) -> ExperimentResult:
    """The slopes of log time on log n over the seeds."""
    measured = {seed: measure(one) for seed, one in found.items()}
    return judge("copy-time", PAPER, measured, _CLAIMS, alpha)


def measure(one: SeedResult) -> dict[str, Estimate]:
    """Of one seed: the steps that both take for each number of images, and the two slopes."""
    of_size: dict[int, Rows] = {}
    for row in one.rows:
        of_size.setdefault(int(row["images"]), []).append(row)
    found: dict[str, Estimate] = {}
    for until, time in ((COPIES, onset), (ERROR, least_error)):
        times = {n: time(rows) for n, rows in of_size.items()}
        found |= {f"log2 of the steps {until}, {n} images": each for n, each in times.items()}
        found[f"{until}: {SLOPE}"] = slope(times)
    return found


def slope(times: Mapping[int, Estimate]) -> Estimate:
    """Slope by least squares of log2 steps on log2 of the number of images, and its limits."""
    logs = np.log2(list(times)) - np.log2(list(times)).mean()
    weights = logs / (logs**2).sum()
    value, low, high = (
        np.array([float(getattr(each, end)) for each in times.values()])
        for end in ("mean", "low", "high")
    )
    # Each weight takes the limit that makes the slope least, and the one that makes it most.
    with np.errstate(invalid="ignore"):
        least, most = (
            float((weights * np.where((weights > 0) == up, high, low)).sum())
            for up in (False, True)
        )
    return between(float(weights @ value), least, most, BETWEEN_LOOKS)
