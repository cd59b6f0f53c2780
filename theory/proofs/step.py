"""One step of a proof that a machine checks, what it covers, and a slip that makes it fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["proof", "instance", "numeric"]

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Step:
    """A named proof step of one claim; ``check()`` is true where the step holds.

    The kinds:

    - ``proof``: sympy shows it for every N, d and value that the name speaks of, by symbolic sums,
      by an induction step, or by algebra with vectors of no particular dimension;
    - ``instance``: sympy shows it, for all values of the symbols, at the few sizes that are named;
    - ``numeric``: both sides are compared at 50 digits, or exactly over a list of cases.

    ``wrong`` are arguments of ``check`` that put a slip into what it proves: with them it is false,
    so no step is true whatever the claim says.
    """

    claim: str
    name: str
    kind: Kind
    check: Callable[..., bool]
    wrong: Mapping[str, Any]


STEPS: list[Step] = []
"""All steps of the modules imported so far, in their order."""


def step(
    claim: str, name: str, kind: Kind = "proof", **wrong: Any
) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    """Enter the decorated function into ``STEPS`` as a step of ``claim``."""

    def enter(check: Callable[..., bool]) -> Callable[..., bool]:
        STEPS.append(Step(claim, name, kind, check, wrong))
        return check

    return enter
