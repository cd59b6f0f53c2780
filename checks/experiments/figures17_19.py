"""Figures 17 to 19: samples and their nearest training images, without a remedy and with two.

The baseline, training with as much noise as a second class, and training that leaves the danger
zone out. The rates are those of all samples that figure4 counts, of which the first are drawn.
"""

from matplotlib.figure import Figure

from wildmiddle.checks.experiments.gaps import own_levels, zone_gaps
from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.samples import draw_samples, is_copy, pair_with_nearest
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.report.image_grids import Strip, draw_strips
from wildmiddle.empirical.neighbours import Memorization
from wildmiddle.models.denoisers import Denoiser

PAIRS = 64
"""Samples that are drawn, the first ones, as many as the paper's; fewer where there are fewer."""

COLUMNS = 16
"""Pairs side by side."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Draw samples beside their nearest images; no verdict, figure4 has it."""
    count = study.scale.memorizing
    denoisers: dict[str, Denoiser] = {
        "baseline": study.memorizing,
        "dummy class": study.train_denoiser(
            count, "dummy", dummy=True
        ),  # samples of the real class
    }
    gap = zone_gaps(study)["possible zone"]
    own = own_levels(study, gap)
    if own[0] < own[1]:
        trained = study.train_denoiser(count, "gap-possible", gap=(own,))
        denoisers["gap, σ {:g} to {:g}".format(*gap)] = trained
    found: dict[str, Memorization] = {}
    panels: dict[str, list[Strip]] = {}
    rows: list[TableRow] = []
    for name, denoiser in denoisers.items():
        samples = draw_samples(study, denoiser)
        now = found[name] = study.compare(samples)
        title = f"{name}: {100 * now.rate:.1f}% of {len(samples)}"
        panels[title] = pair_with_nearest(study, samples, now, PAIRS, COLUMNS)
        rows.append((name, int(is_copy(now).sum()), len(samples), int(is_copy(now)[:PAIRS].sum())))

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(panels))
        for axes, (title, strips) in zip(grid, panels.items(), strict=True):
            draw_strips(axes, strips, title)
        figure.supxlabel(
            "each sample beside its nearest training image; framed: copies", fontsize="medium"
        )

    return ExperimentResult(
        "figures17-19",
        "most samples of the baseline are copies, 78.8%; with the dummy class 9.0%, with the gap "
        "0.7%.",
        (),
        ("training", "memorized", "samples", "memorized of the drawn"),
        tuple(rows),
        draw,
        height=4.4,
        shows_images=True,
        samples=found,
    )
