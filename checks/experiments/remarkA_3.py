"""Remark A.3: Corollary A.2's bound on the cosine and its probability, on average over 500 images.

At one time t of flow matching, over the whole training set. The paper's t, w, a and b are not known
here; ours are said in the table. Each of the 500 images is noised once as well, so that the bound
is held against what it is of.
"""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.results import ExperimentResult
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.records import Comparison
from wildmiddle.checks.report.drawing import COVERAGE, DANGER, DASHED, WEIGHT, add_legend
from wildmiddle.checks.statistics import from_bounded
from wildmiddle.empirical.flow_matching import fields
from wildmiddle.empirical.neighbours import extreme_distances
from wildmiddle.empirical.noise import generator
from wildmiddle.theory.flow_matching import cosine_bound

Array = NDArray[np.float64]

POINTS = 500
"""Random training images, drawn with replacement."""
W, A, B = 0.999, 3.0, 5.0
"""Weight, and the corollary's constants: for the noise along the image, and for its length."""
NEIGHBOUR_SHARE = 16
"""Sigma is the median distance to the nearest other image, divided by this."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Average the bound and its probability; a verdict on the images that were noised."""
    images, at = study.different, study.settings
    ends = extreme_distances(images, at.device, at.memory)
    sigma = float(np.median(ends[:, 0])) / NEIGHBOUR_SHARE
    t = 1 / (1 + sigma)
    chosen = generator(at.seed, "remarkA.3/points").integers(len(images), size=POINTS)
    bound = cosine_bound(
        np.linalg.norm(images[chosen], axis=1),
        ends[chosen, 0],
        ends[:, 1].max(),
        n=len(images),
        d=study.d,
        t=t,
        w=W,
        a=A,
        b=B,
    )
    cosine = fields(
        images, chosen, t, queries=POINTS, seed=at.seed, device=at.device, stream="remarkA.3"
    ).cosine
    comparison = Comparison(
        claim="A.3",
        instance=f"{POINTS} noised images",
        quantity="share of the images that reach the bound, less the mean probability",
        relation=">=",
        bound=0.0,
        margin=0.05,
        parameters={"t": t, "sigma": sigma, "w": W, "a": A, "b": B, "N": len(images), "d": study.d},
    )
    kept = (cosine >= bound.cosine).astype(np.float64) - bound.probability
    record = from_bounded(comparison, kept, span=(-1.0, 1.0), alpha=alpha, seed=at.seed)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for values, colour, text in (
            (cosine, WEIGHT, "measured"),
            (bound.sharp_cosine, COVERAGE, "sharper bound"),
            (bound.cosine, DANGER, "the paper's bound"),
        ):
            axes.plot(np.sort(values), np.linspace(0, 1, POINTS), color=colour, label=text)
        axes.axhline(
            1 - float(bound.probability.mean()),
            color=DANGER,
            linestyle=DASHED,
            label="mean probability that is left open",
        )
        axes.set(xlabel="cosine between the two fields", ylabel="share of the images")
        add_legend(figure, columns=2)

    names = (
        "cosine, the paper's bound",
        "cosine, sharper bound",
        "probability",
        "cosine, measured",
    )
    values = (bound.cosine, bound.sharp_cosine, bound.probability, cosine)
    constants = (len(images), t, sigma, W, A, B)
    return ExperimentResult(
        "remarkA.3",
        "for the 50,000 images of CIFAR-10, the averages of the bound and of its probability over "
        "500 images; optimal and conditional field point the same way.",
        (record,),
        ("quantity", "average", "least", "most", "N", "t", "sigma", "w", "a", "b"),
        tuple(
            (name, float(v.mean()), float(v.min()), float(v.max()), *constants)
            for name, v in zip(names, values, strict=True)
        ),
        draw,
        height=3.6,
    )
