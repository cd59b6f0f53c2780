"""The generated page of claims is the one that is committed, and says something in every cell."""

import re
from pathlib import Path

import pytest

from wildmiddle.checks.claims_page import markdown
from wildmiddle.checks.registry import mutants
from wildmiddle.theory.claims import CLAIMS
from wildmiddle.theory.proofs import STEPS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "claims.md"


def test_page_is_current():
    assert PAGE.read_text() == markdown(), (
        "run: python -m wildmiddle.checks.claims_page > docs/claims.md"
    )


def test_no_cell_is_empty():
    rows = [line for line in markdown().splitlines() if line.startswith("| [")]
    assert len(rows) == len(CLAIMS)
    for row in rows:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        assert len(cells) == 9
        assert all(cells), row
        assert not cells[6].startswith("0 ") or "numeric" in cells[6], row


def test_links_lead_somewhere():
    for target in set(re.findall(r"\]\(\.\./([^)]+)\)", markdown())):
        assert (ROOT / target).is_file(), target


def test_every_step_belongs_to_a_claim():
    assert {step.claim for step in STEPS} <= {claim.id for claim in CLAIMS}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_claim_has_steps(claim):
    assert [step for step in STEPS if step.claim == claim.id]


def test_every_wrong_theorem_is_named_in_the_section_of_its_claim():
    parts = markdown().split('<a id="claim-')[1:]
    sections = {part.partition('"')[0]: part for part in parts}
    for mutant in mutants():
        named = f"`{mutant.name}`" in sections[mutant.check.replace(".", "-")]
        assert named != bool(mutant.true_because), mutant
