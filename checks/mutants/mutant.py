"""One wrong theorem: which check it is tried on, which formula is wrong, and how."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """One slip: the check of claim ``check`` is given ``wrong(formula)`` for its ``formula``."""

    check: str
    """Claim id; a string, so that the mutants can be listed without the checks."""
    name: str
    formula: str
    """Name of the check's keyword parameter."""
    wrong: Callable[[Any], Any]
    """Takes the right formula, or constant, and returns the wrong one."""
    true_because: str = ""
    """Why the altered statement is no falsehood, and what it gives away; empty where it is one."""


def slips(check: str, formula: str, wrong: dict[str, Callable[[Any], Any]]) -> tuple[Mutant, ...]:
    """Several slips in one formula, by name."""
    return tuple(Mutant(check, name, formula, each) for name, each in wrong.items())
