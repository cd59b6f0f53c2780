"""Proof that the checks can fail: each is run against theorems with a plausible slip.

A mutant replaces one function or constant of the theory, wherever it was imported, while the check
of one claim runs; it is killed by the first record that is violated, or by an error.
"""

import importlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from wildmiddle.checks.study import Study
from wildmiddle.checks.verify import CHECKS
from wildmiddle.checks.wrong import MUTANTS, Mutant


@dataclass(frozen=True)
class Outcome:
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


@contextmanager
def replaced(target: str, wrong: Callable[[Any], Any]) -> Iterator[None]:
    """Put ``wrong(original)`` in the place of ``module.name``, in every module that imported it.

    A function is replaced wherever the same object is bound; a constant in its own module alone.
    """
    home, _, name = target.rpartition(".")
    module = importlib.import_module(home)
    original = getattr(module, name)
    places = [(module, name)]
    if callable(original):
        places += [
            (other, bound)
            for key, other in list(sys.modules.items())
            if key.partition(".")[0] == "wildmiddle"
            for bound, value in list(vars(other).items())
            if value is original and (other, bound) != (module, name)
        ]
    substitute = wrong(original)
    try:
        for place, bound in places:
            setattr(place, bound, substitute)
        yield
    finally:
        for place, bound in places:
            setattr(place, bound, original)


def run(study: Study, alpha: float, mutants: Iterable[Mutant] = MUTANTS) -> Iterator[Outcome]:
    """Run the check of each mutant's claim against it, at the given error rate per claim."""
    for mutant in mutants:
        started = time.perf_counter()
        killer = ""
        # A wrong formula may well leave the numbers; the nan that it gives is a verdict too.
        with replaced(mutant.target, mutant.wrong), np.errstate(all="ignore"):
            try:
                for record in CHECKS[mutant.claim](study, alpha):
                    if record.verdict == "violated":
                        killer = f"{record.instance}: {record.quantity} {record.relation}"
                        break
            except (ValueError, ArithmeticError) as error:
                killer = f"{type(error).__name__}: {error}"
        yield Outcome(mutant, killer, time.perf_counter() - started)
