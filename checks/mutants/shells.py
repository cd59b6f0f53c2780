"""Slips in Lemma 4.5 and Lemma B.1."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import chndtr

from wildmiddle.checks.mutants.mutant import Mutant


def _radii(inner: Callable[..., Any], outer: Callable[..., Any]) -> Callable[[Any], Any]:
    def wrong(_: Any) -> Any:
        def radii(d: Any, c: Any = 5.0) -> Any:
            d, c = np.asarray(d, float), np.asarray(c, float)
            return np.sqrt(np.maximum(inner(d, c), 0)), np.sqrt(outer(d, c))

        return radii

    return wrong


def _in(d: Any, c: Any) -> Any:
    return d - 2 * np.sqrt(c * d)


def _out(d: Any, c: Any) -> Any:
    return d + 2 * np.sqrt(c * d) + 2 * c


MUTANTS = (
    Mutant("4.5", "r_out without 2c", "radii", _radii(_in, lambda d, c: d + 2 * np.sqrt(c * d))),
    Mutant("4.5", "c for 2c in r_out", "radii", _radii(_in, lambda d, c: _out(d, c) - c)),
    Mutant("4.5", "r_in with a plus", "radii", _radii(lambda d, c: d + 2 * np.sqrt(c * d), _out)),
    Mutant(
        "4.5",
        "sqrt(cd) for 2 sqrt(cd)",
        "radii",
        _radii(lambda d, c: d - np.sqrt(c * d), lambda d, c: d + np.sqrt(c * d) + 2 * c),
    ),
    Mutant("4.5", "c for sqrt(c)", "radii", _radii(lambda d, c: d - 2 * c * np.sqrt(d), _out)),
    Mutant(
        "4.5",
        "2 e^-2c for 2 e^-c",
        "shell_bound",
        lambda f: lambda c: f(2 * c),
    ),
    Mutant(
        "4.5",
        "one-sided e^-c for two-sided 2 e^-c",
        "shell_bound",
        lambda f: lambda c: 1 - np.exp(-c),
        true_because="stronger and, wherever we looked, true: at c = 5 both exact tails together "
        "are below 1.6e-3 for every d, under a quarter of e^-c",
    ),
    Mutant(
        "4.5",
        "Lemma B.1 with e^-2t",
        "tail_bounds",
        lambda f: lambda d, t: (*f(d, t)[:2], f(d, 2 * t)[2]),
    ),
    Mutant(
        "4.5",
        "Lemma B.1 without 2t",
        "tail_bounds",
        lambda f: lambda d, t: (f(d, t)[0], f(d, t)[1] - 2 * t, f(d, t)[2]),
    ),
    Mutant(
        "4.5",
        "d - 1 degrees of freedom",
        "shell_probability",
        lambda f: (
            lambda d, c=5.0: chndtr(_out(d, c), d - 0.999, 0) - chndtr(_in(d, c), d - 0.999, 0)
        ),
    ),
)

NO_CHECK = {
    "eq.6": "a definition; every check of a shell measures by it",
    "B.1": "checked with Lemma 4.5, whose two sides it is",
}
"""Why these claims have no check of their own."""
