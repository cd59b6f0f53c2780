"""Slips in Section 4.2: the order of the curves, the bounds on the weight, the danger zone."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import chdtrc, ndtr

from wildmiddle.checks.mutants.mutant import Mutant, slips
from wildmiddle.theory.regimes import PredictedZone, Zone
from wildmiddle.theory.shells import radii


def _scaled(factor: float) -> Callable[[Any], Any]:
    def wrong(f: Any) -> Any:
        return lambda study: PredictedZone(
            *(Zone(factor * part.start, factor * part.end) for part in f(study))
        )

    return wrong


def _nearest_alone(_: Any) -> Any:
    def lower(distances: Any, sigma: Any) -> Any:
        nearest = np.asarray(distances).min(1)
        return np.array([1 - ndtr(-nearest / (2 * level)).mean() for level in sigma])

    return lower


def _shuffled(f: Any) -> Any:
    return lambda sigmas: f(sigmas)[np.arange(len(sigmas)) * 7 % len(sigmas)]


MUTANTS = (
    *slips(
        "regimes",
        "weight_lower",
        {
            "d/sigma for d/(2 sigma)": lambda f: lambda d, s: f(2 * d, s),
            "the nearest point alone, no sum": _nearest_alone,
            "no factor 1/N": lambda f: lambda d, s: 1 - len(d) * (1 - f(d, s)),
            "sigma^2 for sigma": lambda f: lambda d, s: f(d, np.square(s)),
        },
    ),
    *slips(
        "regimes",
        "posterior_entropy",
        {
            "d^2/(8 sigma^2) in the entropy": lambda f: lambda d, s: f(d / 2, s),
        },
    ),
    Mutant(
        "regimes",
        "d^2/sigma^2 in the entropy",
        "posterior_entropy",
        lambda f: lambda d, s: f(np.sqrt(2) * d, s),
        true_because="the entropy is bounded lower still: true, and no more than weaker",
    ),
    *slips(
        "regimes",
        "fall_bound",
        {
            "no fall at all": lambda f: lambda *given: 0 * f(*given),
            "half of what is outside": lambda f: lambda *given: f(*given) / 2,
            "inside for outside": lambda f: lambda *given: 1 - f(*given),
            "r_in for r_out": lambda _: (
                lambda nearest, sigma, n, d, c: np.full(
                    np.shape(np.atleast_1d(sigma)), chdtrc(d, radii(d, c)[0] ** 2)
                )
            ),
        },
    ),
    *slips(
        "regimes",
        "order",
        {
            "shuffled sigmas": _shuffled,
            "falling sigmas for rising": lambda f: lambda s: f(s)[::-1],
        },
    ),
    *slips(
        "regimes",
        "danger_zone",
        {
            "zone an octave too high": _scaled(2.0),
            "zone an octave too low": _scaled(0.5),
            "certain and possible zone exchanged": lambda f: (
                lambda study: PredictedZone(*reversed(f(study)))
            ),
        },
    ),
)
