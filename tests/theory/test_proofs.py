"""Every proof step holds, can fail, and covers what its kind says."""

import re
from collections import Counter
from inspect import signature

import pytest

from wildmiddle.theory.claims import CLAIMS
from wildmiddle.theory.proofs import KINDS, STEPS, counts

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
