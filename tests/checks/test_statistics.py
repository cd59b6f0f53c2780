"""Each way from draws to a record: its interval, false-alarm rate and power."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, binom, binomtest, kstwo, norm, uniform

from wildmiddle.checks import statistics
from wildmiddle.checks.records import Comparison
from wildmiddle.checks.statistics import (
    FIRST_DRAWS,
    POWER,
    detectable_proportion,
    from_bounded,
    from_distribution,
    from_exact,
    from_proportion,
    required_samples,
    settle,
)
from wildmiddle.empirical.intervals import anytime_proportion, bounded_mean, proportion

SEED = 20260313
ALPHA = 0.05
REPLICATES = 250
DRAWN: dict[str, Any] = {"alpha": ALPHA, "seed": SEED}


@pytest.fixture(autouse=True)
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the draws do not enter is worked out once, not again for each of many replicates."""
    monkeypatch.setattr(statistics, "detectable_proportion", cache(detectable_proportion))
    monkeypatch.setattr(statistics, "kstwo", SimpleNamespace(isf=cache(kstwo.isf)))


def comparison(relation: Any, bound: float, **changes: Any) -> Comparison:
    facts: dict[str, Any] = {
        "claim": "4.2",
        "instance": "an instance",
        "quantity": "a quantity",
        "margin": 0.1,
        "parameters": {"N": 2},
    }
    return Comparison(relation=relation, bound=bound, **facts | changes)


def test_from_proportion_records_the_exact_interval() -> None:
    record = from_proportion(comparison("<=", 0.2), 7, 50, **DRAWN)
    interval = proportion(7, 50, ALPHA)
    assert (record.estimate, record.low, record.high) == (0.14, interval.low, interval.high)
    assert (record.n, record.method, record.alpha) == (50, "Clopper-Pearson", ALPHA)
    assert (record.claim, record.seed, record.parameters) == ("4.2", SEED, {"N": 2})
    assert record.detectable == detectable_proportion(0.2, 50, ALPHA, "<=")


def test_from_bounded_records_the_betting_interval_in_its_own_units() -> None:
    unit = np.random.default_rng(SEED).random(200)
    record = from_bounded(comparison("==", 0.5), 3 * unit - 1, span=(-1.0, 2.0), **DRAWN)
    interval = bounded_mean(unit, ALPHA)
    assert record.estimate == pytest.approx(3 * unit.mean() - 1)
    assert record.low == pytest.approx(3 * float(interval.low) - 1)
    assert record.high == pytest.approx(3 * float(interval.high) - 1)
    assert record.detectable == pytest.approx(record.high - record.low)
    assert record.n == 200


def test_from_distribution_records_the_largest_gap() -> None:
    # Worked out by hand: the largest gap is just before the second draw.
    record = from_distribution(comparison("==", 0.0), [0.8, 0.1, 0.9], uniform.cdf, **DRAWN)
    gap, width = 0.8 - 1 / 3, kstwo.isf(ALPHA, 3)
    assert record.estimate == pytest.approx(gap)
    assert record.low == pytest.approx(max(0, gap - width))
    assert record.high == pytest.approx(gap + width)
    # And here just after it.
    other = from_distribution(comparison("==", 0.0), [0.2, 0.1], uniform.cdf, **DRAWN)
    assert other.estimate == pytest.approx(0.8)


@pytest.mark.parametrize("claimed", [binom(10, 0.3), binom(3, 0.7), norm(3, 1), binom(1, 0.5)])
def test_the_gap_is_that_of_the_two_step_functions(claimed) -> None:
    draws = np.random.default_rng(SEED).binomial(10, 0.3, 60)
    record = from_distribution(comparison("==", 0.0), draws, claimed.cdf, **DRAWN)
    fine = np.linspace(-1, 11, 240_001)  # whole numbers among them
    gap = np.abs((np.sort(draws) <= fine[:, None]).mean(1) - claimed.cdf(fine)).max()
    assert record.estimate == pytest.approx(gap, abs=1e-4)


