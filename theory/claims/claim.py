"""What it takes to state one numbered statement so that a machine can check and evaluate it."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Assumption:
    """A condition of a claim, in words and as a predicate over the claim's named values."""

    text: str
    holds: Callable[..., Any]

    def check(self, values: dict[str, Any]) -> bool | None:
        """Whether it holds at ``values``, or None where one of its arguments is not given."""
        names = signature(self.holds).parameters
        if not set(names) <= set(values):
            return None
        return bool(np.all(self.holds(**{name: values[name] for name in names})))


@dataclass(frozen=True)
class Claim:
    """One numbered statement of arXiv 2602.17846.

    The names that ``assumptions``, ``evaluate`` and ``expression`` share are the paper's symbols,
    written out: N, d, c, w, delta, sigma, d_min, d_max, ...
    """

    id: str
    """Short name for the command line, such as ``4.2.1``."""
    number: str
    """The paper's number, in words."""
    title: str
    """What it says, in one line."""
    statement: str
    """The statement in LaTeX."""
    assumptions: tuple[Assumption, ...]
    expression: Callable[[], Any]
    """Builds the statement's formula as a sympy expression with named symbols."""
    evaluate: dict[str, Callable[..., Any]]
    """The numeric functions behind it: result name to a function of the named values."""
    tight: str
    """The instance in which it is an equality, or why there is none."""
    sharper: str
    """The sharper form beside it and the function that computes it, or why there is none."""
    module: str
    """The subject's module in ``theory``, and in ``empirical`` where it is measured."""

    def missing(self, values: dict[str, Any]) -> dict[str, list[str]]:
        """For each numeric function, the arguments that ``values`` does not give."""
        return {
            name: [
                parameter.name
                for parameter in signature(function).parameters.values()
                if parameter.default is parameter.empty and parameter.name not in values
            ]
            for name, function in self.evaluate.items()
        }

    def at(self, values: dict[str, Any]) -> dict[str, Any]:
        """Evaluate every numeric function whose arguments ``values`` gives.

        Raises ValueError for a value outside of a function's domain.
        """
        gaps = self.missing(values)
        results = {}
        for name, function in self.evaluate.items():
            if not gaps[name]:
                known = signature(function).parameters
                results[name] = function(**{k: v for k, v in values.items() if k in known})
        return results
