"""The page of all claims: ``python -m wildmiddle.checks.claims_page > docs/claims.md``."""

from collections.abc import Sequence

from wildmiddle.checks.registry import files, names_of_wrong_theorems, reasons_for_no_check
from wildmiddle.theory.claims import CLAIMS, Claim
from wildmiddle.theory.proofs import STEPS, counts

HEADER = """# Claims

Every numbered statement of *Two Calm Ends and the Wild Middle* (arXiv 2602.17846) as the project
encodes it. `wildmiddle theory ID` prints one, `wildmiddle theory ID --at N=1000 ...` evaluates it.
This page is generated: `python -m wildmiddle.checks.claims_page > docs/claims.md`.

Each step of a proof is checked by a machine when the tests run. A step is a *proof* if sympy shows
it for every N, d and value that its name speaks of (by symbolic sums, by an induction step, or by
algebra with vectors of no particular dimension), an *instance* if it shows it at a few fixed sizes,
and *numeric* if both sides are compared at 50 digits or over a list of cases. Each step has a wrong
variant, which the tests see fail. What a step rests on is named in it: Jensen's, Markov's and
Taylor's theorems, the spectral theorem and the like are taken as known.

`wildmiddle verify --claims ID` compares a claim with measurements, where it has a check. That check
must refute each of the claim's wrong theorems: `wildmiddle mutants --claims ID` shows it.

"""

COLUMNS = (
    "claim",
    "what it says",
    "assumptions",
    "values",
    "tight instance",
    "sharper form",
    "steps",
    "check",
    "code and tests",
)


def markdown() -> str:
    """The whole page: one table of all claims, then each statement with its proof steps."""
    head = [_line(COLUMNS), "|" + "---|" * len(COLUMNS)]
    table = "\n".join(head + [_row(claim) for claim in CLAIMS])
    sections = "\n".join(_section(claim) for claim in CLAIMS)
    return f"{HEADER}{table}\n\n{sections}"


def _row(claim: Claim) -> str:
    wrong = names_of_wrong_theorems(claim)
    cells = (
        f"[{claim.id}](#{_anchor(claim)}) {claim.number}",
        claim.title,
        "; ".join(assumption.text for assumption in claim.assumptions),
        ", ".join(claim.evaluate),
        claim.tight,
        claim.sharper,
        counts(claim.id),
        f"{len(wrong)} wrong theorems" if wrong else f"none: {reasons_for_no_check()[claim.id]}",
        ", ".join(f"[{path}](../{path})" for path in files(claim)),
    )
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _section(claim: Claim) -> str:
    lines = [f'<a id="{_anchor(claim)}"></a>', "", f"## {claim.number}: {claim.title}", ""]
    lines += [f"$${claim.statement}$$", ""]
    lines += [f"- {step.name} ({step.kind})" for step in STEPS if step.claim == claim.id]
    if wrong := names_of_wrong_theorems(claim):
        lines += ["", "Wrong theorems: " + ", ".join(f"`{name}`" for name in wrong)]
    return "\n".join(lines) + "\n"


def _anchor(claim: Claim) -> str:
    return "claim-" + claim.id.replace(".", "-")


if __name__ == "__main__":
    print(markdown(), end="")
