"""A small run with records made by hand, and its report."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wildmiddle.checks import report
from wildmiddle.checks.records import Record
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.checks.verify import Result
from wildmiddle.empirical import curves
from wildmiddle.empirical.data import load
from wildmiddle.theory.claims import CLAIMS
from wildmiddle.theory.schedules import edm_sigmas

CHECKED = ("4.2.1", "4.8", "4.11")


def _record(claim: str = "4.8", **changes) -> Record:
    fields = {
        "claim": claim,
        "instance": "union bound at sigma = 1",
        "quantity": "coverage C_sigma",
        "relation": "<=",
        "bound": 0.5,
        "margin": 0.02,
        "parameters": {"sigma": 1.0, "N": 60},
        "estimate": 1 / 3,
        "low": 0.3,
        "high": 0.4,
        "method": "Clopper-Pearson",
        "alpha": 1e-7,
        "detectable": 0.1,
        "n": 500,
        "seed": 7,
        "seconds": 0.25,
    }
    return Record(**{**fields, **changes})


@pytest.fixture(scope="session")
def tiny_text() -> str:
    """A scale of the experiments: 30 and 60 digits, a dozen steps."""
    return """
[data]
source = "digits"
train_size = 60
test_size = 40
[models]
memorizing = 30
generalizing = 60
[training]
steps = 12
batch_size = 8
[measures]
samples = 24
outputs = 200
steps = 18
window = 5
checkpoints = 2
"""


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    """Makes a record of a claim; keywords change its fields."""
    return _record


@pytest.fixture(scope="session")
def result() -> Result:
    data = load("digits", train_size=60, test_size=40)
    both = curves(
        data.train,
        data.test,
        edm_sigmas(12),
        weight_queries=200,
        coverage_queries=400,
        seed=7,
        device="cpu",
    )
    study = Study(data.train, data.test, Settings(seed=7, samples=500, device="cpu"))
    vars(study)["curves"] = both
    exact = {"n": 0, "alpha": 0.0, "low": 0.5, "high": 0.5, "estimate": 0.5, "method": "exact"}
    return Result(
        data=data,
        study=study,
        claims=tuple(claim for claim in CLAIMS if claim.id in CHECKED),
        records=(
            _record("4.2.1", relation="==", bound=0.35, margin=0.2),
            _record("4.8"),
            _record("4.8", relation=">=", bound=0.1, detectable=math.inf),
            _record("4.11", seed=None, rounding=1e-12, **exact),
        ),
        versions={"python": "3.11.7", "wildmiddle": "0.2.0"},
        seconds=1.5,
    )


@pytest.fixture(scope="session")
def with_records(result: Result) -> Callable[..., Result]:
    """The result with these records in place of its own, and the claims that they are of."""

    def make(*records: Record) -> Result:
        named = {record.claim for record in records}
        claims = tuple(claim for claim in result.claims if claim.id in named)
        return replace(result, records=records, claims=claims)

    return make


@pytest.fixture(scope="session")
def folder(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("report") / "made" / "for" / "it"
    report.write(result, at)
    return at


@pytest.fixture(scope="session")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")
