"""Every bound on random data sets, against a slow estimate that shares no code with the project.

A property takes a ``Case`` and the formulas to try. It draws its own noise and takes plain
differences in float64. Counts are compared by a one-sided exact binomial test: a true bound fails
one with probability at most ``RATE``, so a run of the thorough profile, 11,000 examples, with less
than 1e-6. ``test_a_wrong_formula_is_found`` shows that each property can fail.
"""

import inspect
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv
from scipy.stats import binom, binomtest

from wildmiddle.checks.registry import checks
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.theory import (
    coverage,
    flow_matching,
    large_noise,
    locality,
    posterior,
    regimes,
    shells,
)

RATE = 1e-11  # of one comparison; an example makes at most five
SEED = 20260314
EPS = float(np.finfo(np.float64).eps)
KINDS = ("clusters", "twins", "line", "outlier", "grid", "equal")


def cloud(kind, n, d, seed):
    """``n`` points in ``d`` dimensions of one odd kind, (n, d)."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, d))
    if kind == "clusters":
        x = x[rng.integers(2, size=n)] + 0.02 * x
    if kind == "twins":  # in pairs, 1e-9 apart
        step = rng.standard_normal((n, d))
        x[1::2] = x[: n // 2 * 2 : 2] + 1e-9 * (step / np.linalg.norm(step, axis=1)[:, None])[1::2]
    if kind == "line":
        x = x[:1] + rng.uniform(-3, 3, (n, 1)) * x[-1:]
    if kind == "outlier":
        x[-1] *= 1e4
    if kind == "grid":  # equal points may occur
        x = rng.integers(-1, 2, (n, d)).astype(float)
    if kind == "equal":  # the second half is one point over and over
        x[n // 2 :] = x[-1]
    return x


def gaps(a, b):
    """Distances between all rows of two arrays, by plain differences."""
    return np.sqrt(np.square(a[:, None] - b).sum(-1))


@dataclass(frozen=True)
class Case:
    """One random setting; everything else is drawn from its seed."""

    kind: str
    n: int
    d: int
    seed: int
    level: float = 0.5  # of w, from 1/N (0) to 1 (1)
    delta: float = 0.1
    relative: float = 0.4  # sigma, in units of a random pair's distance
    share: float = 1.0  # c, in units of d/4

    @property
    def points(self):
        return cloud(self.kind, self.n, self.d, self.seed)

    @property
    def w(self):
        return 1 / self.n + (1 - 1 / self.n) * self.level

    @property
    def c(self):
        return self.share * self.d / 4

    @property
    def draws(self):
        return int(np.clip(2**19 // (self.n * self.d), 200, 2000))

    def rng(self, stream):
        return np.random.Generator(np.random.Philox([self.seed, stream]))

    def others(self):
        """Distances (N, N - 1) of every point to all others."""
        apart = gaps(self.points, self.points)
        return apart[~np.eye(self.n, dtype=bool)].reshape(self.n, -1)

    def sigma(self, stream=1):
        apart = self.others()
        apart = apart[apart > 0]
        return self.relative * float(self.rng(stream).choice(apart) if apart.size else 1.0)

    def one(self):
        return int(self.rng(2).integers(self.n))

    def noised(self, sigma, index=None, stream=3):
        """Indices, noise and posterior weights of noised training points; a given one or any."""
        rng, x = self.rng(stream), self.points
        i = rng.integers(self.n, size=self.draws) if index is None else np.full(self.draws, index)
        z = rng.standard_normal((self.draws, self.d))
        # |y - x_j|^2 with y - x_j taken as (x_i - x_j) + sigma Z: nothing of x_i cancels.
        squared = np.square(x[i][:, None] - x + sigma * z[:, None]).sum(-1)
        odds = np.exp((squared.min(1, keepdims=True) - squared) / (2 * sigma**2))
        return i, z, odds / odds.sum(1, keepdims=True)

    def at_most(self, event, bound, what):
        """Fail where the events refute that their probability is at most ``bound``."""
        count, n, p = int(np.sum(event)), len(event), float(np.clip(bound, 0, 1))
        value = binomtest(count, n, p, alternative="greater").pvalue
        critical = min(n, int(binom.isf(RATE, n, p)) + 1)
        visible = betaincinv(critical, n - critical + 1, 0.99) - p
        assert value >= RATE, (
            f"{what}: rate {count / n:.6g} is not <= {p:.6g}, p value {value:.3g} under {RATE:g}; "
            f"seed {self.seed}, n {n}, smallest visible violation {visible:.3g}; {self}"
        )

    def at_least(self, event, bound, what):
        self.at_most(~np.asarray(event), 1 - np.asarray(bound), f"complement of {what}")


def theorem_4_2(case, plus=posterior.sigma_plus, minus=posterior.sigma_minus):
    i, at = case.one(), (case.n, case.w, case.delta)
    apart = case.others()[i]
    if (sigma := float(plus(apart.max(), *at))) > 0:
        own = case.noised(sigma, i, 4)[2][:, i]
        case.at_most(own > case.w, case.delta, f"4.2.1, w_i > w at sigma {sigma:.6g}")
    if (sigma := float(minus(apart.min(), *at))) > 0:
        own = case.noised(sigma, i, 5)[2][:, i]
        case.at_most(own < case.w, case.delta, f"4.2.2, w_i < w at sigma {sigma:.6g}")


def all_distances(
    case,
    below=posterior.below_probability,
    split=posterior.split_probability,
    above=posterior.above_probability,
    plus=posterior.sigma_plus_from_distances,
    minus=posterior.sigma_minus_from_distances,
):
    i, sigma, w = case.one(), case.sigma(), case.w
    apart = case.others()[i]
    own = case.noised(sigma, i)[2][:, i]
    case.at_most(own < w, below(apart, sigma, w), f"below_probability at sigma {sigma:.6g}")
    case.at_most(own < w, split(apart, sigma, w), f"split_probability at sigma {sigma:.6g}")
    case.at_most(own > w, above(apart, sigma, w), f"above_probability at sigma {sigma:.6g}")
    if (sigma := float(plus(apart, w, case.delta))) > 0:
        own = case.noised(sigma, i, 4)[2][:, i]
        case.at_most(own > w, case.delta, f"sigma_plus_from_distances, {sigma:.6g}")
    if (sigma := float(minus(apart, w, case.delta))) > 0:
        own = case.noised(sigma, i, 5)[2][:, i]
        case.at_most(own < w, case.delta, f"sigma_minus_from_distances, {sigma:.6g}")


def lemma_4_5(case, radii=shells.radii, exact=shells.shell_probability):
    r_in, r_out = radii(case.d, case.c)
    length = np.linalg.norm(case.rng(3).standard_normal((case.draws, case.d)), axis=1)
    inside = (length >= r_in) & (length <= r_out)
    case.at_least(inside, 1 - 2 * np.exp(-case.c), f"shell at c {case.c:.6g}")
    case.at_least(inside, exact(case.d, case.c), "exact probability, from below")
    case.at_most(inside, exact(case.d, case.c), "exact probability, from above")


def theorem_4_8(case, lower=coverage.lower_bound, upper=coverage.upper_bound):
    train, c, d = case.points, case.c, case.d
    test = np.vstack([cloud(case.kind, 3, d, case.seed + 1), train[:1] + 1e-9])
    pairs = gaps(test, train)
    width = 2 * np.sqrt(c * d) + 2 * c  # of the squared radius; it only sets where to look
    sigma = np.array([case.relative * float(case.rng(1).choice(pairs.ravel())) / np.sqrt(width)])
    if not sigma > 0:
        return  # grids may meet: the noise level would be 0
    rng = case.rng(3)
    y = test[rng.integers(len(test), size=case.draws)]
    far = gaps(y + sigma * rng.standard_normal(y.shape), train) / sigma
    inside = (far**2 >= d - 2 * np.sqrt(c * d)) & (far**2 <= d + width)
    mean = coverage.mean_overlap(pairs, sigma, d, c)
    case.at_least(inside.any(1), lower(pairs.min(1), sigma, d, c)[0], f"4.8 left, {sigma}")
    case.at_most(inside.any(1), upper(mean, case.n)[0], f"4.8 right, {sigma}")


def lemma_a_1(case, failure=flow_matching.concentration_failure):
    i, sigma, w, x = case.one(), case.sigma(), case.w, case.points
    weights = case.noised(sigma, i)[2]
    off = np.linalg.norm(weights @ (x - x[i]), axis=1)
    reach = (1 - w) * gaps(x, x).max() * (1 + 1e-9)
    # 1 - w_i as a sum: near 1 the weight itself has lost it
    bad = (np.delete(weights, i, 1).sum(1) > 1 - w) | (off > reach)
    claimed = failure(case.others()[i].min(), sigma, case.n, w)
    case.at_most(bad, claimed, f"A.1 at sigma {sigma:.6g}")


def corollary_a_2(case, bound=flow_matching.cosine_bound):
    i, sigma, x = case.one(), case.sigma(), case.points
    t, (a, b) = 1 / (1 + sigma), case.rng(6).uniform((0.3, 0.1), (3, 3))
    _, z, weights = case.noised(sigma, i)  # x_t = t (x_i + sigma Z)
    target = x[i] - z
    field = target + weights @ (x - x[i]) / (1 - t)
    cosine = (target * field).sum(1)
    cosine /= np.linalg.norm(target, axis=1) * np.linalg.norm(field, axis=1)
    apart, diameter = case.others()[i].min(), gaps(x, x).max()
    at = {"n": case.n, "d": case.d, "t": t, "w": case.w, "a": a, "b": b}
    claimed = bound(np.linalg.norm(x[i]), apart, diameter, **at)
    for name in ("cosine", "sharp_cosine"):
        reached = cosine >= getattr(claimed, name) - 1e-12
        case.at_least(reached, claimed.probability, f"A.2, {name} at sigma {sigma:.6g}")


def weight(
    case, error=posterior.decoding_error, lower=regimes.weight_lower, upper=regimes.weight_upper
):
    sigma, apart = case.sigma(), case.others()
    largest = case.noised(sigma)[2].max(1)
    # A coin of each largest weight: its rate is Def 4.1's mean, whatever the weights' distribution.
    coin = case.rng(7).random(case.draws) < largest
    case.at_most(~coin, error(apart, sigma).mean(), f"decoding error at sigma {sigma:.6g}")
    case.at_least(coin, lower(apart, sigma)[0], f"weight_lower at sigma {sigma:.6g}")
    case.at_most(coin, upper(apart, sigma)[0], f"weight_upper at sigma {sigma:.6g}")


def copying(case, lower=regimes.copying_lower):
    sigma, x = case.sigma(), case.points
    i, _, weights = case.noised(sigma)
    offset = np.array([v @ (x - x[k]) for k, v in zip(i, weights, strict=True)])
    far = np.sort(np.sqrt(np.square(offset[:, None] + x[i][:, None] - x).sum(-1)), axis=1)
    copies = far[:, 0] < far[:, 1] / 3
    case.at_least(copies, lower(case.others(), sigma)[0], f"copying at sigma {sigma:.6g}")


def spectrum(case, *shape):
    """Eigenvalues at least 0 with ``lambda_k = lambda_{-k}``, of one of four kinds."""
    rng, axes = case.rng(8), np.indices(shape)
    kinds = [
        rng.uniform(0, 10, shape),
        10.0 * (axes.sum(0) % 2),
        rng.exponential(1, shape) * (rng.random(shape) < 0.3),
        10 / (1 + np.minimum(axes, np.array(shape).reshape(-1, *[1] * len(shape)) - axes).sum(0)),
    ]
    values = kinds[case.seed % 4]
    mirrored = np.roll(np.flip(values), 1, axis=tuple(range(len(shape))))
    return np.maximum(values, mirrored)


def dense_jacobian(values, sigma):
    """``-sigma^2 (S + sigma^2 I)^-1`` off the diagonal, S summed up wave by wave."""
    grid = np.indices(values.shape).reshape(values.ndim, -1)
    turns = sum(
        np.multiply.outer(np.subtract.outer(axis, axis), axis) / size
        for axis, size in zip(grid, values.shape, strict=True)
    )
    covariance = np.cos(2 * np.pi * turns) @ values.ravel() / values.size
    return np.abs(sigma**2 * np.linalg.inv(covariance + sigma**2 * np.eye(values.size))), grid


def theorem_4_10(case, sharp=locality.sensitivity_bound, harmonic=locality.harmonic_bound):
    d, sigma = 2 + case.seed // 4 % 20, 0.3 + case.relative
    values = spectrum(case, d)
    measured, _ = dense_jacobian(values, sigma)
    for k in range(1, d):
        for bound in (sharp, harmonic):
            claimed = float(bound(values, sigma, min(k, d - k)))
            worst = float(np.diagonal(measured, k).max())
            assert worst <= claimed + 1e-12, f"4.10: {worst} > {claimed}, k {k}, d {d}, {case}"


def torus(case, bound=locality.torus_sensitivity_bound):
    n1, n2, sigma = 1 + case.seed // 4 % 7, 2 + case.seed // 28 % 6, 0.3 + case.relative
    values = spectrum(case, n1, n2)
    measured, (row, column) = dense_jacobian(values, sigma)
    for j in range(1, n1 * n2):
        rho1, rho2 = min(row[j], n1 - row[j]), min(column[j], n2 - column[j])
        claimed = float(bound(values, sigma, rho1, rho2))
        assert measured[0, j] <= claimed + 1e-12, (
            f"torus: {measured[0, j]} > {claimed}, {rho1, rho2} of {n1, n2}, {case}"
        )


def theorem_4_11(case, leading=large_noise.leading_term, remainder=large_noise.remainder_bound):
    x = case.points
    mean = x.mean(0)
    centred, z = x - mean, case.rng(3).standard_normal(case.d)
    radius = np.linalg.norm(centred, axis=1).max()
    sigma = float(10 ** case.rng(9).uniform(0, 2.5) * (radius or 1))
    y = mean + sigma * z
    # The slow way, with |y - x|^2 less |y - mu|^2 so that d sigma^2 does not drown the rest.
    tilt = centred @ (y - mean) / sigma**2 - np.square(centred / sigma).sum(1) / 2
    odds = np.exp(tilt - tilt.max())
    exact = odds @ centred / odds.sum()
    gram = centred @ centred.T + case.n * sigma**2 * np.eye(case.n)
    gaussian = centred.T @ np.linalg.solve(gram, centred @ (y - mean))
    left = np.linalg.norm(exact - gaussian - leading(x, (y - mean) / sigma) / sigma**2)
    rounding = 64 * EPS * (np.abs(x).max() + radius * (1 + np.linalg.norm(z)))
    claimed = float(remainder(x, y, sigma)) + rounding
    assert left <= claimed, f"4.11: {left} > {claimed} at sigma {sigma}, {case}"


@st.composite
def cases(draw):
    d = draw(st.sampled_from((1, 2, 3, 8, 40, 3072)))
    return Case(
        kind=draw(st.sampled_from(KINDS)),
        n=draw(st.sampled_from((2, 3, 6) if d == 3072 else (2, 3, 6, 11))),
        d=d,
        seed=draw(st.integers(0, 2**32 - 1)),
        level=draw(st.floats(0.02, 0.98)),
        delta=draw(st.floats(0.01, 0.9)),
        relative=10.0 ** draw(st.floats(-1.5, 1.5)),
        share=10.0 ** draw(st.floats(-3, 0)),
    )


FIXED = [
    Case("clusters", n, d, seed, level=0.6, delta=0.2, relative=relative, share=0.5)
    for n, d, relative in ((2, 2, 0.3), (2, 8, 0.6), (2, 40, 1.0), (6, 3, 0.1), (3, 8, 3.0))
    for seed in (0, 1, 25, 33)
]


def given_as(position, factor):
    """Slip: one argument is off by a factor."""
    return lambda f: (
        lambda *args: f(*(factor * v if k == position else v for k, v in enumerate(args)))
    )


def times(factor):
    """Slip: the result is off by a factor."""
    return lambda f: lambda *args: factor * np.asarray(f(*args))


def no_last_term(f):
    return lambda d, c: (f(d, c)[0], np.sqrt(d + 2 * np.sqrt(c * d)))


def no_failure(f):
    return lambda *args, **at: f(*args, **at)._replace(probability=np.float64(1))


def no_division(f):
    return lambda norm, d_min, diam, *, t, **at: f(norm, d_min, diam * (1 - t), t=t, **at)


WRONG = (
    (theorem_4_2, "plus", given_as(0, 0.5)),
    (theorem_4_2, "minus", times(1.3)),
    (all_distances, "below", times(0.5)),
    (all_distances, "split", times(0.5)),
    (all_distances, "above", times(0.5)),
    (all_distances, "plus", times(0.7)),
    (all_distances, "minus", times(1.4)),
    (lemma_4_5, "radii", no_last_term),
    (lemma_4_5, "exact", times(0.9)),
    (theorem_4_8, "lower", given_as(0, 0.5)),
    (theorem_4_8, "upper", given_as(1, 0.5)),
    (lemma_a_1, "failure", times(0.5)),
    (corollary_a_2, "bound", no_failure),
    (corollary_a_2, "bound", no_division),
    (weight, "error", given_as(1, 0.5)),
    (weight, "lower", given_as(1, 0.5)),
    (weight, "upper", given_as(1, 3)),
    (copying, "lower", given_as(1, 2 / 3)),
    (theorem_4_10, "sharp", times(0.5)),
    (theorem_4_10, "harmonic", times(0.8)),
    (torus, "bound", times(0.5)),
    (theorem_4_11, "leading", times(2 / 3)),
    (theorem_4_11, "remainder", times(1e-3)),
)
PROPERTIES = tuple(dict.fromkeys(holds for holds, *_ in WRONG))


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda f: f.__name__)
@given(case=cases())
def test_bound_holds(holds, case):
    holds(case)


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda f: f.__name__)
def test_bound_holds_where_slips_are_tried(holds):
    for case in FIXED:
        holds(case)


@pytest.mark.parametrize(("holds", "formula", "slip"), WRONG)
def test_a_wrong_formula_is_found(holds, formula, slip):
    right = inspect.signature(holds).parameters[formula].default

    def every_case():
        for case in FIXED:
            holds(case, **{formula: slip(right)})

    with pytest.raises(AssertionError, match="seed"):
        every_case()


ODD = [*((kind, 8, 6) for kind in KINDS), ("line", 2, 5), ("grid", 9, 1), ("clusters", 4, 3072)]


@pytest.mark.parametrize(("kind", "n", "d"), ODD)
def test_no_check_is_violated_on_an_odd_data_set(kind, n, d):
    data, c, samples = cloud(kind, n + 3, d, SEED), min(5, d / 4), 100 if d > 100 else 250
    settings = Settings(c=c, w=0.9, seed=SEED, samples=samples, device="cpu")
    study = Study(data[:n], data[n:], settings)
    for claim, check in checks().items():
        records = list(check(study, 1e-6 / len(checks())))
        assert records, claim
        assert [str(r) for r in records if r.verdict == "violated"] == []