def test_from_exact_has_no_interval_and_spends_no_error() -> None:
    claim = comparison("<=", 0.2, rounding=0.01, margin=0.0)
    record = from_exact(claim, np.float32(0.25))
    assert (record.low, record.estimate, record.high) == (0.25, 0.25, 0.25)
    assert (record.n, record.alpha, record.margin, record.seed) == (0, 0, 0, None)
    assert record.detectable == 0.02
    assert record.verdict == "violated"
    assert from_exact(claim, 0.205).verdict == "holds"


def refutation_probability(p: float, bound: float, n: int, alpha: float, relation: str) -> float:
    """Exact probability of ``violated`` for a rate ``p``, summed over all counts."""
    interval = proportion(np.arange(n + 1), n, alpha)
    refuted = {
        "<=": interval.low > bound,
        ">=": interval.high < bound,
        "==": (interval.low > bound) | (interval.high < bound),
    }[relation]
    return float(binom.pmf(np.arange(n + 1), n, p)[refuted].sum())


@pytest.mark.parametrize("relation", ["<=", ">=", "=="])
@pytest.mark.parametrize(
    ("bound", "n", "alpha"),
    [(0.05, 2000, 1e-8), (0.5, 300, 0.05), (0.9, 1000, 1e-4), (0.3, 5000, 1e-6)],
)
def test_visible_violation_is_found_with_the_stated_power(relation, bound, n, alpha) -> None:
    detectable = detectable_proportion(bound, n, alpha, relation)
    assert 0 < detectable < 1
    above = bound + detectable if relation != ">=" else np.inf
    below = bound - detectable if relation != "<=" else -np.inf
    at = [
        refutation_probability(p, bound, n, alpha, relation) for p in (above, below) if 0 <= p <= 1
    ]
    assert at
    assert min(at) >= POWER - 1e-9
    # Tight: a violation smaller by one part in a thousand is found less often than that.
    nearer = 0.999 * detectable
    sides = {"<=": [1], ">=": [-1], "==": [1, -1]}[relation]
    missed = [
        refutation_probability(bound + side * nearer, bound, n, alpha, relation) for side in sides
    ]
    assert min(missed) < POWER


def test_visible_violation_is_infinite_where_none_can_be_seen() -> None:
    assert detectable_proportion(0.999, 10, 1e-6, "<=") == np.inf
    assert detectable_proportion(0.001, 10, 1e-6, ">=") == np.inf
    assert detectable_proportion(0.001, 10, 1e-6, "<=") < 1


@pytest.mark.parametrize("relation", ["<=", ">=", "=="])
@pytest.mark.parametrize("p", [0.02, 0.5, 0.97])
def test_true_rates_are_refuted_no_more_often_than_stated(relation, p, expect_rate) -> None:
    # The rate is on the bound, where false alarms are most frequent.
    assert refutation_probability(p, p, 200, ALPHA, relation) <= ALPHA
    counts = np.random.default_rng(SEED).binomial(200, p, REPLICATES)
    records = [from_proportion(comparison(relation, p), int(k), 200, **DRAWN) for k in counts]
    alarms = sum(record.verdict == "violated" for record in records)
    expect_rate(alarms, REPLICATES, "<=", ALPHA, seed=SEED, what=f"false alarms at {p}")


@pytest.mark.parametrize("relation", ["<=", ">=", "=="])
@pytest.mark.parametrize("shape", [(0.2, 0.2), (1, 30), (20, 20)])
def test_true_means_are_refuted_no_more_often_than_stated(relation, shape, expect_rate) -> None:
    draws = beta(*shape).rvs((REPLICATES, 100), random_state=SEED) * 2 - 1
    bound = 2 * shape[0] / sum(shape) - 1
    alarms = sum(
        from_bounded(comparison(relation, bound), row, span=(-1.0, 1.0), **DRAWN).verdict
        == "violated"
        for row in draws
    )
    expect_rate(alarms, REPLICATES, "<=", ALPHA, seed=SEED, what=f"false alarms, Beta{shape}")


