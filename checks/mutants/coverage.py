"""Slips in Definition 4.7 and Theorem 4.8."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import chndtr

from wildmiddle.checks.mutants.mutant import Mutant, slips
from wildmiddle.theory import shells
from wildmiddle.theory.constants import SHELL_WIDTH


def _overlap(formula: Callable[..., Any]) -> Callable[[Any], Any]:
    # formula(ratio, d, r_in^2, r_out^2) in place of the noncentral chi-square difference.
    def wrong(_: Any) -> Any:
        def overlap(distance: Any, sigma: Any, d: Any, c: Any = SHELL_WIDTH) -> Any:
            r_in, r_out = shells.radii(d, c)
            return formula(np.asarray(distance) / sigma, d, r_in**2, r_out**2)

        return overlap

    return wrong


MUTANTS = (
    *slips(
        "4.7",
        "overlap_probability",
        {
            "lambda = r/sigma": _overlap(lambda u, d, a, b: chndtr(b, d, u) - chndtr(a, d, u)),
            "lambda = 2 (r/sigma)^2": _overlap(
                lambda u, d, a, b: chndtr(b, d, 2 * u**2) - chndtr(a, d, 2 * u**2)
            ),
            "lambda = (r/sigma)^2 / 2": _overlap(
                lambda u, d, a, b: chndtr(b, d, u**2 / 2) - chndtr(a, d, u**2 / 2)
            ),
            "one-sided: no inner radius": _overlap(lambda u, d, a, b: chndtr(b, d, u**2)),
            "d + 1 degrees of freedom": _overlap(
                lambda u, d, a, b: chndtr(b, d + 1, u**2) - chndtr(a, d + 1, u**2)
            ),
            "central law, shifted shell": _overlap(
                lambda u, d, a, b: chndtr(np.maximum(b - u**2, 0), d, 0)
            ),
            "sigma^2 for sigma": lambda f: lambda r, sigma, d, c=SHELL_WIDTH: f(r, sigma**2, d, c),
            "the complement": lambda f: lambda r, sigma, d, c=SHELL_WIDTH: 1 - f(r, sigma, d, c),
        },
    ),
    *slips(
        "4.8",
        "upper_bound",
        {
            "N-1 for N": lambda f: lambda p, n: np.minimum(1, (n - 1) * p),
            "no N": lambda f: lambda p, n: p,
            "N/2 for N": lambda f: lambda p, n: np.minimum(1, n * p / 2),
            "sqrt(N) for N": lambda f: lambda p, n: np.minimum(1, np.sqrt(n) * p),
        },
    ),
    Mutant(
        "4.8",
        "max for min",
        "upper_bound",
        lambda f: lambda p, n: np.maximum(1, n * p),
        true_because="true and empty: no probability is above 1",
    ),
    *slips(
        "4.8",
        "lower_bound",
        {
            "lower bound doubled": lambda f: lambda *given: np.minimum(1, 2 * f(*given)),
            "half the nearest distance": lambda f: lambda r, *rest: f(r / 2, *rest),
            "squared distance": lambda f: lambda r, *rest: f(r**2 / 100, *rest),
            "complement": lambda f: lambda *given: 1 - f(*given),
        },
    ),
    *slips(
        "4.8",
        "expected_coverage",
        {
            "q^N for (1-q)^N": lambda f: lambda q, n: 1 - q**n,
            "N q without overlaps": lambda f: lambda q, n: np.minimum(1, n * q),
            "N/2 in the exponent": lambda f: lambda q, n: f(q, max(n / 2, 1)),
        },
    ),
    *slips(
        "4.8",
        "second_order_upper",
        {
            "2 S2 for 2 S2/N": lambda f: lambda s1, s2, n: np.clip(s1 - 2 * s2, 0, 1),
        },
    ),
    *slips(
        "4.8",
        "dawson_sankoff_lower",
        {
            "S1 alone as a lower bound": lambda f: lambda s1, s2: np.minimum(1, s1),
        },
    ),
)

NO_CHECK = {
    "4.6": "a definition; the bounds on it are checked with Theorem 4.8",
    "B.2": "an identity, proved step by step",
    "B.3": "checked with Theorem 4.8, over random training sets",
    "B.4": "checked with Definition 4.7, on whole vectors in a random direction",
    "B.5": "checked with Theorem 4.8, over noised points and the shells of others",
}
"""Why these claims have no check of their own."""
