"""Sections E.1 and E.7: nothing is compared with measurements, so there are no wrong theorems."""

from wildmiddle.checks.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = ()

NO_CHECK = {
    "E.1": "a definition",
    "E.7": "identities, proved step by step; Lemma A.1 is checked across the conversion",
}
"""Why these claims have no check of their own."""
