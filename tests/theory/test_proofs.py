"""Every proof step holds, can fail, and covers what its kind says."""

import re
from collections import Counter
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules

import pytest
import sympy as sp

from wildmiddle.theory import proofs
from wildmiddle.theory.claims import CLAIMS
from wildmiddle.theory.proofs import KINDS, STEPS, counts
from wildmiddle.theory.proofs.any_size import i, is_identity, j, over

every_step = pytest.mark.parametrize(
    "step", STEPS, ids=[f"{step.claim}: {step.name}" for step in STEPS]
)


@every_step
def test_step(step):
    assert step.check() is True


@every_step
def test_a_step_fails_with_its_slip(step):
    # So no step is true whatever the claim says. An error in place of an answer is no failure.
    assert step.wrong
    assert set(step.wrong) <= set(signature(step.check).parameters)
    assert step.check(**step.wrong) is False


@pytest.mark.parametrize("step", [s for s in STEPS if s.kind == "proof"], ids=lambda s: s.name)
def test_a_proof_is_of_no_list_of_sizes(step):
    # "N = 2" may be what a step speaks of, the tight instance; "N = 2, 3" or "d = 4..8" is a list.
    assert not re.search(r"\b[Nndk] = \d+(\.\.|, \d| and \d)", step.name)
    assert not re.search(r"\d x \d", step.name)


PART_OF_RELATION = {
    "4.5": "shells:shell_bound",
    "eq.6": "shells:r_out",
    "B.1": "shells:excess_lower",
    "4.8": "coverage:coverage_upper",
}
"""Claims whose expression is a relation, with the formula on one side of it."""


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_wrong_formula_fails_some_step(claim, monkeypatch):
    # The claim's own formula, doubled wherever the proofs use it.
    where, name = PART_OF_RELATION.get(claim.id, claim.expression).split(":")
    right = getattr(import_module(f"{proofs.__name__}.{where}"), name)
    wrong = sp.Tuple(*(2 * each for each in right)) if isinstance(right, sp.Tuple) else 2 * right
    for module in (
        import_module(f"{proofs.__name__}.{m.name}") for m in iter_modules(proofs.__path__)
    ):
        for used, value in list(vars(module).items()):
            if value is right:
                monkeypatch.setattr(module, used, wrong)
    assert any(_fails(step) for step in STEPS if step.claim == claim.id)


def _fails(step):
    try:
        return not step.check()
    except (AttributeError, TypeError, ValueError):  # no longer of the form that the step takes
        return True


def test_every_claim_has_a_step_and_every_step_a_claim():
    assert {step.claim for step in STEPS} == {claim.id for claim in CLAIMS}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_claim_has_a_general_proof_step(claim):
    kinds = Counter(step.kind for step in STEPS if step.claim == claim.id)
    assert kinds["proof"]
    assert set(kinds) <= set(KINDS)
    assert counts(claim.id).startswith(f"{kinds['proof']} proof")
    assert sum(map(int, re.findall(r"\d+", counts(claim.id)))) == kinds.total()


def test_steps_have_names_of_their_own():
    names = Counter((step.claim, step.name) for step in STEPS)
    assert max(names.values()) == 1, [name for name, count in names.items() if count > 1]


def test_sums_keep_their_indices_apart():
    g, h = sp.IndexedBase("g"), sp.IndexedBase("h")
    twice = over(over(g[i, j], j), i)
    assert is_identity(twice - over(over(g[j, i], i), j))  # the same sum by other names
    assert not is_identity(over(over((g[i, j] - g[j, i]) ** 2, j)))
    assert not is_identity(over(over(g[i, j] * h[i], j)) - over(over(g[i, j] * h[j], j)))
