"""Every claim has all its parts, and what is missing is said in one line; docs/add-a-claim.md."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import sympy

from wildmiddle.checks.registry import checks, files, mutants, reasons_for_no_check
from wildmiddle.theory.claims import CLAIMS, Claim
from wildmiddle.theory.proofs import STEPS

ROOT = Path(__file__).parents[2]
STEPS_OF = Counter(step.claim for step in STEPS)
MUTANTS_OF = Counter(mutant.check for mutant in mutants())


def has_expression(claim: Claim) -> bool:
    try:
        return isinstance(claim.formula(), sympy.Basic | sympy.MatrixBase | tuple)
    except (AttributeError, ImportError):  # the name leads nowhere
        return False


def missing(
    claim: Claim,
    *,
    steps: Mapping[str, int] = STEPS_OF,
    wrong: Mapping[str, int] = MUTANTS_OF,
    reasons: Mapping[str, str] | None = None,
    root: Path = ROOT,
) -> str:
    """What the claim lacks, in one line that says where it goes; empty where it is complete."""
    name, reasons = f"{claim.module}.py", reasons_for_no_check() if reasons is None else reasons
    checked = claim.id in checks()
    parts = {
        "its statement": bool(claim.statement.strip()),
        f"a proof step (theory/proofs/{name})": steps.get(claim.id, 0) > 0,
        "its expression": has_expression(claim),
        "a function that evaluates it": bool(claim.evaluate),
        "its tight instance": bool(claim.tight.strip()),
        "its sharper form": bool(claim.sharper.strip()),
        f"a check (CHECKS of checks/{name}) or a reason why it has none"
        f" (NO_CHECK of checks/mutants/{name})": checked or bool(reasons.get(claim.id)),
        f"at least four wrong theorems (MUTANTS of checks/mutants/{name})": (
            wrong.get(claim.id, 0) >= 4 or not checked
        ),
    }
    lacks = [part for part, there in parts.items() if not there]
    lacks += [f"the file {path}" for path in files(claim) if not (root / path).is_file()]
    return f"claim {claim.id} lacks {'; '.join(lacks)}" if lacks else ""


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_has_all_its_parts(claim: Claim) -> None:
    assert not missing(claim)


def test_checks_wrong_theorems_and_reasons_are_those_of_claims() -> None:
    ids = [claim.id for claim in CLAIMS]
    assert set(checks()) | set(reasons_for_no_check()) == set(ids)
    assert not set(checks()) & set(reasons_for_no_check())
    assert set(MUTANTS_OF) == set(checks())
    assert list(checks()) == [id for id in ids if id in checks()]
    assert list(dict.fromkeys(mutant.check for mutant in mutants())) == list(checks())


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"statement": ""}, "claim 4.8 lacks its statement"),
        ({"expression": "coverage:nothing"}, "claim 4.8 lacks its expression"),
        ({"evaluate": {}}, "claim 4.8 lacks a function that evaluates it"),
        ({"tight": " "}, "claim 4.8 lacks its tight instance"),
        ({"sharper": ""}, "claim 4.8 lacks its sharper form"),
        ({"statement": "", "tight": ""}, "claim 4.8 lacks its statement; its tight instance"),
        ({"id": "4.99"}, "claim 4.99 lacks a proof step (theory/proofs/coverage.py); a check"),
    ],
)
def test_what_is_missing_is_said_in_one_line(change, line) -> None:
    (whole,) = [claim for claim in CLAIMS if claim.id == "4.8"]
    found = missing(replace(whole, **change))
    assert found.startswith(line)
    assert len(found.splitlines()) == 1


def test_missing_steps_wrong_theorems_reasons_and_files_are_named() -> None:
    checked, definition = (next(c for c in CLAIMS if c.id == id) for id in ("4.8", "4.6"))
    assert missing(checked, steps={}).endswith("lacks a proof step (theory/proofs/coverage.py)")
    assert missing(checked, wrong={"4.8": 3}).endswith(
        "lacks at least four wrong theorems (MUTANTS of checks/mutants/coverage.py)"
    )
    assert missing(definition, reasons={}).endswith(
        "lacks a check (CHECKS of checks/coverage.py) or a reason why it has none"
        " (NO_CHECK of checks/mutants/coverage.py)"
    )
    nowhere = missing(definition, root=ROOT / "nowhere")
    assert nowhere.endswith("the file tests/theory/test_claims_coverage.py")


def test_the_recipe_names_files_that_there_are() -> None:
    text = (ROOT / "docs" / "add-a-claim.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:theory|checks|tests|docs|empirical)/[\w./-]+)`", text)
    assert len(paths) > 8
    for path in paths:
        assert (ROOT / path).exists(), path
