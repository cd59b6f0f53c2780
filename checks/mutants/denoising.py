"""Slips in Equation 3, and why Equations 1, 2, 4 and 5 have no check."""

import numpy as np

from wildmiddle.checks.mutants.mutant import Mutant, slips

MUTANTS: tuple[Mutant, ...] = slips(
    "eq.3",
    "weights",
    {
        "sigma^2 for 2 sigma^2": lambda f: lambda y, x, sigma: f(y, x, sigma / np.sqrt(2)),
        "4 sigma^2 for 2 sigma^2": lambda f: lambda y, x, sigma: f(y, x, sigma * np.sqrt(2)),
        "sigma for sigma^2": lambda f: lambda y, x, sigma: f(y, x, np.sqrt(sigma)),
        "weights of the next point": lambda f: lambda y, x, sigma: np.roll(f(y, x, sigma), 1, -1),
        "the nearest point alone": lambda f: (
            lambda y, x, sigma: np.eye(len(x))[f(y, x, sigma).argmax(-1)]
        ),
        "1/N for all": lambda f: lambda y, x, sigma: np.full((len(y), len(x)), 1 / len(x)),
        "not divided by the sum": lambda f: (
            lambda y, x, sigma: f(y, x, sigma) / f(y, x, sigma).max(-1, keepdims=True)
        ),
    },
)

NO_CHECK = {
    "eq.1": "an identity, proved step by step; the experiments train by it",
    "eq.2": "an identity; every check of a denoiser measures by it",
    "eq.4": "an identity, proved step by step",
    "eq.5": "a definition",
}
"""Why these claims have no check of their own."""
