"""Run the checks of every claim over one study and gather what the report needs."""

import logging
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata

from wildmiddle.checks.records import Record, Verdict, overall
from wildmiddle.checks.registry import checks, sharper_forms
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.sharper import Sharper
from wildmiddle.checks.study import Study
from wildmiddle.empirical.data import DataSet
from wildmiddle.theory.claims import CLAIMS, Claim, select

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """One run: its records, curves and regimes, and all that it takes to repeat it."""

    data: DataSet
    study: Study
    claims: tuple[Claim, ...]
    records: tuple[Record, ...]
    versions: dict[str, str]
    seconds: float

    def of(self, claim: Claim) -> tuple[Record, ...]:
        """The records of one claim."""
        return tuple(record for record in self.records if record.claim == claim.id)

    def verdict(self, claim: Claim | None = None) -> Verdict:
        """The verdict on one claim, or on the whole run."""
        chosen = self.records if claim is None else self.of(claim)
        return overall([record.verdict for record in chosen])

    @cached_property
    def sharper(self) -> tuple[Sharper, ...]:
        """The sharper forms beside the paper's on these data."""
        return sharper_forms(self.study)


def verify(
    data: DataSet,
    settings: Settings | None = None,
    *,
    claims: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    say: Callable[[Study], None] | None = None,
) -> Result:
    """Check the claims named in ``claims``, such as ``"4.2,4.8"``, or all, on a data set.

    Training images that are equal, or as near as the settings say, count as one image with the
    weight of its copies. ``progress`` is called with a line, the steps done and their number;
    ``say`` with the study before anything is measured. Raises ValueError for claims that are
    unknown and for constants that the data do not allow.
    """
    started = time.perf_counter()
    _log.info("%d training and %d held-out images", len(data.train), len(data.test))
    chosen = checked_claims(claims)
    study = Study(data.train, data.test, settings or Settings(), data.value_range)
    if say is not None:
        say(study)
    note = progress or (lambda line, done, total: None)
    note("posterior weight and coverage", 0, len(chosen) + 1)
    _ = study.curves  # measured here, in a step of their own
    records: list[Record] = []
    for done, claim in enumerate(chosen, start=1):
        note(claim.number, done, len(chosen) + 1)
        found = checks()[claim.id](study, study.settings.alpha / len(chosen))
        own = list(_with_seconds(found))
        records += own
        verdicts = Counter(record.verdict for record in own)
        _log.info("%s: %s", claim.number, ", ".join(f"{n} {v}" for v, n in verdicts.items()))
    note("done", len(chosen) + 1, len(chosen) + 1)
    return Result(
        data=data,
        study=study,
        claims=chosen,
        records=tuple(records),
        versions=versions(),
        seconds=time.perf_counter() - started,
    )


def checked_claims(wanted: str | None = None) -> tuple[Claim, ...]:
    """The claims named in ``wanted`` that have a check, in the paper's order; all without it.

    Raises ValueError for a name that fits no claim, or claims without a check only.
    """
    named = CLAIMS if wanted is None else select(wanted)
    chosen = tuple(claim for claim in named if claim.id in checks())
    if not chosen:
        raise ValueError(f"claims {wanted} have no check; choose from {', '.join(checks())}")
    return chosen


def versions(*more: str) -> dict[str, str]:
    """Versions of Python and of what the figures rest on, and of ``more`` packages."""
    names = ("wildmiddle", "numpy", "scipy", "torch", "scikit-learn", "matplotlib", *more)
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def _with_seconds(records: Iterator[Record]) -> Iterator[Record]:
    # A check is a generator: the time between two of its records is that of the second.
    started = time.perf_counter()
    for record in records:
        now = time.perf_counter()
        yield replace(record, seconds=now - started)
        started = time.perf_counter()
