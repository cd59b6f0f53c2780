"""Slips in Theorems 4.9 and B.6."""

import numpy as np

from wildmiddle.checks.mutants.mutant import Mutant
from wildmiddle.theory import shells
from wildmiddle.theory.small_noise import shell_overlap

MUTANTS = (
    Mutant(
        "4.9", "r_out for 2 r_out", "disjoint_sigma", lambda f: lambda r, d, c=5.0: 2 * f(r, d, c)
    ),
    Mutant(
        "4.9", "4 r_out for 2 r_out", "disjoint_sigma", lambda f: lambda r, d, c=5.0: f(r, d, c) / 2
    ),
    Mutant(
        "4.9",
        "r_in for r_out",
        "disjoint_sigma",
        lambda f: lambda r, d, c=5.0: r / (2 * shells.radii(d, c)[0]),
    ),
    Mutant(
        "4.9",
        "sqrt(d) for r_out",
        "disjoint_sigma",
        lambda f: lambda r, d, c=5.0: r / (2 * np.sqrt(d)),
    ),
    Mutant("4.9", "r^2 for r^2/2", "two_point_minimum", lambda f: lambda *given: 2 * f(*given)),
    Mutant("4.9", "r^2/4 for r^2/2", "two_point_minimum", lambda f: lambda *given: f(*given) / 2),
    Mutant(
        "4.9",
        "minimum 0 although shells overlap",
        "two_point_minimum",
        lambda f: lambda *given: 0.0,
    ),
    Mutant(
        "4.9",
        "another dimension in the overlap",
        "two_point_minimum",
        lambda f: lambda r, sigma, d, c=5.0: r**2 / 2 * shell_overlap(r, sigma, d + 2, c),
    ),
)
