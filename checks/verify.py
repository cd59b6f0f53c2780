"""Run the checks of every claim over one study and gather what the report needs."""

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from wildmiddle.checks import (
    coverage,
    flow_matching,
    large_noise,
    locality,
    posterior,
    regimes,
    shells,
    small_noise,
)
from wildmiddle.checks.records import Record, Verdict, overall
from wildmiddle.checks.regimes import predicted_zone
from wildmiddle.checks.sharper import Sharper, comparisons
from wildmiddle.checks.study import Study
from wildmiddle.empirical import curves
from wildmiddle.empirical.data import DataSet
from wildmiddle.empirical.kernels.device import resolve_device
from wildmiddle.empirical.kernels.products import DEFAULT_MEMORY
from wildmiddle.empirical.regimes import Regime, Thresholds, read_regimes
from wildmiddle.theory.claims import CLAIMS, Claim, select
from wildmiddle.theory.regimes import PredictedZone
from wildmiddle.theory.schedules import edm_sigmas
from wildmiddle.theory.shells import radii

Check = Callable[[Study, float], Iterator[Record]]

CHECKS: dict[str, Check] = {
    "4.2.1": posterior.theorem_4_2_part_1,
    "4.2.2": posterior.theorem_4_2_part_2,
    "4.5": shells.lemma_4_5,
    "4.7": coverage.definition_4_7,
    "4.8": coverage.theorem_4_8,
    "4.9": small_noise.theorem_4_9,
    "4.10": locality.theorem_4_10,
    "4.11": large_noise.theorem_4_11,
    "A.1": flow_matching.lemma_a_1,
    "A.2": flow_matching.corollary_a_2,
    "regimes": regimes.section_4_2,
}

COVERAGE_STEPS = 40
"""Steps of the EDM schedule for the two curves, as in the paper's coverage study (E.2)."""

CURVE_ALPHA = 0.05
"""Error rate of each curve as drawn and of the regimes read off it; no verdict rests on it."""


@dataclass(frozen=True)
class Result:
    """One run: its records, curves and regimes, and all that it takes to repeat it."""

    data: DataSet
    study: Study
    claims: tuple[Claim, ...]
    records: tuple[Record, ...]
    regimes: tuple[Regime, ...]
    alpha: float
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
    def predicted(self) -> PredictedZone:
        """The danger zone by distances alone."""
        return predicted_zone(self.study)

    @cached_property
    def sharper(self) -> tuple[Sharper, ...]:
        """The sharper forms beside the paper's on these data."""
        return comparisons(self.study, self.predicted)


def verify(
    data: DataSet,
    *,
    wanted: str | None = None,
    c: float = 5.0,
    w: float = 0.95,
    delta: float = 0.05,
    alpha: float = 1e-6,
    seed: int = 0,
    samples: int = 20_000,
    device: str = "auto",
    memory: int = DEFAULT_MEMORY,
    thresholds: Thresholds | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Result:
    """Check the claims named in ``wanted`` (all by default) on a data set.

    ``alpha`` is the probability that a run over true claims reports any ``violated``; ``samples``
    the draws of one comparison, ``memory`` the bytes for the buffers of one estimate. ``progress``
    is called with a line, the steps done and their number. Raises ValueError for constants outside
    their domain.
    """
    started = time.perf_counter()
    chosen = checked_claims(wanted)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha = {alpha} must lie strictly between 0 and 1")
    note = progress or (lambda line, done, total: None)
    note("posterior weight and coverage", 0, len(chosen) + 1)
    study = prepare(
        data.train,
        data.test,
        c=c,
        w=w,
        delta=delta,
        seed=seed,
        samples=samples,
        device=device,
        memory=memory,
        thresholds=thresholds,
    )
    records: list[Record] = []
    for done, claim in enumerate(chosen, start=1):
        note(claim.number, done, len(chosen) + 1)
        records += _timed(CHECKS[claim.id](study, alpha / len(chosen)))
    note("done", len(chosen) + 1, len(chosen) + 1)
    return Result(
        data=data,
        study=study,
        claims=chosen,
        records=tuple(records),
        regimes=read_regimes(study.curves, study.thresholds),
        alpha=alpha,
        versions=versions(),
        seconds=time.perf_counter() - started,
    )


def prepare(
    train: NDArray[np.float64],
    test: NDArray[np.float64],
    *,
    c: float = 5.0,
    w: float = 0.95,
    delta: float = 0.05,
    seed: int = 0,
    samples: int = 20_000,
    device: str = "auto",
    memory: int = DEFAULT_MEMORY,
    thresholds: Thresholds | None = None,
) -> Study:
    """Measure the two curves of two sets of images and put together what the checks look at.

    ``train`` (N, ...) and ``test`` (M, ...), in the units of sigma; ``memory`` in bytes. Raises
    ValueError for constants outside their domain.
    """
    images, n = np.asarray(train, np.float64), len(train)
    if not 1 / n < w < 1:
        raise ValueError(f"w = {w} must lie strictly between 1/N = {1 / n:.3g} and 1")
    if not 0 < delta < 1:
        raise ValueError(f"delta = {delta} must lie strictly between 0 and 1")
    if samples < 100:
        raise ValueError(f"samples = {samples} is too few to say anything; use at least 100")
    resolved = str(resolve_device(device))
    train, test = images.reshape(n, -1), np.asarray(test, np.float64).reshape(len(test), -1)
    radii(np.float64(train.shape[1]), c)
    both = curves(
        train,
        test,
        edm_sigmas(COVERAGE_STEPS),
        c=c,
        weight_queries=max(samples // 5, 1000),
        coverage_queries=samples,
        seed=seed,
        device=resolved,
        alpha=CURVE_ALPHA,
        memory=memory,
    )
    at = thresholds or Thresholds()
    return Study(images, train, test, both, c, w, delta, seed, samples, resolved, memory, at)


def checked_claims(wanted: str | None = None) -> tuple[Claim, ...]:
    """The claims named in ``wanted`` that have a check, in the paper's order; all without it.

    Raises ValueError for a name that fits no claim, or claims without a check only.
    """
    named = CLAIMS if wanted is None else select(wanted)
    chosen = tuple(claim for claim in named if claim.id in CHECKS)
    if not chosen:
        raise ValueError(f"claims {wanted} have no check; choose from {', '.join(CHECKS)}")
    return chosen


def versions(*more: str) -> dict[str, str]:
    """Versions of Python and of what the figures rest on, and of ``more`` packages."""
    names = ("wildmiddle", "numpy", "scipy", "torch", "scikit-learn", "matplotlib", *more)
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def _timed(records: Iterator[Record]) -> Iterator[Record]:
    # A check is a generator: the time between two of its records is that of the second.
    started = time.perf_counter()
    for record in records:
        now = time.perf_counter()
        yield replace(record, seconds=now - started)
        started = time.perf_counter()
