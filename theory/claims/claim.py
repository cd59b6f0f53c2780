"""What it takes to state one numbered statement so that a machine can check and evaluate it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce, wraps
from inspect import Parameter, signature
from pkgutil import resolve_name
from typing import Any

import numpy as np

SYMBOLS = {
    "n": "N",
    "m": "M",
    "steps": "n",
    "timesteps": "T",
    "distance": "r",
    "nearest": "r_nn",
    "min_distance": "d_min",
    "diameter": "diam",
    "to_points": "r_j",
    "from_nearest": "d_j",
    "covariance": "S",
    "prior": "p",
    "hit_probability": "q",
    "ball": "K",
    "length": "B",
    "correlation": "a",
    "eigenvalue": "lambda_0",
    "lowest": "lambda_min",
    "highest": "lambda_max",
    "s1": "S1",
    "s2": "S2",
}
"""The paper's symbol, written out, of a function's parameter; any other parameter is its own."""


def parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The parameters of ``function`` by the paper's symbols."""
    return {SYMBOLS.get(name, name): each for name, each in signature(function).parameters.items()}


def then(function: Callable[..., Any], *steps: Callable[[Any], Any]) -> Callable[..., Any]:
    """The function of the same parameters whose result has gone through ``steps`` in turn."""

    @wraps(function)
    def composed(*arguments: Any, **named: Any) -> Any:
        return reduce(lambda value, step: step(value), steps, function(*arguments, **named))

    return composed


@dataclass(frozen=True)
class Assumption:
    """A condition of a claim, in words and as a predicate over arrays of the claim's values."""

    text: str
    holds: Callable[..., Any]

    def check(self, values: dict[str, Any]) -> bool | None:
        """Whether it holds at ``values``, or None where one of its arguments is not given."""
        needed = parameters(self.holds)
        if not set(needed) <= set(values):
            return None
        given = {each.name: np.asarray(values[symbol]) for symbol, each in needed.items()}
        return bool(np.all(self.holds(**given)))


@dataclass(frozen=True)
class Claim:
    """One numbered statement of arXiv 2602.17846.

    The names that ``assumptions``, ``evaluate`` and ``expression`` share are the paper's symbols,
    written out: N, d, c, w, delta, sigma, d_min, d_max, ... ``SYMBOLS`` has those that functions
    name in another way.
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
    expression: str
    """Where its formula is in :mod:`wildmiddle.theory.proofs`, such as ``posterior:sigma_plus``."""
    evaluate: dict[str, Callable[..., Any]]
    """The numeric functions behind it: result name to a function of the named values."""
    tight: str
    """The instance in which it is an equality, or why there is none."""
    sharper: str
    """The sharper form beside it and the function that computes it, or why there is none."""
    module: str
    """The subject's module in ``theory``, and in ``empirical`` where it is measured."""

    def formula(self) -> Any:
        """The statement's formula, a sympy expression with named symbols; imports sympy."""
        return resolve_name(f"wildmiddle.theory.proofs.{self.expression}")

    def missing(self, values: dict[str, Any]) -> dict[str, list[str]]:
        """For each numeric function, the arguments that ``values`` does not give."""
        return {
            name: [
                symbol
                for symbol, parameter in parameters(function).items()
                if parameter.default is parameter.empty and symbol not in values
            ]
            for name, function in self.evaluate.items()
        }

    def defaults(self) -> dict[str, float]:
        """The numbers that stand for arguments which are not given."""
        return {
            symbol: parameter.default
            for function in self.evaluate.values()
            for symbol, parameter in parameters(function).items()
            if isinstance(parameter.default, int | float)
        }

    def at(self, values: dict[str, Any]) -> dict[str, Any]:
        """Evaluate every numeric function whose arguments ``values`` gives.

        Raises ValueError for a value outside of a function's domain.
        """
        return {
            name: self.evaluate[name](
                **{
                    parameter.name: values[symbol]
                    for symbol, parameter in parameters(self.evaluate[name]).items()
                    if symbol in values
                }
            )
            for name, gap in self.missing(values).items()
            if not gap
        }
