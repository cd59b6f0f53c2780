"""A whole run on a small data set, claims by name, and theorems broken by hand, each one seen."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest

from wildmiddle.checks.mutants.mutant import Mutant
from wildmiddle.checks.mutation import records
from wildmiddle.checks.registry import checks
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.checks.verify import Result, checked_claims, verify
from wildmiddle.empirical.data import DataSet, load
from wildmiddle.theory import locality, posterior
from wildmiddle.theory.claims import CLAIMS

SEED = 20260314
ALPHA = 1e-6
C = 0.9
FEW: dict[str, Any] = {"c": C, "samples": 200, "device": "cpu"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Sixty training points in sixteen dimensions: four loose clusters."""
    rng = np.random.default_rng(SEED)
    centres = rng.uniform(-0.6, 0.6, (4, 4, 4))
    points = centres[rng.integers(4, size=100)] + rng.uniform(-0.4, 0.4, (100, 4, 4))
    path = tmp_path_factory.mktemp("data") / "points.npy"
    np.save(path, points)
    return load(path, train_size=60, test_size=40)


@pytest.fixture(scope="module")
def run(data: DataSet) -> Result:
    return verify(data, Settings(alpha=ALPHA, c=C, seed=SEED, samples=2000, device="cpu"))


@pytest.fixture(scope="module")
def study(run: Result) -> Study:
    return run.study


def test_no_claim_is_violated(run: Result) -> None:
    assert [str(record) for record in run.records if record.verdict == "violated"] == []
    assert run.verdict() in ("holds", "inconclusive")


def test_every_check_gives_records_of_its_claim_in_the_papers_order(run: Result) -> None:
    assert [claim.id for claim in run.claims] == [c.id for c in CLAIMS if c.id in checks()]
    assert {claim.id for claim in run.claims} == set(checks())
    assert all(run.of(claim) for claim in run.claims)
    assert sum(len(run.of(claim)) for claim in run.claims) == len(run.records)


def test_the_error_budget_is_not_overspent(run: Result) -> None:
    for claim in run.claims:
        spent = math.fsum(record.alpha for record in run.of(claim))
        assert spent <= ALPHA / len(run.claims) * (1 + 1e-9), claim.id
    assert math.fsum(record.alpha for record in run.records) <= ALPHA * (1 + 1e-9)


def test_records_say_what_they_rest_on(run: Result) -> None:
    for record in run.records:
        assert math.isfinite(record.bound), str(record)
        assert record.low <= record.estimate <= record.high, str(record)
        assert (record.n == 0) == (record.alpha == 0) == (record.seed is None), str(record)
        assert record.seconds >= 0
        if record.n:
            assert record.seed == SEED
            assert record.detectable > 0
            assert record.margin > 0
    at = [(r.claim, r.instance, r.quantity, r.bound) for r in run.records]
    assert len(set(at)) == len(at)


def test_slack_agrees_with_the_verdict(run: Result) -> None:
    for record in run.records:
        if record.verdict == "holds":
            assert record.slack >= -(record.margin + record.rounding), str(record)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ("4.5", ["4.5"]),
        ("4.2", ["4.2.1", "4.2.2"]),
        ("A.1, 4.2.2", ["4.2.2", "A.1"]),
        ("4.5,4.1", ["4.5"]),  # Definition 4.1 has no check of its own
    ],
)
def test_claims_by_name_in_the_papers_order(wanted: str, ids: list[str]) -> None:
    assert [claim.id for claim in checked_claims(wanted)] == ids


@pytest.mark.parametrize("wanted", ["4.99", "", "4.2,nonsense", "4."])
def test_an_unknown_claim_is_named(wanted: str) -> None:
    name = wanted.rpartition(",")[2]
    with pytest.raises(ValueError, match=f"claim '{name}' is unknown"):
        checked_claims(wanted)


def test_claims_without_a_check_are_refused() -> None:
    with pytest.raises(ValueError, match=r"4\.1.*no check"):
        checked_claims("4.1")


def test_only_the_claims_that_were_asked_for_run_and_share_the_budget(data: DataSet) -> None:
    result = verify(data, Settings(alpha=1e-3, seed=SEED, **FEW), claims="4.9,4.10")
    assert {record.claim for record in result.records} == {"4.9", "4.10"}
    spent = math.fsum(record.alpha for record in result.records)
    assert 0 < spent <= 1e-3 / 2 * (1 + 1e-9)


def test_same_seed_same_records(data: DataSet) -> None:
    def facts(seed: int, claims: str) -> list[dict[str, Any]]:
        found = verify(data, Settings(seed=seed, **FEW), claims=claims)
        return [{**vars(record), "seconds": 0} for record in found.records]

    assert facts(1, "4.7,4.9,A.2,regimes") == facts(1, "4.7,4.9,A.2,regimes")
    assert facts(1, "4.7") != facts(2, "4.7")


