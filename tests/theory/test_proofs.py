"""Every proof step is checked under its own name."""

from collections import Counter

import pytest

from wildmiddle.theory.claims import CLAIMS
from wildmiddle.theory.proofs import STEPS


@pytest.mark.parametrize("step", STEPS, ids=[f"{step.claim}: {step.name}" for step in STEPS])
def test_step(step):
    assert step.check()


def test_every_claim_has_a_step_and_every_step_a_claim():
    assert {step.claim for step in STEPS} == {claim.id for claim in CLAIMS}


def test_steps_have_names_of_their_own():
    names = Counter((step.claim, step.name) for step in STEPS)
    assert max(names.values()) == 1, [name for name, count in names.items() if count > 1]
