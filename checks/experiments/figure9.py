"""Figure 9: copying against sample quality over the timestep gaps of Figure 5, and their front."""

from matplotlib.figure import Figure

from wildmiddle.checks.experiments import figure5
from wildmiddle.checks.experiments.outcome import Outcome
from wildmiddle.checks.experiments.remedies import HEADER, Judged
from wildmiddle.checks.experiments.trained import TrainedStudy


def run(study: TrainedStudy, alpha: float) -> Outcome:
    """Put the trainings of Figure 5 on the plane of rate and distance; no verdict."""
    found = figure5.measure(study)
    best = front(found)
    lines = figure5.lines(found, alpha)
    rows = [(*line, int(gap in best)) for line, gap in zip(lines, found, strict=True)]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        points = {gap: (one.count, one.distance.value) for gap, one in found.items()}
        n = study.scale.samples
        in_order = sorted(points.items(), key=lambda item: item[1][1])
        for k, (gap, (count, distance)) in enumerate(in_order):
            axes.plot(100 * count / n, distance, "s" if gap == figure5.NONE else "o", color="C0")
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
            "--",
            color="C3",
            label="no other is better in both",
        )
        axes.set(xlabel="memorized samples, %", ylabel="Fréchet distance", yscale="log")
        axes.margins(x=0.25)
        axes.legend()

    return Outcome(
        "figure9",
        "between copying and sample quality there is a trade-off, and gaps in its middle, such as "
        "timesteps 150 to 250, balance the two best.",
        (),
        ("first timestep", "end", "sigma from", "sigma to", *HEADER, "on the front"),
        tuple(rows),
        draw,
        (7, 5),
    )


def front(found: dict[figure5.Gap, Judged]) -> set[figure5.Gap]:
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
