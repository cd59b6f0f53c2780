"""Slips in the spectrum's bound on the information and in the collapse scale."""

import numpy as np

from wildmiddle.checks.mutants.mutant import slips

MUTANTS = (
    *slips(
        "spectrum",
        "entropy_lower",
        {
            "sigma for sigma^2": lambda f: lambda e, n, s: f(e, n, np.sqrt(s)),
            "2 sigma^2 for sigma^2": lambda f: lambda e, n, s: f(np.divide(e, 2), n, s),
            "no factor 1/2": lambda f: lambda e, n, s: f(np.concatenate([e, e]), n, s),
            "1/4 for 1/2": lambda f: lambda e, n, s: (f(e, n, s) + np.log(n)) / 2,
            "the largest eigenvalue alone": lambda f: lambda e, n, s: f(np.max(e), n, s),
            "log of the trace, one channel": lambda f: lambda e, n, s: f(np.sum(e), n, s),
            "the mean eigenvalue along every axis": lambda f: (
                lambda e, n, s: f(np.full(np.shape(e), np.mean(e)), n, s)
            ),
            "sums of squares, not divided by N": lambda f: (
                lambda e, n, s: f(np.multiply(e, n), n, s)
            ),
        },
    ),
    *slips(
        "spectrum",
        "weight_of_spectrum",
        {
            "the lower the entropy, the lower W": lambda f: lambda e, n, s: 1 / n / f(e, n, s),
            "Fano's inequality for 2 log N": lambda f: (
                lambda e, n, s: f(np.divide(e, 9), n, s) ** 2
            ),
        },
    ),
    *slips(
        "spectrum",
        "collapse_scale",
        {
            "N^2 for N": lambda f: lambda e, n: f(e, n**2),
            "sigma^2 for sigma": lambda f: lambda e, n: f(e, n) ** 2,
            "d log N for log N": lambda f: lambda e, n: f(e, n) / 2,
        },
    ),
)
