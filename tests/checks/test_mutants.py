"""Every wrong theorem that states a falsehood is killed, at the default sample counts."""

import sys
from collections import Counter
from inspect import signature

import numpy as np
import pytest

from wildmiddle.checks.mutants.mutant import Mutant
from wildmiddle.checks.mutation import run
from wildmiddle.checks.registry import checks, mutants
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.empirical.data import load

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


@pytest.mark.parametrize("claim", checks())
def test_every_formula_of_a_check_is_a_parameter_and_is_passed_down(claim: str) -> None:
    """A check calls a formula by its parameter, never the theory's own function past it."""
    images = np.random.default_rng(20261125).uniform(-1, 1, (50, 4, 4))
    small = Study(images[:30], images[30:], Settings(c=0.9, samples=100, device="cpu"))
    check = checks()[claim]
    formulas = {
        name: each.default for name, each in signature(check).parameters.items() if name != "study"
    }
    del formulas["alpha"]
    calls: Counter[str] = Counter()

    def spy(name: str, formula):
        def called(*given, **named):
            calls[name] += 1
            return formula(*given, **named)

        return called if callable(formula) else formula

    codes = {f.__code__: name for name, f in formulas.items() if hasattr(f, "__code__")}
    past: set[str] = set()

    def watch(frame, event, _) -> None:
        if event == "call" and frame.f_code in codes:
            caller = frame.f_back.f_globals["__name__"]
            if caller.startswith("wildmiddle.checks."):
                past.add(f"{codes[frame.f_code]} from {caller}")

    sys.setprofile(watch)
    try:
        records = list(check(small, 1e-3, **{name: spy(name, f) for name, f in formulas.items()}))
    finally:
        sys.setprofile(None)
    assert records
    assert not past
    assert set(calls) == {name for name, f in formulas.items() if callable(f)}


def test_an_error_kills(study: Study) -> None:
    def broken(*given: object) -> float:
        raise ValueError("no")

    (trial,) = run(study, ALPHA, [Mutant("4.2.1", "raises", "sigma_plus", lambda _: broken)])
    assert trial.fate == "killed"
    assert trial.killer == "ValueError: no"


@pytest.mark.parametrize("claim", checks())
def test_a_mutant_that_changes_nothing_survives(study: Study, claim: str) -> None:
    formula = list(signature(checks()[claim]).parameters)[2]
    (trial,) = run(study, ALPHA, [Mutant(claim, "nothing changed", formula, lambda f: f)])
    assert trial.fate == "survived"


def test_a_formula_that_the_check_does_not_take_is_no_kill(study: Study) -> None:
    with pytest.raises(KeyError, match="radii"):
        list(run(study, ALPHA, [Mutant("4.2.1", "elsewhere", "radii", lambda f: f)]))