def test_true_distributions_are_refuted_as_often_as_stated(expect_rate) -> None:
    # Kolmogorov's distribution is exact, so the rate is alpha itself, not only at most alpha.
    replicates = 2000
    draws = np.sort(norm.rvs(size=(replicates, 50), random_state=SEED), axis=1)
    records = [from_distribution(comparison("==", 0.0), row, norm.cdf, **DRAWN) for row in draws]
    alarms = sum(record.verdict == "violated" for record in records)
    what = "false alarms on a whole distribution"
    expect_rate(alarms, replicates, "==", ALPHA, seed=SEED, what=what)


@pytest.mark.parametrize("true", [binom(10, 0.3), binom(1, 0.5), binom(400, 0.01)])
def test_true_distributions_with_atoms_raise_no_more_false_alarms(true, expect_rate) -> None:
    draws = true.rvs((2000, 100), random_state=SEED)
    records = [from_distribution(comparison("==", 0.0), row, true.cdf, **DRAWN) for row in draws]
    alarms = sum(record.verdict == "violated" for record in records)
    expect_rate(alarms, len(draws), "<=", ALPHA, seed=SEED, what="false alarms with atoms")


def test_wrong_distributions_with_atoms_are_refuted_with_the_stated_power() -> None:
    # At 0, where a Bernoulli's CDF is 1 - p, the gap of two of them is that of their p.
    n, p = 400, 0.3
    draws = np.random.default_rng(SEED).binomial(1, p, (REPLICATES, n))
    gap = from_distribution(comparison("==", 0.0), draws[0], binom(1, p).cdf, **DRAWN).detectable
    wrong = binom(1, p + gap).cdf
    assert_power([from_distribution(comparison("==", 0.0), row, wrong, **DRAWN) for row in draws])


def test_wrong_rates_are_refuted_with_the_stated_power() -> None:
    n, bound = 2000, 0.3
    rng = np.random.default_rng(SEED)
    for relation, sign in (("<=", 1), (">=", -1), ("==", 1), ("==", -1)):
        p = bound + sign * detectable_proportion(bound, n, ALPHA, relation)
        counts = rng.binomial(n, p, REPLICATES)
        assert_power(
            [from_proportion(comparison(relation, bound), int(k), n, **DRAWN) for k in counts]
        )


def test_wrong_means_are_refuted_with_the_stated_power() -> None:
    rng = np.random.default_rng(SEED)
    for relation, sign in (("<=", -1), (">=", 1), ("==", 1)):
        records = []
        for row in rng.beta(2, 5, (150, 200)):
            width = from_bounded(
                comparison(relation, 0.5), row, span=(0.0, 1.0), **DRAWN
            ).detectable
            claim = comparison(relation, 2 / 7 + sign * width)
            records.append(from_bounded(claim, row, span=(0.0, 1.0), **DRAWN))
        assert_power(records)


def test_wrong_distributions_are_refuted_with_the_stated_power() -> None:
    # Uniform on [0, 1] against one that is off by the detectable gap at 1/2.
    n = 400
    draws = np.sort(uniform.rvs(size=(REPLICATES, n), random_state=SEED), axis=1)
    gap = from_distribution(comparison("==", 0.0), draws[0], uniform.cdf, **DRAWN).detectable

    def wrong(x):
        return np.interp(x, [0, 0.5, 1], [0, 0.5 - gap, 1])

    assert_power([from_distribution(comparison("==", 0.0), row, wrong, **DRAWN) for row in draws])


def assert_power(records) -> None:
    found = sum(record.verdict == "violated" for record in records)
    p = binomtest(found, len(records), POWER, alternative="less").pvalue
    assert p >= 1e-6, (
        f"found {found} of {len(records)}, below {POWER}; seed {SEED}, p value {p:.3g}"
    )


