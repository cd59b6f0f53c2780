"""Every wrong theorem that states a falsehood is killed, at the default sample counts."""

import ast
import sys
from collections import Counter
from inspect import getsource, signature
from types import FrameType
from typing import Any

import numpy as np
import pytest

from wildmiddle.checks.mutants.mutant import Mutant
from wildmiddle.checks.mutation import run
from wildmiddle.checks.registry import checks, mutants
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.empirical.data import load

SEED = 20261125
ALPHA = 1e-6 / len(checks())


@pytest.fixture(scope="module")
def study() -> Study:
    digits = load()
    return Study(digits.train, digits.test, Settings(device="cpu"))


@pytest.fixture(scope="module")
def fates(study: Study) -> dict[Mutant, tuple[str, str]]:
    """Fate and killer of each mutant, all of them run once in their order."""
    return {trial.mutant: (trial.fate, trial.killer) for trial in run(study, ALPHA, mutants())}


@pytest.mark.parametrize("claim", checks())
def test_every_falsehood_is_killed(fates: dict[Mutant, tuple[str, str]], claim: str) -> None:
    mine = {mutant.name: fate for mutant, (fate, _) in fates.items() if mutant.check == claim}
    assert len(mine) == sum(each.check == claim for each in mutants()), "two mutants of one name"
    survivors = [name for name, fate in mine.items() if fate == "survived"]
    assert not survivors, f"{claim}: {survivors} survived"


def test_what_states_no_falsehood_survives(fates: dict[Mutant, tuple[str, str]]) -> None:
    excused = {mutant.name for mutant in mutants() if mutant.true_because}
    true = {mutant.name for mutant, (fate, _) in fates.items() if fate == "true"}
    # No probability is above 1, but at one training image the bound is claimed to be an equality.
    assert excused - true == {"max for min"}


def test_a_mutant_leaves_nothing_behind(study: Study, fates: dict[Mutant, tuple[str, str]]) -> None:
    again = {each.mutant: (each.fate, each.killer) for each in run(study, ALPHA, mutants()[::-1])}
    assert again == fates


def test_there_are_enough_of_them() -> None:
    counts = Counter(mutant.check for mutant in mutants())
    assert set(counts) == set(checks())
    assert min(counts.values()) >= 4
    assert len(mutants()) >= 123


def formulas_of(claim: str) -> dict[str, Any]:
    """The formulas that a check takes: its keyword parameters and their defaults."""
    parameters = signature(checks()[claim]).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


@pytest.mark.parametrize("claim", checks())
def test_a_check_uses_a_formula_by_its_parameter_alone(claim: str) -> None:
    """Given a formula, no check calls the theory's own function past it."""
    images = np.random.default_rng(SEED).uniform(-1, 1, (50, 4, 4))
    small = Study(images[:30], images[30:], Settings(c=0.9, samples=100, device="cpu"))
    formulas = {name: f for name, f in formulas_of(claim).items() if callable(f)}
    own = {f.__code__: name for name, f in formulas.items() if hasattr(f, "__code__")}
    used, past = set(), set()

    def given(name: str) -> Any:
        def formula(*values: Any, **named: Any) -> Any:
            used.add(name)
            return formulas[name](*values, **named)

        return formula

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in own and frame.f_back:
            caller = frame.f_back.f_globals["__name__"]
            if caller.startswith("wildmiddle.checks."):
                past.add(f"{own[frame.f_code]} from {caller}")

    sys.setprofile(watch)
    try:
        records = list(checks()[claim](small, 1e-3, **{name: given(name) for name in formulas}))
    finally:
        sys.setprofile(None)
    assert records
    assert used == set(formulas)
    assert not past


@pytest.mark.parametrize("claim", checks())
def test_a_check_uses_a_constant_by_its_parameter_alone(claim: str) -> None:
    check = checks()[claim]
    (function,) = ast.parse(getsource(check)).body
    assert isinstance(function, ast.FunctionDef)
    source = getsource(sys.modules[check.__module__])
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if default and not callable(formulas_of(claim)[argument.arg]):
            assert source.count(ast.unparse(default)) == 1, ast.unparse(default)


def test_an_error_kills(study: Study) -> None:
    def broken(*given: object) -> float:
        raise ValueError("no")

    (trial,) = run(study, ALPHA, [Mutant("4.2.1", "raises", "sigma_plus", lambda _: broken)])
    assert trial.fate == "killed"
    assert trial.killer == "ValueError: no"


@pytest.mark.parametrize("claim", checks())
def test_a_mutant_that_changes_nothing_survives(study: Study, claim: str) -> None:
    formula = next(iter(formulas_of(claim)))
    (trial,) = run(study, ALPHA, [Mutant(claim, "nothing changed", formula, lambda f: f)])
    assert trial.fate == "survived"


def test_a_formula_that_the_check_does_not_take_is_no_kill(study: Study) -> None:
    with pytest.raises(KeyError, match="radii"):
        list(run(study, ALPHA, [Mutant("4.2.1", "elsewhere", "radii", lambda f: f)]))
