"""Slips in Theorem 4.2."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wildmiddle.checks.mutants.mutant import Mutant, slips
from wildmiddle.theory.posterior import log_odds, union_quantile


def _part(claim: str, formula: str, root: Callable[..., Any], other: Any) -> tuple[Mutant, ...]:
    # root(z, 2L) is sigma over the distance; d_max of part 1 and d_min of part 2 alike.
    def slip(
        change: Callable[[Any, Any], tuple[Any, Any]] = lambda z, L: (z, 2 * L),
        quantile: Callable[[Any, Any], Any] = union_quantile,
        odds: Callable[[Any, Any], Any] = log_odds,
    ) -> Callable[[Any], Any]:
        def threshold(distance: Any, n: Any, w: Any, delta: Any) -> Any:
            return distance * root(*change(quantile(n, delta), odds(n, w)))

        return lambda _: threshold

    wrong = {
        "L for 2L": slip(lambda z, L: (z, L)),
        "4L for 2L": slip(lambda z, L: (z, 4 * L)),
        "z with the wrong sign": slip(lambda z, L: (-z, 2 * L)),
        "no z": slip(lambda z, L: (0 * z, 2 * L)),
        "N for N-1 in z": slip(quantile=lambda n, delta: union_quantile(n + 1, delta)),
        "N for N-1 in L": slip(odds=lambda n, w: log_odds(n + 1, w)),
        "delta for delta/(N-1)": slip(quantile=lambda n, delta: union_quantile(2, delta)),
        "two-sided delta/2": slip(quantile=lambda n, delta: union_quantile(n, delta / 2)),
        "L without N-1": slip(odds=lambda n, w: np.log(w / (1 - w))),
        "odds upside down": slip(odds=lambda n, w: np.log((n - 1) * (1 - w) / w)),
    }
    return (
        *slips(claim, formula, wrong),
        Mutant(claim, "d_min and d_max exchanged", "distance", lambda _: other),
    )


MUTANTS = (
    *_part("4.2.1", "sigma_plus", lambda z, m: (z + np.sqrt(z**2 + m)) / m, min),
    *_part("4.2.2", "sigma_minus", lambda z, m: 1 / (z + np.sqrt(z**2 + m)), max),
)

NO_CHECK = {
    "4.1": "a definition; the bounds on it are checked with Section 4.2",
    "4.3": "follows from Theorem 4.2, since both thresholds are proportional to the distance",
}
"""Why these claims have no check of their own."""