def test_a_wrong_distribution_of_the_same_mean_is_refuted() -> None:
    x = np.sort(uniform.rvs(-np.sqrt(3), 2 * np.sqrt(3), size=5000, random_state=SEED))
    claim, strict = comparison("==", 0.0), {**DRAWN, "alpha": 1e-9}
    right = uniform(-np.sqrt(3), 2 * np.sqrt(3)).cdf
    assert from_distribution(claim, x, right, **strict).verdict == "holds"
    assert from_distribution(claim, x, norm.cdf, **strict).verdict == "violated"


@pytest.mark.parametrize(
    ("alpha", "prices"), [(1e-6, (0.20, 0.26, 0.30)), (5e-9, (0.15, 0.19, 0.22))]
)
def test_the_price_of_looking_is_what_settle_says(alpha: float, prices) -> None:
    for n, price in zip((1024, 20_000, 200_000), prices, strict=True):
        k = (np.array([0.05, 0.2, 0.5, 0.9]) * n).astype(int)
        looking, fixed = anytime_proportion(k, n, alpha), proportion(k, n, alpha)
        wider = (looking.high - looking.low) / (fixed.high - fixed.low) - 1
        np.testing.assert_allclose(wider, price, atol=0.01)
        assert f"{price:.0%}" in (settle.__doc__ or "")


def coin(p: float, seed: int):
    """A ``draw`` for ``settle`` of one comparison, and the list of how much it was asked for."""
    rng, asked = np.random.default_rng(seed), []

    def draw(count, name, positions):
        asked.append((count, name, tuple(positions)))
        return rng.binomial(count, p, len(positions))

    return draw, asked


def test_settle_stops_where_the_verdict_is_settled() -> None:
    draw, asked = coin(0.5, SEED)
    (record,) = settle(
        draw, [comparison("<=", 0.9)], stream="coin", most=10**6, alpha=1e-9, seed=SEED
    )
    assert record.verdict == "holds"
    assert record.n == FIRST_DRAWS
    assert asked == [(FIRST_DRAWS, "coin/0", (0,))]


def test_settle_doubles_the_draws_up_to_the_most() -> None:
    # A rate on its bound, with no margin: never settled but by a false alarm.
    draw, asked = coin(0.5, SEED)
    claim = comparison("<=", 0.5, margin=0.0)
    (record,) = settle(draw, [claim], stream="coin", most=7000, alpha=1e-9, seed=SEED)
    assert record.verdict == "inconclusive"
    assert [count for count, *_ in asked] == [1024, 1024, 2048, 2904]
    assert [name for _, name, _ in asked] == [f"coin/{turn}" for turn in range(4)]
    assert record.n == 7000
    draw, asked = coin(0.5, SEED)
    assert settle(draw, [claim], stream="coin", most=100, alpha=1e-9, seed=SEED)[0].n == 100


