"""Slips in Theorems 4.9 and B.6."""

import numpy as np

from wildmiddle.checks.mutants.mutant import slips
from wildmiddle.theory import shells
from wildmiddle.theory.constants import SHELL_WIDTH
from wildmiddle.theory.small_noise import shell_overlap

MUTANTS = (
    *slips(
        "4.9",
        "disjoint_sigma",
        {
            "r_out for 2 r_out": lambda f: lambda r, d, c=SHELL_WIDTH: 2 * f(r, d, c),
            "4 r_out for 2 r_out": lambda f: lambda r, d, c=SHELL_WIDTH: f(r, d, c) / 2,
            "r_in for r_out": lambda f: lambda r, d, c=SHELL_WIDTH: r / (2 * shells.radii(d, c)[0]),
            "sqrt(d) for r_out": lambda f: lambda r, d, c=SHELL_WIDTH: r / (2 * np.sqrt(d)),
        },
    ),
    *slips(
        "4.9",
        "two_point_minimum",
        {
            "r^2 for r^2/2": lambda f: lambda *given: 2 * f(*given),
            "r^2/4 for r^2/2": lambda f: lambda *given: f(*given) / 2,
            "minimum 0 although shells overlap": lambda f: lambda *given: 0.0,
            "another dimension in the overlap": lambda f: (
                lambda r, sigma, d, c=SHELL_WIDTH: r**2 / 2 * shell_overlap(r, sigma, d + 2, c)
            ),
        },
    ),
)
