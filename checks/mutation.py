"""Proof that the checks can fail: each is run against theorems with a plausible slip.

The check of a mutant's claim is given a wrong formula in the place of the right one; the mutant is
killed by the first record that is violated, or by an error.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from inspect import signature

import numpy as np

from wildmiddle.checks.mutants.mutant import Mutant
from wildmiddle.checks.records import Record
from wildmiddle.checks.registry import checks
from wildmiddle.checks.study import Study


@dataclass(frozen=True)
class Trial:
    """What became of one mutant."""

    mutant: Mutant
    killer: str
    """The comparison that was violated, or the error that was raised; empty where it survived."""
    seconds: float

    @property
    def fate(self) -> str:
        """``killed``, ``survived``, or ``true`` for a survivor that states no falsehood."""
        if self.killer:
            return "killed"
        return "true" if self.mutant.true_because else "survived"


def run(study: Study, alpha: float, mutants: Iterable[Mutant]) -> Iterator[Trial]:
    """Run the check of each mutant against it, at the given error rate per claim."""
    for mutant in mutants:
        started = time.perf_counter()
        killer = ""
        # A wrong formula may well leave the numbers; the nan that it gives ends the check.
        with np.errstate(all="ignore"):
            try:
                for record in records(mutant, study, alpha):
                    if record.verdict == "violated":
                        killer = f"{record.instance}: {record.quantity} {record.relation}"
                        break
            except (ValueError, ArithmeticError) as error:
                killer = f"{type(error).__name__}: {error}"
        yield Trial(mutant, killer, time.perf_counter() - started)


def records(mutant: Mutant, study: Study, alpha: float) -> Iterator[Record]:
    """What the check says of the wrong theorem."""
    check = checks()[mutant.check]
    right = signature(check).parameters[mutant.formula].default
    return check(study, alpha, **{mutant.formula: mutant.wrong(right)})
