"""Clopper-Pearson against scipy, the betting interval against simulation and a direct account."""

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from scipy import stats
from scipy.special import xlogy
from scipy.stats import binomtest, norm

from wildmiddle.empirical.intervals import (
    Estimate,
    anytime_proportion,
    bounded_mean,
    exact,
    pair_mean,
    proportion,
    share_above,
    student_mean,
)

SEED = 20260301
ALPHA = 0.05
REPLICATES = 800

# Name, distribution on [0, 1], its mean.
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
DISTRIBUTIONS: dict[str, tuple[Draw, float]] = {
    "Bernoulli(0.01)": (lambda rng, shape: rng.binomial(1, 0.01, shape) * 1.0, 0.01),
    "Bernoulli(0.5)": (lambda rng, shape: rng.binomial(1, 0.5, shape) * 1.0, 0.5),
    "Beta(0.2, 0.2)": (lambda rng, shape: rng.beta(0.2, 0.2, shape), 0.5),
    "near-constant": (lambda rng, shape: 0.3 + 0.001 * rng.random(shape), 0.3005),
    "two points": (lambda rng, shape: np.where(rng.random(shape) < 0.05, 0.9, 0.1), 0.14),
}


@pytest.mark.parametrize("alpha", [0.05, 1e-6])
@pytest.mark.parametrize("n", [1, 7, 60])
def test_proportion_is_scipys_exact_interval(n: int, alpha: float) -> None:
    ours = proportion(np.arange(n + 1), n, alpha)
    for k in range(n + 1):
        theirs = binomtest(k, n).proportion_ci(confidence_level=1 - alpha, method="exact")
        # scipy finds the ends by bracketing, to about 1e-9.
        assert ours.low[k] == pytest.approx(theirs.low, abs=1e-8)
        assert ours.high[k] == pytest.approx(theirs.high, abs=1e-8)


def test_proportion_ends_rise_with_the_count_and_widen_with_confidence() -> None:
    loose, strict = (proportion(np.arange(101), 100, alpha) for alpha in (0.1, 1e-9))
    for interval in (loose, strict):
        assert (np.diff(interval.low) > 0).all()
        assert (np.diff(interval.high) > 0).all()
        assert interval.low[0] == 0
        assert interval.high[-1] == 1
    assert (strict.low[1:] < loose.low[1:]).all()
    assert (strict.high[:-1] > loose.high[:-1]).all()


@pytest.mark.parametrize("n", [3, 40, 200])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_bounded_mean_misses_no_more_often_than_it_says(name, n, expect_rate) -> None:
    draw, mean = DISTRIBUTIONS[name]
    interval = bounded_mean(draw(np.random.default_rng(SEED), (n, REPLICATES)), ALPHA)
    missed = int(((interval.low > mean) | (interval.high < mean)).sum())
    what = f"misses of the betting interval, {name}, {n} samples"
    expect_rate(missed, REPLICATES, "<=", ALPHA, seed=SEED, what=what)


def test_the_coverage_test_refutes_the_normal_interval() -> None:
    # What the test above is there to catch: the usual interval of a mean, on rare events.
    draw, mean = DISTRIBUTIONS["Bernoulli(0.01)"]
    x = draw(np.random.default_rng(SEED), (40, REPLICATES))
    half = norm.isf(ALPHA / 2) * x.std(axis=0, ddof=1) / np.sqrt(len(x))
    missed = int((np.abs(x.mean(axis=0) - mean) > half).sum())
    assert binomtest(missed, REPLICATES, ALPHA, alternative="greater").pvalue < 1e-6


@pytest.mark.parametrize("name", ["Bernoulli(0.01)", "near-constant", "two points"])
def test_bounded_mean_is_shorter_than_hoeffding_where_the_variance_is_low(name) -> None:
    n = 400
    interval = bounded_mean(DISTRIBUTIONS[name][0](np.random.default_rng(SEED), (n, 200)), ALPHA)
    hoeffding = 2 * np.sqrt(np.log(2 / ALPHA) / (2 * n))
    assert (interval.high - interval.low).max() < 0.8 * hoeffding


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_bounded_mean_is_symmetric(name) -> None:
    x = DISTRIBUTIONS[name][0](np.random.default_rng(SEED), (60, 50))
    plain, mirrored = bounded_mean(x, ALPHA), bounded_mean(1 - x, ALPHA)
    np.testing.assert_allclose(mirrored.low, 1 - plain.high, atol=1e-12)
    np.testing.assert_allclose(mirrored.high, 1 - plain.low, atol=1e-12)


