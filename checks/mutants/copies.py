"""Slips in the bounds of images with copies."""

from typing import Any

import numpy as np

from wildmiddle.checks.mutants.mutant import slips
from wildmiddle.theory.copies import mean_by_prior
from wildmiddle.theory.posterior import decoding_error


def _other_way(_: Any) -> Any:
    def lower(d: Any, s: Any, r: Any) -> Any:
        return np.array([1 - mean_by_prior(decoding_error(d, level, -r), r) for level in s])

    return lower


MUTANTS = (
    *slips(
        "copies",
        "weight_lower",
        {
            "the same prior for all": lambda f: lambda d, s, r: f(d, s),
            "p_i/p_j for p_j/p_i": _other_way,
            "log(p_j/p_i) for sigma log(p_j/p_i)/d": lambda f: lambda d, s, r: f(d, s, r * d / s),
            "half the ratio's logarithm": lambda f: lambda d, s, r: f(d, s, r / 2),
        },
    ),
    *slips(
        "copies",
        "posterior_entropy",
        {
            "log N for H(p)": lambda f: lambda d, s, r: f(d, s),
            "p_i/p_j for p_j/p_i in the entropy": lambda f: lambda d, s, r: f(d, s, -r),
        },
    ),
    *slips(
        "copies",
        "copying_lower",
        {
            "copies that count for nothing": lambda f: lambda r, d, s, p: f(r, d, s),
            "p_a/p_j for p_j/p_a": lambda f: lambda r, d, s, p: f(r, d, s, 1 / p),
        },
    ),
)
