"""Slips in the limits of the population's coverage."""

import numpy as np

from wildmiddle.checks.mutants.mutant import slips

MUTANTS = (
    *slips(
        "population",
        "least_mean",
        {
            "the mean itself, no limit": lambda f: lambda mean, m, alpha: np.asarray(mean),
            "2 M for M": lambda f: lambda mean, m, alpha: f(mean, 2 * m, alpha),
            "log(1/alpha) not divided by M": lambda f: lambda mean, m, alpha: f(mean, 1, alpha),
            "alpha^2 for alpha": lambda f: lambda mean, m, alpha: f(mean, m, alpha**2),
            "square root of alpha": lambda f: lambda mean, m, alpha: f(mean, m, np.sqrt(alpha)),
        },
    ),
    *slips(
        "population",
        "coverage_lower",
        {
            "the mean of the held-out images, no limit": lambda f: (
                lambda r, s, d, alpha, c: f(r, s, d, 1 - 1e-12, c)
            ),
            "the upper limit": lambda f: lambda *given: 1 - f(*given),
        },
    ),
    *slips(
        "population",
        "coverage_upper",
        {
            "the nearest shell alone, no N": lambda f: lambda r, s, n, *rest: f(r, s, 1, *rest) / 2,
            "the lower limit": lambda f: lambda *given: 1 - f(*given),
            "the mean, no limit": lambda f: (
                lambda r, s, n, d, alpha, c: f(r, s, n, d, 1 - 1e-12, c)
            ),
        },
    ),
)