def capital(x: np.ndarray, m: float, alpha: float) -> float:
    """Largest log capital of the gambler on X > m, one bet after the other."""
    log_capital, best, total, spread = 0.0, -math.inf, 0.5, 0.25
    for t, value in enumerate(x.tolist()):
        variance = 0.25 if t == 0 else spread / (t + 1)
        share = math.sqrt(2 * math.log(2 / alpha) / (len(x) * variance))
        log_capital += math.log(1 + min(share, 0.75 / m) * (value - m))
        best = max(best, log_capital)
        total += value
        spread += (value - total / (t + 2)) ** 2
    return best


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_bounded_mean_keeps_just_the_means_that_no_gambler_refutes(name) -> None:
    x = DISTRIBUTIONS[name][0](np.random.default_rng(SEED), (50,))
    interval, goal = bounded_mean(x, ALPHA), math.log(2 / ALPHA)
    low, high = float(interval.low), float(interval.high)
    for m in np.linspace(0.001, 0.999, 60).tolist():
        assert (capital(x, m, ALPHA) >= goal) == (m <= low), m
        assert (capital(1 - x, 1 - m, ALPHA) >= goal) == (m >= high), m


def test_bounded_mean_of_one_sample_says_nothing_and_of_many_equal_ones_much() -> None:
    one = bounded_mean([[0.0, 0.4, 1.0]], ALPHA)
    assert one.low.tolist() == [0, 0, 0]
    assert one.high.tolist() == [1, 1, 1]
    assert one.mean.tolist() == [0, 0.4, 1]
    levels = np.array([0.0, 0.2, 0.5, 1.0])
    many = bounded_mean(np.tile(levels, (5000, 1)), ALPHA)
    assert (many.low <= levels).all()
    assert (levels <= many.high).all()
    assert (many.high - many.low < 0.005).all()


def test_shapes_and_what_is_recorded() -> None:
    x = np.random.default_rng(SEED).random((9, 2, 3))
    mean = bounded_mean(x, 0.1)
    assert mean.mean.shape == mean.low.shape == mean.high.shape == (2, 3)
    assert (mean.n, mean.alpha) == (9, 0.1)
    np.testing.assert_array_equal(mean.low[1, 2], bounded_mean(x[:, 1, 2], 0.1).low)
    counted = proportion(np.array([[0, 1], [2, 3]]), 3, 0.1)
    assert counted.low.shape == (2, 2)
    assert (counted.n, counted.alpha, counted.method) == (3, 0.1, "Clopper-Pearson")
    known = exact([0.25, 0.5])
    assert known.low is known.high
    assert (known.n, known.alpha, known.method) == (0, 0.0, "exact")


@pytest.mark.parametrize(
    ("samples", "value"),
    [([0.5, 1.0001], "1.0001"), ([-0.2, 0.5], "-0.2"), ([0.5, math.nan], "nan"), ([], "0 samples")],
)
def test_bounded_mean_refuses_values_outside_its_range(samples, value) -> None:
    with pytest.raises(ValueError, match=value):
        bounded_mean(samples, ALPHA)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0), (math.nan, 5)])
@pytest.mark.parametrize("interval", [proportion, anytime_proportion])
def test_impossible_counts_are_refused(interval, successes, n) -> None:
    with pytest.raises(ValueError, match=f"successes = {successes}.* of n = {n}"):
        interval(successes, n, ALPHA)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_an_alpha_outside_of_0_and_1_is_refused(alpha) -> None:
    for interval in (proportion, anytime_proportion):
        with pytest.raises(ValueError, match=f"alpha = {alpha}"):
            interval(1, 5, alpha)
    with pytest.raises(ValueError, match=f"alpha = {alpha}"):
        bounded_mean([0.5], alpha)


def mixture_capital(k: int, n: int, p: float) -> float:
    """Log of the likelihood ratio against p, averaged over Beta(1/2, 1/2), by quadrature."""
    # With q = sin(angle)^2 the prior is uniform in the angle.
    angle = (np.arange(20_000) + 0.5) / 20_000 * math.pi / 2
    q = np.sin(angle) ** 2
    log_ratio = xlogy(k, q / p) + xlogy(n - k, (1 - q) / (1 - p))
    return float(np.log(np.exp(log_ratio - log_ratio.max()).mean()) + log_ratio.max())


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 20), (20, 20), (0, 1), (170, 400)])
def test_anytime_proportion_keeps_just_the_rates_that_no_mixture_refutes(k, n) -> None:
    interval = anytime_proportion(k, n, ALPHA)
    assert interval.low <= k / n <= interval.high
    for end in (float(interval.low), float(interval.high)):
        if 0 < end < 1:
            assert mixture_capital(k, n, end) == pytest.approx(math.log(1 / ALPHA), abs=1e-6)
    assert (interval.low == 0) == (k == 0 or mixture_capital(k, n, 1e-300) < math.log(1 / ALPHA))
    assert (interval.high == 1) == (k == n)


