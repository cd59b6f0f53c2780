"""Section E.9: samples of the timestep gaps of Figure 5 and their nearest training images.

The rates are those of all samples that figure5 counts, of which the first are drawn.
"""

from matplotlib.figure import Figure

from wildmiddle.checks.experiments.figure5 import gap_label, train_gaps
from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.samples import draw_samples, is_copy, pair_with_nearest
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.report.image_grids import Strip, draw_strips
from wildmiddle.empirical.neighbours import Memorization

PAIRS = 16
"""Samples that are drawn of each training, the first ones, in rows of four, as in the paper."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Draw samples beside their nearest images; no verdict, figure5 has it."""
    found: dict[str, Memorization] = {}
    panels: dict[str, list[Strip]] = {}
    rows: list[TableRow] = []
    for gap, denoiser in train_gaps(study).items():
        name = gap_label(gap)
        samples = draw_samples(study, denoiser)
        now = found[name] = study.compare(samples)
        ends = "no gap" if name == "no gap" else f"{gap[0]} to {gap[1]}"
        panels[f"{ends}: {now.rate:.0%}"] = pair_with_nearest(study, samples, now, PAIRS, 4)
        rows.append((*gap, int(is_copy(now).sum()), len(samples), int(is_copy(now)[:PAIRS].sum())))

    def draw(figure: Figure) -> None:
        columns = 5
        grid = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.remove()
        for axes, (title, strips) in zip(grid, panels.items(), strict=False):
            draw_strips(axes, strips, title)
        figure.supxlabel(
            "timesteps left out of training, and the rate of copies; each sample beside its "
            "nearest training image; framed: copies",
            fontsize="medium",
        )

    return ExperimentResult(
        "timestep-grids",
        "with a gap most samples differ from their nearest training image (E.9).",
        (),
        ("first timestep", "end", "memorized", "samples", "memorized of the drawn"),
        tuple(rows),
        draw,
        height=4.2,
        shows_images=True,
        samples=found,
    )