def test_progress_counts_up_to_the_end(data: DataSet) -> None:
    seen: list[tuple[int, int]] = []
    verify(
        data,
        Settings(**FEW),
        claims="4.11,4.10",
        progress=lambda line, done, total: seen.append((done, total)),
    )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": np.inf}, "c = inf"),
        ({"c": 0.0}, r"c = 0\.0"),
        ({"w": 1.0}, r"w = 1\.0"),
        ({"w": 1 / 60}, r"w = 0\.0166"),
        ({"delta": 0.0}, r"delta = 0\.0"),
        ({"delta": math.nan}, "delta = nan"),
        ({"alpha": 1.0}, r"alpha = 1\.0"),
        ({"samples": 99}, "samples = 99"),
        ({"device": "abacus"}, "device = abacus"),
    ],
)
def test_bad_constants_are_named_with_their_value(data: DataSet, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        verify(data, Settings(**FEW | change), claims="4.5")


def threshold(part: str, log_odds: Any = posterior.log_odds, z: Any = posterior.union_quantile):
    """Theorem 4.2's sigma over the distance, from its two pieces."""

    def formula(distance: Any, n: Any, w: Any, delta: Any) -> Any:
        odds, quantile = 2 * log_odds(n, w), z(n, delta)
        root = quantile + np.sqrt(quantile**2 + odds)
        return distance * (root / odds if part == "4.2.1" else 1 / root)

    return lambda _: formula


def half_odds(n: Any, w: Any) -> Any:
    return posterior.log_odds(n, w) / 2


def without_last_term(radii: Any) -> Any:
    return lambda d, c=5.0: (
        radii(d, c)[0],
        np.sqrt(np.asarray(d) + 2 * np.sqrt(np.asarray(c) * d)),
    )


def without_cycle(_: Any) -> Any:
    def bound(eigenvalues: Any, sigma: Any, rho: Any) -> Any:
        mu = locality.shrinkage(eigenvalues, sigma)
        d = mu.shape[-1]
        return np.abs(np.diff(mu, axis=-1)).sum(-1) / (2 * d * np.sin(np.pi * rho / d))

    return bound


# What is broken, and the check that must see it.
BROKEN = (
    Mutant("4.2.1", "L for 2L", "sigma_plus", threshold("4.2.1", half_odds)),
    Mutant("4.2.2", "L for 2L", "sigma_minus", threshold("4.2.2", half_odds)),
    Mutant(
        "4.2.2",
        "N for N - 1",
        "sigma_minus",
        threshold("4.2.2", z=lambda n, delta: posterior.union_quantile(n + 1, delta)),
    ),
    Mutant(
        "4.2.1",
        "N - 2 for N - 1",
        "sigma_plus",
        threshold("4.2.1", z=lambda n, delta: posterior.union_quantile(max(n - 1, 2), delta)),
    ),
    Mutant("4.2.2", "d_min doubled", "sigma_minus", lambda f: lambda d, *at: f(2 * d, *at)),
    Mutant("4.5", "outer radius without 2c", "radii", without_last_term),
    Mutant(
        "4.7",
        "central for noncentral",
        "overlap_probability",
        lambda f: lambda r, *at: f(0 * r, *at),
    ),
    Mutant(
        "4.8", "r for 2r in p_sigma", "overlap_probability", lambda f: lambda r, *at: f(r / 2, *at)
    ),
    Mutant(
        "4.8", "r for 2r in the lower bound", "lower_bound", lambda f: lambda r, *at: f(r / 2, *at)
    ),
    Mutant("4.8", "no factor N", "upper_bound", lambda f: lambda p, n: f(p, 1)),
    Mutant("4.9", "diameter for radius", "disjoint_sigma", lambda f: lambda *given: 2 * f(*given)),
    Mutant("4.10", "TV without its cyclic term", "sensitivity_bound", without_cycle),
    Mutant("4.11", "leading term's sign", "leading_term", lambda f: lambda *given: -f(*given)),
    Mutant("4.11", "leading term doubled", "leading_term", lambda f: lambda *given: 2 * f(*given)),
    Mutant(
        "A.1", "half the failures", "concentration_failure", lambda f: lambda *given: f(*given) / 2
    ),
    Mutant("A.1", "flow time of sigma / 2", "flow_time", lambda f: lambda sigma: f(sigma / 2)),
    Mutant("A.2", "B too long", "shortest_target", lambda f: lambda *given: 1.05 * f(*given)),
)


@pytest.mark.parametrize("slip", BROKEN, ids=lambda slip: f"{slip.check}: {slip.name}")
def test_a_broken_theory_is_violated(study: Study, slip: Mutant) -> None:
    found = any(r.verdict == "violated" for r in records(slip, study, ALPHA / len(checks())))
    assert found, f"no record is violated; seed {SEED}, samples {study.settings.samples}"


def test_a_broken_theory_fails_the_whole_run(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    slip = next(slip for slip in BROKEN if slip.check == "4.10")
    broken = partial(checks()["4.10"], sensitivity_bound=slip.wrong(locality.sensitivity_bound))
    monkeypatch.setitem(checks(), "4.10", broken)
    result = verify(data, Settings(seed=SEED, **FEW), claims="4.10,4.11")
    assert result.verdict() == "violated"
    verdicts = {found.id: result.verdict(found) for found in result.claims}
    assert verdicts == {"4.10": "violated", "4.11": "holds"}
