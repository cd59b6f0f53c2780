"""Every numbered statement of the paper as a claim, one module a subject."""

import re
from importlib import import_module

from wildmiddle.theory import SUBJECTS
from wildmiddle.theory.claims.claim import Assumption, Claim

__all__ = ["CLAIMS", "Assumption", "Claim", "select"]

CLAIMS: tuple[Claim, ...] = tuple(
    claim for subject in SUBJECTS for claim in import_module(f"{__name__}.{subject}").CLAIMS
)
"""In the order of the paper's argument."""


def select(wanted: str) -> tuple[Claim, ...]:
    """The claims named in a comma-separated list, in the paper's order.

    ``4.2`` names 4.2.1 and 4.2.2, and so does ``Theorem 4.2``; ``a.1`` and ``eq1`` are ``A.1`` and
    ``eq.1``. Raises ValueError for a name that fits no claim.
    """
    names = [name.strip() for name in wanted.split(",")]
    for name in names:
        if not any(_fits(claim, name) for claim in CLAIMS):
            known = ", ".join(claim.id for claim in CLAIMS)
            raise ValueError(f"claim {name!r} is unknown; choose from {known}")
    return tuple(claim for claim in CLAIMS if any(_fits(claim, name) for name in names))


def _fits(claim: Claim, name: str) -> bool:
    known, asked = map(_plain, (claim.id, name))
    return known == asked or known.startswith(asked + ".")


def _plain(name: str) -> str:
    word = (name.lower().split() or [""])[-1]
    return re.sub(r"^([a-z]+)\.?(?=\d)", r"\1.", word)
