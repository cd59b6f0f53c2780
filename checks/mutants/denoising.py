"""Equations 1 to 5: nothing is compared with measurements, so there are no wrong theorems."""

from wildmiddle.checks.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()

NO_CHECK = {
    "eq.1": "an identity, proved step by step; the experiments train by it",
    "eq.2": "an identity; every check of a denoiser measures by it",
    "eq.3": "an identity; every check of a posterior weight measures by it",
    "eq.4": "an identity, proved step by step",
    "eq.5": "a definition",
}
"""Why these claims have no check of their own."""
