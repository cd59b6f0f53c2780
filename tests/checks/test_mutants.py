"""Every wrong theorem that states a falsehood is killed, at the default sample counts."""

from collections import Counter

import pytest

from wildmiddle.checks import mutants
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.checks.verify import CHECKS
from wildmiddle.checks.wrong import MUTANTS, Mutant
from wildmiddle.empirical.data import load
from wildmiddle.theory import posterior, shells

ALPHA = 1e-6 / len(CHECKS)


@pytest.fixture(scope="module")
def study() -> Study:
    digits = load()
    return Study(digits.train, digits.test, Settings(device="cpu"))


@pytest.mark.parametrize("claim", CHECKS)
def test_every_falsehood_is_killed(study: Study, claim: str) -> None:
    mine = [mutant for mutant in MUTANTS if mutant.claim == claim]
    fates = {outcome.mutant.name: outcome.fate for outcome in mutants.run(study, ALPHA, mine)}
    assert len(fates) == len(mine), "two mutants of one name"
    survivors = [name for name, fate in fates.items() if fate == "survived"]
    assert not survivors, (
        f"{claim}: {survivors} survived, n = {study.settings.samples}, seed = {study.settings.seed}"
    )


def test_there_are_enough_of_them() -> None:
    counts = Counter(mutant.claim for mutant in MUTANTS)
    assert set(counts) == set(CHECKS)
    assert min(counts.values()) >= 4
    assert len(MUTANTS) >= 60


def test_a_function_is_replaced_wherever_it_was_imported_and_put_back() -> None:
    original = posterior.log_odds
    import wildmiddle.theory.flow_matching as user

    with mutants.replaced("wildmiddle.theory.posterior.log_odds", lambda f: lambda n, w: 7.0):
        assert posterior.log_odds(2, 0.9) == user.log_odds(2, 0.9) == 7.0
    assert posterior.log_odds is user.log_odds is original
    with (
        pytest.raises(RuntimeError),
        mutants.replaced("wildmiddle.theory.shells.radii", lambda f: None),
    ):
        raise RuntimeError
    assert callable(shells.radii)


def test_an_error_kills(study: Study) -> None:
    def broken(f: object) -> object:
        def raises(*given: object) -> float:
            raise ValueError("no")

        return raises

    mutant = Mutant("4.2.1", "raises", "wildmiddle.theory.posterior.sigma_plus", broken)
    (outcome,) = mutants.run(study, ALPHA, [mutant])
    assert outcome.fate == "killed"
    assert outcome.killer == "ValueError: no"


def test_a_survivor_is_called_one(study: Study) -> None:
    mutant = Mutant(
        "4.10", "nothing changed", "wildmiddle.theory.locality.harmonic_bound", lambda f: f
    )
    (outcome,) = mutants.run(study, ALPHA, [mutant])
    assert outcome.fate == "survived"
