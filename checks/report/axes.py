"""What the figures over the noise level share: a curve with its band, the axes, their ends."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from wildmiddle.checks.verify import Result
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.theory.schedules import edm_sigmas

Array = NDArray[np.float64]


def curve(axes: Axes, sigmas: Array, estimate: Estimate, colour: str, marker: str) -> None:
    """Draw a curve with the band of its intervals."""
    # A log axis cannot show 0: the band and the line leave the picture below instead.
    mean, low, high = (np.maximum(v, 1e-12) for v in (estimate.mean, estimate.low, estimate.high))
    axes.fill_between(sigmas, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.plot(sigmas, mean, marker=marker, color=colour)


def unit(axes: Axes, label: str) -> None:
    """Make the vertical axis run from 0 to 1."""
    axes.set_ylim(-0.02, 1.03)
    axes.set_ylabel(label)


def edm_axis(axes: Axes, roomy: bool) -> None:
    """Mark the steps of the 18-step EDM schedule along the top."""
    steps = edm_sigmas(18)
    top = axes.secondary_xaxis("top")
    top.set_xticks(steps, [str(i) if roomy or i % 3 == 0 else "" for i in range(len(steps))])
    top.set_xticks([], minor=True)
    top.set_xlabel("step of the 18-step EDM schedule")


def sigma_ends(result: Result) -> tuple[float, float]:
    """Ends of the horizontal axis: a little more than the schedule."""
    sigmas = result.study.curves.sigmas
    return float(sigmas.min()) * 0.85, float(sigmas.max()) * 1.15


def curve_alpha(result: Result) -> float:
    """Probability that any interval of a curve misses."""
    both = result.study.curves
    return both.max_weight.alpha * len(both.sigmas)


def band_note(result: Result) -> str:
    """What the shaded bands mean, for a caption."""
    return (
        f"The shaded band of a curve holds at all {len(result.study.curves.sigmas)} noise levels "
        f"together with probability at least {1 - curve_alpha(result):.0%}."
    )
