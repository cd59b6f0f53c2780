"""Slips in Theorem 4.2."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wildmiddle.checks.wrong.mutant import Mutant
from wildmiddle.theory import posterior


def _thresholds(claim: str, target: str, formula: Callable[..., Any]) -> tuple[Mutant, ...]:
    # formula(z, L, above) is sigma over the distance; d_max of part 1 and d_min of part 2 alike.
    def slip(change: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
        def wrong(_: Any) -> Any:
            def threshold(distance: Any, n: Any, w: Any, delta: Any) -> Any:
                z, log_odds = posterior.union_quantile(n, delta), posterior.log_odds(n, w)
                return distance * change(z, log_odds)

            return threshold

        return wrong

    quantile, odds = (
        "wildmiddle.theory.posterior.union_quantile",
        "wildmiddle.theory.posterior.log_odds",
    )
    return (
        Mutant(claim, "L for 2L", target, slip(lambda z, L: formula(z, L))),
        Mutant(claim, "4L for 2L", target, slip(lambda z, L: formula(z, 4 * L))),
        Mutant(claim, "z with the wrong sign", target, slip(lambda z, L: formula(-z, 2 * L))),
        Mutant(claim, "no z", target, slip(lambda z, L: formula(0 * z, 2 * L))),
        Mutant(claim, "N for N-1 in z", quantile, lambda f: lambda n, delta: f(n + 1, delta)),
        Mutant(claim, "N for N-1 in L", odds, lambda f: lambda n, w: f(n + 1, w)),
        Mutant(claim, "delta for delta/(N-1)", quantile, lambda f: lambda n, delta: f(2, delta)),
        Mutant(claim, "two-sided delta/2", quantile, lambda f: lambda n, delta: f(n, delta / 2)),
        Mutant(claim, "L without N-1", odds, lambda f: lambda n, w: np.log(w / (1 - w))),
        Mutant(
            claim, "odds upside down", odds, lambda f: lambda n, w: np.log((n - 1) * (1 - w) / w)
        ),
        Mutant(
            claim,
            "d_min and d_max exchanged",
            "wildmiddle.empirical.neighbours.extreme_distances",
            lambda f: lambda *given: f(*given)[:, ::-1],
        ),
    )


MUTANTS = (
    *_thresholds(
        "4.2.1", "wildmiddle.theory.posterior.sigma_plus", lambda z, m: (z + np.sqrt(z**2 + m)) / m
    ),
    *_thresholds(
        "4.2.2", "wildmiddle.theory.posterior.sigma_minus", lambda z, m: 1 / (z + np.sqrt(z**2 + m))
    ),
)
