"""Figure 10: the same samples under each of the paper's swaps of table1.

A column is a sample number, and so one noise to start from. The rates are those of all samples that
table1 counts, of which the first are drawn.
"""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.samples import draw_samples, is_copy, pixels
from wildmiddle.checks.experiments.table1 import paper_parts, swap
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.report.image_grids import Strip, draw_strips
from wildmiddle.empirical.neighbours import Memorization
from wildmiddle.models.denoisers import Denoiser

COLUMNS = 16
"""Samples that are drawn, the first ones; fewer where there are fewer."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Draw samples of both denoisers and of their swaps; no verdict, table1 has it."""
    small, large = study.memorizing, study.generalizing
    found: dict[tuple[str, str], Memorization] = {}
    strips: list[Strip] = []
    rows: list[TableRow] = []
    for name, base, other in (("memorizing", small, large), ("generalizing", large, small)):
        conditions: dict[str, Denoiser] = {"none": base}
        for part in ("large", "middle", "small"):
            conditions[part] = swap(base, other, *paper_parts(study)[part])
        for part, denoiser in conditions.items():
            samples = draw_samples(study, denoiser)
            now = found[name, part] = study.compare(samples)
            label = name if part == "none" else f"{part} swapped"
            strips.append(
                Strip(
                    pixels(study, samples[:COLUMNS]),
                    is_copy(now)[:COLUMNS],
                    f"{label}: {100 * now.rate:.1f}%",
                )
            )
            rows.append((name, part, *_changes(found[name, "none"], now)))

    def draw(figure: Figure) -> None:
        draw_strips(figure.subplots(), strips, "the same samples under each swap; framed: copies")

    return ExperimentResult(
        "figure10",
        "a swap at medium noise changes what is drawn most, in both directions; swaps at large or "
        "small noise hardly change it.",
        (),
        (
            "base",
            "swapped",
            "memorized",
            "samples",
            "same nearest",
            "changed",
            "changed, same nearest",
            "median ratio",
        ),
        tuple(rows),
        draw,
        height=3.8,
        shows_images=True,
        samples={", swapped: ".join(condition): each for condition, each in found.items()},
    )


def _changes(before: Memorization, now: Memorization) -> tuple[int, int, int, int, int, float]:
    # Changed: a copy before or now, but not both. Same nearest: the image is chosen all the same.
    same: NDArray[np.bool_] = before.nearest == now.nearest
    changed = is_copy(before) != is_copy(now)
    counts = (is_copy(now), np.ones_like(same), same, changed, changed & same)
    memorized, samples, *others = (int(each.sum()) for each in counts)
    return (memorized, samples, *others, float(np.median(now.ratio)))  # type: ignore[return-value]
