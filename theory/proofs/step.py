"""One step of a proof that a machine checks: by algebra where sympy can, else at 50 digits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["symbolic", "numeric"]


@dataclass(frozen=True)
class Step:
    """A named proof step of one claim; ``check`` is true where the step holds.

    ``symbolic``: sympy reduces the difference of two independently built forms to zero, or decides
    the inequality. ``numeric``: sympy cannot; mpmath compares both sides at 50 digits.
    """

    claim: str
    name: str
    kind: Kind
    check: Callable[[], bool]


STEPS: list[Step] = []
"""All steps of the modules imported so far, in their order."""


def step(
    claim: str, name: str, kind: Kind = "symbolic"
) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
    """Enter the decorated function into ``STEPS`` as a step of ``claim``."""

    def enter(check: Callable[[], bool]) -> Callable[[], bool]:
        STEPS.append(Step(claim, name, kind, check))
        return check

    return enter
