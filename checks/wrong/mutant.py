"""One wrong theorem: what is replaced, by what, and in which claim's check."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """One slip: in the check of ``claim``, ``target`` becomes ``wrong(target)``."""

    claim: str
    name: str
    target: str
    """Dotted name of the function or constant."""
    wrong: Callable[[Any], Any]
    true_because: str = ""
    """Why the altered statement is no falsehood, and what it gives away; empty where it is one."""
