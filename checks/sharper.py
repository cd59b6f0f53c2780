"""A sharper form beside the paper's: what it is of, both values, the truth, what is gained.

Each subject's module has ``sharper(study)``, which yields its forms on the data of one run. Nothing
is sampled for this: what was measured comes from the run's two curves.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from wildmiddle.checks.study import Study
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.empirical.regimes import crossing

Side = Literal["larger", "smaller"]

AVERAGED = 20
"""Training images that are averaged over, spread evenly over the ranks of their distance."""


class Truth(NamedTuple):
    """What is known of a quantity besides its bounds."""

    value: float
    low: float
    """Lower end of its interval, the value itself where nothing was drawn."""
    high: float
    basis: str
    """``exact``, ``measured``, or what else the value is."""

    @classmethod
    def exact(cls, value: float) -> "Truth":
        """A value that is computed without sampling."""
        return cls(value, value, value, "exact")

    @classmethod
    def measured(cls, curve: Estimate, k: int) -> "Truth":
        """Entry ``k`` of a measured curve."""
        return cls(float(curve.mean[k]), float(curve.low[k]), float(curve.high[k]), "measured")

    @classmethod
    def crossing(
        cls, study: Study, curve: Estimate, level: float, basis: str, *, rising: bool
    ) -> "Truth | None":
        """The sigma at which a curve of the study passes ``level``; None where it does not."""
        seen = crossing(study.curves.sigmas, curve, level, rising=rising)
        return cls(seen.sigma, seen.low, seen.high, basis) if np.isfinite(seen.sigma) else None


@dataclass(frozen=True)
class Sharper:
    """One quantity by the paper's form and by ours, with the truth where it is known."""

    claim: str
    """Identifier of the claim in ``wildmiddle.theory.claims``."""
    quantity: str
    better: Side
    """Which of two values says more: a lower bound is better larger, an upper bound smaller."""
    paper: float | None
    """None where the paper states no number."""
    ours: float
    truth: Truth | None
    gain: str


def sharper_form(
    claim: str,
    quantity: str,
    better: Side,
    paper: float | None,
    ours: float,
    truth: Truth | None,
    gain: str = "",
) -> Sharper:
    """The two forms side by side; without ``gain`` it is the ratio of the two values."""
    return Sharper(claim, quantity, better, paper, ours, truth, gain or ratio(paper or 0.0, ours))


def ratio(paper: float, ours: float) -> str:
    """How many times higher or lower our value is than the paper's, in words."""
    if paper == 0 or ours == 0:
        return "none here" if ours == paper else "the paper certifies nothing here"
    times = ours / paper
    if abs(times - 1) < 5e-4:
        return "none here"
    return f"{times:.3g} times higher" if times > 1 else f"{1 / times:.3g} times lower"
