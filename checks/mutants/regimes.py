"""Slips in Section 4.2: the order of the curves, the bounds on the weight, the danger zone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import chdtrc, ndtr

from wildmiddle.checks.mutants.mutant import Mutant, slips
from wildmiddle.theory.regimes import PredictedZone, Zone
from wildmiddle.theory.shells import radii


def _scaled(factor: float) -> Callable[[Any], Any]:
    def scaled(zone: PredictedZone) -> PredictedZone:
        certain, possible = (
            Zone(factor * part.start, factor * part.end) for part in (zone.certain, zone.possible)
        )
        return replace(zone, certain=certain, possible=possible)

    return lambda f: lambda study: scaled(f(study))


def _exchanged(f: Any) -> Any:
    def exchanged(zone: PredictedZone) -> PredictedZone:
        return replace(zone, certain=zone.possible, possible=zone.certain)

    return lambda study: exchanged(f(study))


def _nearest_alone(_: Any) -> Any:
    def lower(distances: Any, sigma: Any, ratios: Any = 0.0) -> Any:
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
            "d/sigma for d/(2 sigma)": lambda f: lambda d, s, *p: f(2 * d, s, *p),
            "the nearest point alone, no sum": _nearest_alone,
            "no factor 1/N": lambda f: lambda d, s, *p: 1 - len(d) * (1 - f(d, s, *p)),
            "sigma^2 for sigma": lambda f: lambda d, s, *p: f(d, np.square(s), *p),
        },
    ),
    *slips(
        "regimes",
        "posterior_entropy",
        {
            "d^2/(8 sigma^2) in the entropy": lambda f: lambda d, s, *p: f(d / 2, s, *p),
            "d^2/(4 sigma^2) in the entropy": lambda f: lambda d, s, *p: f(d / np.sqrt(2), s, *p),
        },
    ),
    *slips(
        "regimes",
        "weight_of_entropy",
        {
            "log N for log(N - 1) in Fano's inequality": lambda f: lambda h, n: f(h, n + 1),
            "log(N - 2) for log(N - 1) in Fano's inequality": lambda f: lambda h, n: f(h, n - 1),
        },
    ),
    Mutant(
        "regimes",
        "d^2/sigma^2 in the entropy",
        "posterior_entropy",
        lambda f: lambda d, s, *p: f(np.sqrt(2) * d, s, *p),
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
            "certain and possible zone exchanged": _exchanged,
        },
    ),
)
