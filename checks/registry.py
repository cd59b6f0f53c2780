"""Every check, wrong theorem and sharper form, collected from the modules of the subjects.

A subject has one name everywhere: its claims are in ``theory/claims``, their checks in the
``CHECKS`` of the module of that name here, the wrong theorems in the ``MUTANTS`` of the module of
that name in ``checks/mutants``, or in its ``NO_CHECK`` why there is none. The order is that of the
theory.
"""

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wildmiddle.theory import SUBJECTS
from wildmiddle.theory.claims import Claim

if TYPE_CHECKING:
    from wildmiddle.checks.mutants.mutant import Mutant
    from wildmiddle.checks.records import Record
    from wildmiddle.checks.sharper import Sharper
    from wildmiddle.checks.study import Study

Check = Callable[..., "Iterator[Record]"]
"""``check(study, alpha, *, formula=theory.formula, ...)``: the records of one claim.

``alpha`` is the error rate of all of them together. Each formula of the theory that the claim
states is a keyword parameter, so that a wrong one can be tried in its place.
"""

Formula = Callable[..., Any]
"""A function of the theory that a check takes as a parameter."""


@cache
def checks() -> dict[str, Check]:
    """Check by claim id, in the order of the theory. Imports torch."""
    return {claim: each for subject in _subjects() for claim, each in subject.CHECKS.items()}


@cache
def mutants() -> tuple["Mutant", ...]:
    """All wrong theorems, in the order of the theory. Needs no torch."""
    return tuple(mutant for subject in _subjects("mutants") for mutant in subject.MUTANTS)


@cache
def reasons_for_no_check() -> dict[str, str]:
    """Why a claim has no check, by claim id, for all that have none. Needs no torch."""
    found: dict[str, str] = {}
    for subject in _subjects("mutants"):
        found |= getattr(subject, "NO_CHECK", {})
    return found


def names_of_wrong_theorems(claim: Claim) -> list[str]:
    """What the claim's check refutes: the names of its mutants that state a falsehood."""
    return [each.name for each in mutants() if each.check == claim.id and not each.true_because]


def files(claim: Claim) -> tuple[str, ...]:
    """The claim's formulas, proof steps, tests, check and wrong theorems: paths in the repository.

    The last three where there is a check.
    """
    name = f"{claim.module}.py"
    theory = (f"theory/{name}", f"theory/proofs/{name}", f"tests/theory/test_claims_{name}")
    if claim.id in reasons_for_no_check():
        return theory
    return (*theory, f"checks/{name}", f"checks/mutants/{name}", "tests/checks/test_mutants.py")


def sharper_forms(study: "Study") -> tuple["Sharper", ...]:
    """The sharper forms beside the paper's, for one study; the same study gives the same rows.

    A row is left out where the data give it no instance: no image without a copy, flat data for
    the torus.
    """
    subjects = (subject for subject in _subjects() if hasattr(subject, "sharper"))
    return tuple(row for subject in subjects for row in subject.sharper(study))


def _subjects(*folder: str) -> list[ModuleType]:
    # The modules here, or in a folder here, that are named after a subject of the theory.
    package = ".".join(("wildmiddle.checks", *folder))
    there = {module.name for module in iter_modules(import_module(package).__path__)}
    return [import_module(f"{package}.{name}") for name in SUBJECTS if name in there]
