"""The registry of wrong theorems: for each checked claim the slips that a hand would make."""

from wildmiddle.checks.wrong import (
    coverage,
    flow_matching,
    large_noise,
    locality,
    posterior,
    regimes,
    shells,
    small_noise,
)
from wildmiddle.checks.wrong.mutant import Mutant

__all__ = ["MUTANTS", "Mutant"]

MUTANTS: tuple[Mutant, ...] = (
    *posterior.MUTANTS,
    *shells.MUTANTS,
    *coverage.MUTANTS,
    *small_noise.MUTANTS,
    *locality.MUTANTS,
    *large_noise.MUTANTS,
    *flow_matching.MUTANTS,
    *regimes.MUTANTS,
)
