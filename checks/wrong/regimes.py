"""Slips in Section 4.2: the order of the curves, the bounds on the weight, the danger zone."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtr

from wildmiddle.checks.wrong.mutant import Mutant
from wildmiddle.theory.regimes import PredictedZone, Zone

_LOWER = "wildmiddle.theory.regimes.weight_lower"
_ENTROPY = "wildmiddle.theory.regimes.posterior_entropy"
_ORDER = "wildmiddle.checks.regimes.rising"
_ZONE = "wildmiddle.empirical.danger_zone.zone_of"


def _scaled(factor: float) -> Callable[[Any], Any]:
    def wrong(f: Any) -> Any:
        def zone(*given: Any, **named: Any) -> PredictedZone:
            return PredictedZone(
                *(Zone(factor * part.start, factor * part.end) for part in f(*given, **named))
            )

        return zone

    return wrong


def _nearest_alone(_: Any) -> Any:
    def lower(distances: Any, sigma: Any) -> Any:
        nearest = np.asarray(distances).min(1)
        return np.array([1 - ndtr(-nearest / (2 * level)).mean() for level in sigma])

    return lower


def _shuffled(f: Any) -> Any:
    return lambda sigmas: f(sigmas)[np.arange(len(sigmas)) * 7 % len(sigmas)]


MUTANTS = (
    Mutant("regimes", "d/sigma for d/(2 sigma)", _LOWER, lambda f: lambda d, s: f(2 * d, s)),
    Mutant("regimes", "the nearest point alone, no sum", _LOWER, _nearest_alone),
    Mutant("regimes", "no factor 1/N", _LOWER, lambda f: lambda d, s: 1 - len(d) * (1 - f(d, s))),
    Mutant(
        "regimes", "d^2/(8 sigma^2) in the entropy", _ENTROPY, lambda f: lambda d, s: f(d / 2, s)
    ),
    Mutant(
        "regimes",
        "d^2/sigma^2 in the entropy",
        _ENTROPY,
        lambda f: lambda d, s: f(np.sqrt(2) * d, s),
        true_because="the entropy is bounded lower still: true, and no more than weaker",
    ),
    Mutant("regimes", "sigma^2 for sigma", _LOWER, lambda f: lambda d, s: f(d, np.square(s))),
    Mutant("regimes", "shuffled sigmas", _ORDER, _shuffled),
    Mutant("regimes", "falling sigmas for rising", _ORDER, lambda f: lambda s: f(s)[::-1]),
    Mutant("regimes", "zone an octave too high", _ZONE, _scaled(2.0)),
    Mutant("regimes", "zone an octave too low", _ZONE, _scaled(0.5)),
    Mutant(
        "regimes",
        "certain and possible zone exchanged",
        _ZONE,
        lambda f: lambda *given, **named: PredictedZone(*reversed(f(*given, **named))),
    ),
)
