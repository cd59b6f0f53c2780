"""Beyond the paper: distance of each training of Figure 4 from the two known denoisers, over sigma.

On noised training images, on their shells and on noised held-out images: inside a gap, where the
network was not trained, the distances show whether its output is like that of the empirical
optimum, which copies, or like that of the Gaussian denoiser, which does not.
"""

from typing import Any

from matplotlib.figure import Figure

from wildmiddle.checks.experiments.figure4 import conditions
from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.report.drawing import (
    add_legend,
    label_log_axis,
    set_sigma_axis,
    sigma_limits,
)
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.models.one_step import Law, gap_between

REFERENCES = ("empirical optimum", "Gaussian")


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Measure the mean squared distances over the schedule; no verdict."""
    count, data, sigmas = study.scale.memorizing, study.data, study.sigmas
    wanted = conditions(study)
    places: dict[str, tuple[Any, Law]] = {
        "training images, noised": (study.few, "normal"),
        "shells of training images": (study.few, "shell"),
        "held-out images, noised": (study.fresh, "normal"),
    }
    found: dict[tuple[str, str, str], Estimate] = {}
    for condition in wanted:
        denoiser = study.train_denoiser(count, condition.folder, **condition.changes)
        for reference, known in zip(REFERENCES, (study.optimum, study.gaussian), strict=True):
            for place, (images, law) in places.items():
                found[condition.title, reference, place] = gap_between(
                    denoiser,
                    known,
                    images.to(study.torch_device),
                    sigmas,
                    study.scale.samples,
                    study.settings.seed,
                    law=law,
                    c=study.settings.c,
                    value_range=None if data.centred else data.value_range,
                    alpha=alpha / (len(wanted) * len(REFERENCES) * len(places) * len(sigmas)),
                )
    rows: list[TableRow] = [
        (*key, float(sigma), *(float(end[k]) for end in (each.mean, each.low, each.high)))
        for key, each in found.items()
        for k, sigma in enumerate(sigmas)
    ]

    def draw(figure: Figure) -> None:
        grid: Any = figure.subplots(len(REFERENCES), len(places), sharex=True, sharey=True)
        gaps = {condition.title: condition.gap for condition in wanted}
        for (name, reference, place), each in found.items():
            axes = grid[REFERENCES.index(reference)][list(places).index(place)]
            line = axes.plot(sigmas, each.mean, label=name)[0]
            if (gap := gaps[name]) is not None:
                inside = (sigmas >= gap[0]) & (sigmas < gap[1])
                axes.plot(sigmas[inside], each.mean[inside], "o", color=line.get_color())
        for axes in grid.flat:
            set_sigma_axis(axes, *sigma_limits(sigmas))
            axes.set(xlabel="", yscale="log")
        label_log_axis(grid[0][0], "y")
        for axes, place in zip(grid[0], places, strict=True):
            axes.set_title(place)
        for axes, reference in zip(grid[:, 0], REFERENCES, strict=True):
            axes.set_ylabel(f"squared distance\nfrom the {reference}")
        figure.supxlabel("noise level σ; dots: not trained there", fontsize="medium")
        add_legend(figure, columns=1)

    return ExperimentResult(
        "distances",
        "nothing of this: it compares no trained denoiser with the known ones inside a gap.",
        (),
        ("training", "from", "on", "sigma", "squared distance", "low", "high"),
        tuple(rows),
        draw,
        height=6,
    )