def test_settle_goes_on_with_the_open_comparisons_alone() -> None:
    asked = []

    def draw(count, name, positions):
        asked.append(tuple(positions))
        return [count // 2] * len(positions)

    claims = [comparison("<=", bound, margin=0.0) for bound in (0.9, 0.5, 0.1, 0.55)]
    records = settle(draw, claims, stream="coin", most=8192, alpha=1e-6, seed=SEED)
    assert [r.verdict for r in records] == ["holds", "inconclusive", "violated", "holds"]
    assert [r.n for r in records] == [1024, 8192, 1024, 4096]
    assert asked == [(0, 1, 2, 3), (1, 3), (1, 3), (1,)]


def test_settle_records_what_was_drawn() -> None:
    rng = np.random.default_rng(SEED)
    trials = rng.random((2, 4096)) < np.array([[0.3], [0.5]])
    at = [0]

    def draw(count, name, positions):
        rows = trials[:, at[0] : at[0] + count]
        at[0] += count
        return rows[list(positions)].sum(axis=1)

    claims = [comparison("==", 0.3, margin=0.2), comparison("==", 0.5, margin=0.0)]
    for k, record in enumerate(
        settle(draw, claims, stream="coin", most=4096, alpha=ALPHA, seed=SEED)
    ):
        successes = int(trials[k, : record.n].sum())
        expected = from_proportion(
            claims[k], successes, record.n, **DRAWN, interval=anytime_proportion
        )
        # A violation within the margin may pass as one that does not matter.
        least = detectable_proportion(claims[k].bound, 4096, ALPHA, "==", anytime_proportion)
        assert record == replace(expected, detectable=max(claims[k].margin, least))


@pytest.mark.parametrize("relation", ["<=", ">=", "=="])
def test_settle_raises_no_more_false_alarms_than_stated(relation, expect_rate) -> None:
    # On its bound and without a margin, so that it looks as often as it may.
    claims = [comparison(relation, 0.3, margin=0.0)] * 150
    draw, _ = coin(0.3, SEED)
    records = settle(draw, claims, stream="coin", most=2**14, alpha=ALPHA, seed=SEED)
    alarms = sum(record.verdict == "violated" for record in records)
    what = f"false alarms of adaptive sampling, {relation}"
    expect_rate(alarms, len(records), "<=", ALPHA, seed=SEED, what=what)


def test_settle_finds_the_visible_violation() -> None:
    most, bound, alpha = 4096, 0.3, 1e-4
    for margin in (0.0, 0.1):
        claims = [comparison("<=", bound, margin=margin)] * REPLICATES
        detectable = settle(
            coin(0.1, SEED)[0], claims[:1], stream="coin", most=most, alpha=alpha, seed=SEED
        )[0].detectable
        draw, _ = coin(bound + detectable, SEED)
        assert_power(settle(draw, claims, stream="coin", most=most, alpha=alpha, seed=SEED))


@pytest.mark.parametrize("interval", [proportion, anytime_proportion])
@pytest.mark.parametrize(
    ("relation", "bound", "effect"), [("<=", 0.05, 0.02), (">=", 0.9, 0.1), ("==", 0.5, 0.06)]
)
def test_required_samples_inverts_the_visible_violation(interval, relation, bound, effect) -> None:
    n = required_samples(effect, 1e-6, bound, relation, interval)
    assert detectable_proportion(bound, n, 1e-6, relation, interval) <= effect
    assert detectable_proportion(bound, n - 1, 1e-6, relation, interval) > effect
    assert detectable_proportion(bound, n // 2, 1e-6, relation, interval) > effect


@pytest.mark.parametrize(
    ("effect", "bound", "relation"), [(0.0, 0.5, "=="), (0.2, 0.9, "<="), (0.2, 0.1, ">=")]
)
def test_required_samples_refuses_an_effect_that_leaves_no_room(effect, bound, relation) -> None:
    with pytest.raises(ValueError, match=f"effect = {effect}"):
        required_samples(effect, 1e-6, bound, relation)


def test_required_samples_gives_up_at_the_most() -> None:
    with pytest.raises(ValueError, match="more than 1000 trials"):
        required_samples(0.001, 1e-6, 0.5, most=1000)


@pytest.mark.parametrize("n", [3, 49, 50, 51, 60, 75, 100, 130])
def test_the_first_count_that_holds_is_found_among_all(n: int) -> None:
    for target in range(n + 2):
        found = statistics._first(lambda k, at=target: np.asarray(k) >= at, n)
        assert found == target


def test_what_one_success_refutes_is_seen() -> None:
    # Of 10 trials, none refutes "at least 0.4", one does not: 1 - 0.025^(1/10) < 0.4 < 0.445.
    seen = statistics.detectable_proportion(0.4, 10, 0.05, ">=")
    assert seen == pytest.approx(0.4 - (1 - 0.99**0.1), rel=1e-12)
