"""Slips in Lemma 4.5 and Lemma B.1."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import chndtr

from wildmiddle.checks.mutants.mutant import Mutant, slips
from wildmiddle.theory.constants import SHELL_WIDTH


def _radii(inner: Callable[..., Any], outer: Callable[..., Any]) -> Callable[[Any], Any]:
    def wrong(_: Any) -> Any:
        def radii(d: Any, c: Any = SHELL_WIDTH) -> Any:
            d, c = np.asarray(d, float), np.asarray(c, float)
            return np.sqrt(np.maximum(inner(d, c), 0)), np.sqrt(outer(d, c))

        return radii

    return wrong


def _in(d: Any, c: Any) -> Any:
    return d - 2 * np.sqrt(c * d)


def _out(d: Any, c: Any) -> Any:
    return d + 2 * np.sqrt(c * d) + 2 * c


MUTANTS = (
    *slips(
        "4.5",
        "radii",
        {
            "r_out without 2c": _radii(_in, lambda d, c: d + 2 * np.sqrt(c * d)),
            "c for 2c in r_out": _radii(_in, lambda d, c: _out(d, c) - c),
            "r_in with a plus": _radii(lambda d, c: d + 2 * np.sqrt(c * d), _out),
            "sqrt(cd) for 2 sqrt(cd)": _radii(
                lambda d, c: d - np.sqrt(c * d), lambda d, c: d + np.sqrt(c * d) + 2 * c
            ),
            "c for sqrt(c)": _radii(lambda d, c: d - 2 * c * np.sqrt(d), _out),
        },
    ),
    *slips(
        "4.5",
        "shell_bound",
        {
            "2 e^-2c for 2 e^-c": lambda f: lambda c: f(2 * c),
        },
    ),
    Mutant(
        "4.5",
        "one-sided e^-c for two-sided 2 e^-c",
        "shell_bound",
        lambda f: lambda c: 1 - np.exp(-c),
        true_because="stronger and, wherever we looked, true: at c = 5 both exact tails together "
        "are below 1.6e-3 for every d, under a quarter of e^-c",
    ),
    *slips(
        "4.5",
        "tail_bounds",
        {
            "Lemma B.1 with e^-2t": lambda f: lambda d, t: (*f(d, t)[:2], f(d, 2 * t)[2]),
            "Lemma B.1 without 2t": lambda f: (
                lambda d, t: (f(d, t)[0], f(d, t)[1] - 2 * t, f(d, t)[2])
            ),
        },
    ),
    *slips(
        "4.5",
        "shell_probability",
        {
            "d - 1 degrees of freedom": lambda f: (
                lambda d, c=SHELL_WIDTH: (
                    chndtr(_out(d, c), d - 0.999, 0) - chndtr(_in(d, c), d - 0.999, 0)
                )
            ),
        },
    ),
)

NO_CHECK = {
    "eq.6": "a definition; every check of a shell measures by it",
    "B.1": "checked with Lemma 4.5, whose two sides it is",
}
"""Why these claims have no check of their own."""