def test_anytime_proportion_is_symmetric_monotone_and_wider_than_the_exact_one() -> None:
    k = np.arange(201)
    anytime, fixed = anytime_proportion(k, 200, ALPHA), proportion(k, 200, ALPHA)
    np.testing.assert_allclose(anytime.high, 1 - anytime.low[::-1], atol=1e-12)
    assert (np.diff(anytime.low) > 0).all()
    assert (anytime.low[1:] < fixed.low[1:]).all()
    assert (anytime.high[:-1] > fixed.high[:-1]).all()
    # Not vacuous: less than twice as wide.
    assert (anytime.high - anytime.low < 2 * (fixed.high - fixed.low)).all()


def looked_at(interval: Callable, p: float) -> int:
    """In how many of the runs an interval, looked at some fifty times, misses p at least once."""
    looks = np.unique(np.geomspace(1, 4000, 60).round().astype(int))
    rng = np.random.default_rng(SEED)
    steps = [rng.binomial(n, p, REPLICATES) for n in np.diff(looks, prepend=0)]
    missed = np.zeros(REPLICATES, bool)
    for n, successes in zip(looks.tolist(), np.cumsum(steps, axis=0), strict=True):
        found = interval(successes, n, ALPHA)
        missed |= (found.low > p) | (found.high < p)
    return int(missed.sum())


@pytest.mark.parametrize("p", [0.02, 0.5, 0.97])
def test_anytime_proportion_holds_at_all_looks_together(p, expect_rate) -> None:
    what = f"runs that ever miss {p}"
    missed = looked_at(anytime_proportion, p)
    expect_rate(missed, REPLICATES, "<=", ALPHA, seed=SEED, what=what)
    # What it is for: an interval made for one look misses far more often.
    once = looked_at(proportion, p)
    assert binomtest(once, REPLICATES, ALPHA, alternative="greater").pvalue < 1e-6


def expect_safe_ends(found: Estimate, excess: Callable[[float], float], width: float) -> None:
    """Both ends are refuted, which is an excess above 0, and nothing is that lies inside."""
    for end, inside in ((float(found.low), width), (float(found.high), -width)):
        if 0 < end < 1:
            assert excess(end) > -1e-11  # rounding alone
            assert excess(end + inside) < 0


@pytest.mark.parametrize(("k", "n"), [(0, 30), (2, 30), (30, 30), (400, 1000)])
def test_ends_found_by_bisection_lie_on_the_safe_side(k, n) -> None:
    def mixture(p: float) -> float:
        ratio = mpmath.beta(k + 0.5, n - k + 0.5) / mpmath.beta(0.5, 0.5)
        return mpmath.log(ALPHA * ratio / mpmath.mpf(p) ** k / (1 - mpmath.mpf(p)) ** (n - k))

    def chernoff(p: float) -> float:
        pairs = ((mpmath.mpf(k) / n, mpmath.mpf(p)), (1 - mpmath.mpf(k) / n, 1 - mpmath.mpf(p)))
        return n * sum(a * mpmath.log(a / b) for a, b in pairs if a) - mpmath.log(2 / ALPHA)

    with mpmath.workdps(40):
        expect_safe_ends(anytime_proportion(k, n, ALPHA), mixture, 1e-14)
        expect_safe_ends(pair_mean(k / n, n, ALPHA), chernoff, 1e-14)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_ends_of_bounded_mean_lie_on_the_safe_side(name) -> None:
    x, goal = DISTRIBUTIONS[name][0](np.random.default_rng(SEED), (400,)), math.log(2 / ALPHA)

    def betting(m: float) -> float:
        return max(capital(x, m, ALPHA), capital(1 - x, 1 - m, ALPHA)) - goal

    expect_safe_ends(bounded_mean(x, ALPHA), betting, 2e-9)


