"""Confidence intervals, valid at every sample size and for every distribution, but Student's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize.elementwise import find_root
from scipy.special import betaln, rel_entr, xlog1py, xlogy
from scipy.stats import beta, binom, t

from wildmiddle.theory.domain import require

Array = NDArray[np.float64]

_RUN = 16


@dataclass(frozen=True)
class Estimate:
    """A mean with the interval that holds it with probability at least ``1 - alpha``.

    ``mean``, ``low`` and ``high`` have one shape; ``n`` is the number of independent draws behind
    each entry and 0 where nothing was drawn: the value is exact and the interval a point.
    """

    mean: Array
    low: Array
    high: Array
    n: int
    alpha: float
    method: str


def exact(value: ArrayLike) -> Estimate:
    """An estimate that is no estimate: a value computed without sampling."""
    value = np.asarray(value, np.float64)
    return Estimate(value, value, value, n=0, alpha=0.0, method="exact")


def proportion(successes: ArrayLike, n: int, alpha: float) -> Estimate:
    """Clopper-Pearson interval of a probability from ``n`` independent trials.

    ``successes`` of any shape; each entry's interval misses with probability at most ``alpha``.
    Raises ValueError unless 0 <= successes <= n, n >= 1 and 0 < alpha < 1. Assumes independent
    trials of one probability. Source: Clopper and Pearson 1934.
    """
    k = np.asarray(successes)
    _check_counts(k, n)
    _check_alpha(alpha)
    low = np.where(k > 0, beta.ppf(alpha / 2, np.maximum(k, 1), n - k + 1), 0.0)
    high = np.where(k < n, beta.isf(alpha / 2, k + 1, np.maximum(n - k, 1)), 1.0)
    return Estimate(k / n, low, high, n, alpha, "Clopper-Pearson")


def share_above(
    counts: ArrayLike, trials: int, level: float, alpha: float, error: float = 0.01
) -> Estimate:
    """Interval of the share of units whose own probability is at least ``level``.

    ``counts`` (n, ...) are the successes in ``trials`` independent trials of each of n units drawn
    independently; each column's interval misses with probability at most ``alpha``. Two levels of
    chance are in it. A unit below the level reaches ``c`` successes with probability at most g(c) =
    P(Bin(trials, level) >= c), so P(count >= c) <= share + (1 - share) g(c); one at the level or
    above does with probability at least g(c), so P(count >= c) >= share g(c). Clopper-Pearson's
    ends of P(count >= c), at the smallest c with g(c) <= ``error`` and at the largest with g(c) >=
    1 - ``error``, give the two ends. The mean is the share of units whose successes reach the
    level, which need not lie between them. Raises ValueError for impossible counts and unless
    level, error and alpha lie in (0, 1). Source: ours.
    """
    k = np.asarray(counts)
    _check_counts(k, trials)
    for name, value in (("level", level), ("error", error)):
        require(0 < value < 1, name, value, "must lie strictly between 0 and 1")
    reached = binom.sf(np.arange(-1, trials + 1), trials, level)  # g(0), ..., g(trials + 1) = 0
    surely = int(np.flatnonzero(reached <= error)[0])
    hardly = int(np.flatnonzero(reached >= 1 - error)[-1])
    n = len(k)
    above = proportion((k >= surely).sum(0), n, alpha)
    possible = proportion((k >= hardly).sum(0), n, alpha)
    low = np.maximum(0, (above.low - reached[surely]) / (1 - reached[surely]))
    high = np.minimum(1, possible.high / reached[hardly])
    mean = (k >= level * trials).mean(0)
    return Estimate(mean, low, high, n, alpha, "Clopper-Pearson, two levels")


def anytime_proportion(successes: ArrayLike, n: int, alpha: float) -> Estimate:
    """Interval of a probability that stays valid when sampling stops as soon as it pleases.

    ``successes`` of any shape after ``n`` independent trials. With probability at least ``1 -
    alpha`` it holds the true value at every n at once, so a run may look after each trial. A
    mixture of likelihood ratios over Beta(1/2, 1/2), ``B(k + 1/2, n - k + 1/2) / B(1/2, 1/2) / (p^k
    (1 - p)^(n-k))``, is a martingale with mean 1 at the true p; by Ville's inequality it ever
    passes ``1/alpha`` with probability at most alpha. Raises as :func:`proportion`.
    Source: Robbins 1970; the mixture is Jeffreys'.
    """
    k = np.asarray(successes, np.float64)
    _check_counts(k, n)
    _check_alpha(alpha)
    # p is kept while its log-likelihood is at least this; the likelihood is concave in p.
    least = betaln(k + 0.5, n - k + 0.5) - betaln(0.5, 0.5) + np.log(alpha)
    best = k / n

    def kept(p: Array) -> NDArray[np.bool_]:
        return xlogy(k, p) + xlog1py(n - k, -p) >= least

    low, high = _bisect(kept, best)
    return Estimate(best, low, high, n, alpha, "Beta mixture, anytime-valid")


def _bisect(kept: Callable[[Array], NDArray[np.bool_]], inner: Array) -> Array:
    # The ends in [0, 1] of the interval of kept values around `inner`, (2, *inner.shape), to
    # rounding and on the safe side: an end is not kept, unless it is 0 or 1. These functions cost
    # so little that scipy.optimize.elementwise.find_root takes six times as long.
    outer = np.stack([np.zeros_like(inner), np.ones_like(inner)])
    for _ in range(53):
        middle = (inner + outer) / 2
        inside = kept(middle)
        inner, outer = np.where(inside, middle, inner), np.where(inside, outer, middle)
    return outer


def bounded_mean(samples: ArrayLike, alpha: float) -> Estimate:
    """Betting interval of the mean of variables in [0, 1].

    ``samples`` (n, ...), independent along the first axis; each entry's interval misses with
    probability at most ``alpha``. A gambler who bets a predictable share on ``X - m`` has a capital
    of expectation at most 1 if m is the mean, so by Ville's inequality m may be dropped once the
    capital ever reaches ``2/alpha`` on either side. The share is the one that is best for the
    variance seen so far. Both capitals are monotone in m, so each end of the interval is a root,
    found to 1e-9. Raises ValueError for values outside [0, 1], n < 1, or alpha not in (0, 1).
    Source: Waudby-Smith and Ramdas 2024, hedged capital.
    """
    x = np.asarray(samples, np.float64)
    n = len(x)
    if n < 1 or not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"{n} samples in [{x.min(initial=0)}, {x.max(initial=0)}]; need [0, 1]")
    _check_alpha(alpha)
    flat = x.reshape(n, -1)
    # Columns that hold one value, such as a weight of 1 in every draw, are done once for each.
    kind = np.where((flat == flat[0]).all(0), flat[0], 2.0 + np.arange(flat.shape[1]))
    _, first, column = np.unique(kind, return_index=True, return_inverse=True)
    flat, column = flat[:, first], column.reshape(x.shape[1:])
    bets = _bets(flat, alpha)
    # The other side bets on 1 - X, with the same shares: both at once.
    ends = _lower_end(np.hstack([flat, 1 - flat]), np.hstack([bets, bets]), np.log(2 / alpha))
    low, high = ends[: flat.shape[1]], 1 - ends[flat.shape[1] :]
    mean = flat.mean(axis=0)
    # Where the capital never reaches the goal the end is 0 or 1; the mean stays inside.
    low, high = np.minimum(low, mean), np.maximum(high, mean)
    method = "betting (hedged capital)"
    return Estimate(mean[column], low[column], high[column], n, alpha, method)


def pair_mean(mean: float, draws: int, alpha: float) -> Estimate:
    """Interval of ``E h(X, Y)`` from the mean of h over all pairs of two independent samples.

    h lies in [0, 1]; ``draws`` is the size of the smaller sample. The pairs depend on each other,
    but the mean over all of them is an average of means over ``draws`` independent pairs, so by
    convexity its exponential moments, and with them Chernoff's bound ``P <= exp(-draws KL)``, are
    no worse. Raises ValueError unless 0 <= mean <= 1, draws >= 1 and 0 < alpha < 1.
    Source: Hoeffding 1963, Section 5, for two-sample U-statistics.
    """
    if draws < 1 or not 0 <= mean <= 1:
        raise ValueError(f"mean = {mean} of draws = {draws}; need a mean in [0, 1], draws >= 1")
    _check_alpha(alpha)
    goal = np.log(2 / alpha) / draws

    def kept(p: Array) -> NDArray[np.bool_]:
        return rel_entr(mean, p) + rel_entr(1 - mean, 1 - p) <= goal

    low, high = _bisect(kept, np.asarray(mean))
    return Estimate(np.asarray(mean), low, high, draws, alpha, "Chernoff, U-statistic")


def _check_counts(k: NDArray[Any], n: int) -> None:
    if n < 1 or not ((k >= 0) & (k <= n)).all():
        raise ValueError(f"successes = {k} of n = {n}; counts must lie in [0, n], n >= 1")


def _check_alpha(alpha: float) -> None:
    require(0 < alpha < 1, "alpha", alpha, "must lie strictly between 0 and 1")


def student_mean(draws: ArrayLike, alpha: float) -> Estimate:
    """Student's interval of a mean from independent draws (n, ...), right for normal ones.

    Otherwise it is right in the limit of many. A single draw, and one that is not finite, give an
    interval without ends. Raises ValueError for no draws and unless 0 < alpha < 1.
    """
    x: Array = np.asarray(draws, np.float64)
    _check_alpha(alpha)
    n = len(x)
    if not n:
        raise ValueError("draws is empty; give at least one")
    known = np.isfinite(x).all(0)
    with np.errstate(invalid="ignore"):
        mean = x.mean(0)
    half = np.full(x.shape[1:], np.inf)
    if n > 1:
        spread = np.where(known, x, 0).std(0, ddof=1)
        half = np.where(known, t.isf(alpha / 2, n - 1) * spread / np.sqrt(n), np.inf)
    centre = np.where(known, mean, 0)
    return Estimate(mean, centre - half, centre + half, n, alpha, "Student")


def _bets(x: Array, alpha: float) -> Array:
    # Predictable: draw t is bet on with the variance of the draws before it, shrunk towards 1/4.
    n = len(x)
    count = np.arange(1, n + 1)[:, None]
    mean = (0.5 + np.cumsum(x, axis=0)) / (count + 1)
    spread = np.square(x - mean)
    variance = (0.25 + np.cumsum(spread, axis=0)) / (count + 1)
    before = np.vstack([np.full((1, x.shape[1]), 0.25), variance[:-1]])
    return np.sqrt(2 * np.log(2 / alpha) / (n * before))


def _lower_end(x: Array, bets: Array, goal: float, truncation: float = 0.75) -> Array:
    # The smallest mean that the gambler on X > m cannot refute; the capital falls as m rises.
    rows, bets = _in_runs(x), _in_runs(bets)
    buffers = np.empty((2, *rows.shape))

    def excess(m: Array, which: NDArray[np.int64]) -> Array:
        gain, bet = (
            np.take(a, which, axis=0, out=buffer[: len(which)], mode="clip")
            for a, buffer in zip((rows, bets), buffers, strict=True)
        )
        gain -= m[:, None, None]
        gain *= np.minimum(bet, truncation / np.maximum(m, 1e-300)[:, None, None], out=bet)
        gain += 1
        for k in range(1, _RUN):
            gain[:, k] *= gain[:, k - 1]
        whole = np.log(gain[:, -1])
        before = np.cumsum(whole, axis=1) - whole
        return (before + np.log(gain.max(axis=1))).max(axis=1) - goal

    low, which = np.zeros(len(rows)), np.arange(len(rows))
    which = which[excess(low, which) > 0]  # elsewhere not even 0 is refuted
    if len(which):
        root = find_root(excess, (0.0, 1.0), args=(which,), tolerances={"xatol": 1e-9, "xrtol": 0})
        low[which] = root.bracket[0]  # the end at which the mean is refuted
    return low


def _in_runs(a: Array) -> Array:
    # (n, C) as (C, _RUN, n / _RUN), filled up with 0: one logarithm then serves a run of draws, for
    # a product of _RUN gains, each from 1/4 up, neither overflows nor vanishes.
    whole = np.pad(a, ((0, -len(a) % _RUN), (0, 0)))
    return np.ascontiguousarray(whole.reshape(-1, _RUN, a.shape[1]).T)
