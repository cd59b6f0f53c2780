"""Figure 9: copying against sample quality over the timestep gaps of Figure 5, and their front."""

from matplotlib.figure import Figure

from wildmiddle.checks.experiments import figure5
from wildmiddle.checks.experiments.gaps import TimestepGap
from wildmiddle.checks.experiments.results import ExperimentResult
from wildmiddle.checks.experiments.samples import HEADER, Evaluation
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.report.drawing import DANGER, DASHED, WEIGHT, add_legend, label_log_axis


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Put the trainings of Figure 5 on the plane of rate and distance; no verdict."""
    found = figure5.evaluate_gaps(study)
    best = front(found)
    rows = [
        (*row, int(gap in best))
        for row, gap in zip(figure5.table_rows(study, found, alpha), found, strict=True)
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        points = {gap: (one.count, one.distance.value) for gap, one in found.items()}
        n = study.scale.samples
        in_order = sorted(points.items(), key=lambda item: item[1][1])
        for k, (gap, (count, distance)) in enumerate(in_order):
            axes.plot(
                100 * count / n,
                distance,
                "s" if gap == figure5.NONE else "o",
                color=WEIGHT,
                markersize=5,
            )
            # Neighbours in height have their names on different sides.
            side = -1 if k % 2 else 1
            axes.annotate(
                "no gap" if gap == figure5.NONE else f"{gap[0]} to {gap[1]}",
                (100 * count / n, distance),
                xytext=(7 * side, -7),  # below the front
                textcoords="offset points",
                fontsize="small",
                va="center",
                ha="left" if side > 0 else "right",
            )
        path = sorted(points[gap] for gap in best)
        axes.plot(
            [100 * x / n for x, _ in path],
            [y for _, y in path],
            linestyle=DASHED,
            color=DANGER,
            label="no other is better in both",
        )
        axes.set(xlabel="memorized samples, %", ylabel="Fréchet distance", yscale="log")
        axes.margins(x=0.25)
        label_log_axis(axes, "y")
        add_legend(figure)

    return ExperimentResult(
        "figure9",
        "between copying and sample quality there is a trade-off, and gaps in its middle, such as "
        "timesteps 150 to 250, balance the two best.",
        (),
        ("first timestep", "end", "sigma from", "sigma to", *HEADER, "on the front"),
        tuple(rows),
        draw,
        height=4.6,
    )


def front(found: dict[TimestepGap, Evaluation]) -> set[TimestepGap]:
    """The gaps that no other beats in both rate and distance, equal in one at most."""
    values = {gap: (one.count, one.distance.value) for gap, one in found.items()}
    return {
        gap
        for gap, (count, distance) in values.items()
        if not any(
            (c <= count and d < distance) or (c < count and d <= distance)
            for c, d in values.values()
        )
    }