def test_pair_mean_covers_a_mean_over_dependent_pairs() -> None:
    # h = 1 where two uniforms are within 0.3: mean 0.51, and every row and column is shared.
    rng = np.random.default_rng(SEED)
    runs, alpha, truth = 2000, 0.05, 0.51
    misses, widths = 0, []
    for _ in range(runs):
        gap = np.abs(rng.uniform(size=(40, 1)) - rng.uniform(size=30))
        found = pair_mean(float((gap < 0.3).mean()), 30, alpha)
        misses += not found.low <= truth <= found.high
        widths.append(found.high - found.low)
    p = binomtest(misses, runs, alpha, alternative="greater").pvalue
    assert p > 1e-6, f"{misses} of {runs} miss, seed = {SEED}"
    assert np.mean(widths) < 0.6


def test_pair_mean_is_chernoffs_interval() -> None:
    for mean, draws in ((0.0, 50), (0.2, 7), (1.0, 1000)):
        found = pair_mean(mean, draws, 1e-3)
        goal = np.log(2000) / draws
        for end in (float(found.low), float(found.high)):
            if end not in (0.0, 1.0):
                parts = ((mean, end), (1 - mean, 1 - end))
                divergence = sum(p * np.log(p / q) for p, q in parts if p)
                assert divergence == pytest.approx(goal, rel=1e-9)
    assert pair_mean(0.0, 50, 1e-3).low == 0
    with pytest.raises(ValueError, match=r"mean = 1\.5"):
        pair_mean(1.5, 50, 1e-3)


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("spread", ["two kinds", "just below", "just above", "beta"])
def test_share_above_misses_no_more_often_than_it_says(level, spread) -> None:
    rng = np.random.default_rng(17)
    units, trials, alpha, repeats = 60, 50, 0.1, 400
    own, share = {
        "two kinds": (lambda n: np.where(rng.random(n) < 0.3, 1.0, 0.2), 0.3),
        "just below": (lambda n: np.where(rng.random(n) < 0.3, 1.0, level - 1e-9), 0.3),
        "just above": (lambda n: np.where(rng.random(n) < 0.3, level, 0.0), 0.3),
        "beta": (lambda n: rng.beta(2, 1, n), 1 - level**2),
    }[spread]
    counts = np.stack([rng.binomial(trials, own(units)) for _ in range(repeats)], axis=1)
    found = share_above(counts, trials, level, alpha)
    missed = int(((found.low > share) | (found.high < share)).sum())
    assert binomtest(missed, repeats, alpha, alternative="greater").pvalue > 1e-6
    assert ((found.low <= found.mean) & (found.mean <= found.high)).all()


def test_share_above_is_clopper_pearson_where_every_unit_is_sure() -> None:
    counts = np.array([50] * 7 + [0] * 13)
    found, single = share_above(counts, 50, 0.9, 0.05), proportion(7, 20, 0.05)
    # 0.9 ** 50 of those below the level would pass for one above it.
    error = 0.9**50
    assert found.low == pytest.approx((single.low - error) / (1 - error))
    assert found.high == pytest.approx(single.high, rel=0.01)
    assert found.high > single.high
    assert (float(found.mean), found.n) == (0.35, 20)


def test_a_share_of_units_with_too_few_trials_has_no_lower_end() -> None:
    # Of 10 noises none is enough to tell 0.9 from less at 1%.
    assert share_above(np.full(100, 10), 10, 0.9, 0.05).low == 0


def test_share_above_refuses_levels_and_counts_out_of_range() -> None:
    for counts, level in ([3], 1.0), ([3], 0.0), ([6], 0.5):
        with pytest.raises(ValueError, match=r"level|successes"):
            share_above(np.array(counts), 5, level, 0.05)
    for error in (0.0, 2.0, np.nan):
        with pytest.raises(ValueError, match=f"error = {error} must lie strictly between"):
            share_above(np.array([3]), 5, 0.5, 0.05, error)


@pytest.mark.parametrize("interval", [proportion, anytime_proportion])
def test_one_impossible_count_among_others_is_refused(interval) -> None:
    for counts in ([2, 6], [-1, 2]):
        with pytest.raises(ValueError, match="counts must lie in"):
            interval(np.array(counts), 5, 0.05)


def test_students_interval_is_scipys_and_open_for_one_draw() -> None:
    draws = np.array([[0.1, 2.0], [0.4, 3.0], [0.2, np.inf]])
    found = student_mean(draws, 0.1)
    expected = stats.t.interval(0.9, 2, draws[:, 0].mean(), stats.sem(draws[:, 0]))
    assert (found.low[0], found.high[0]) == pytest.approx(expected)
    assert (found.low[1], found.high[1]) == (-np.inf, np.inf)
    alone = student_mean([0.3], 0.1)
    assert (alone.mean, alone.low, alone.high) == (0.3, -np.inf, np.inf)
    with pytest.raises(ValueError, match="give at least one"):
        student_mean([], 0.1)
