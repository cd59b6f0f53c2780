"""Sections E.1 and E.7: the sampling schedule and the time parameterizations."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.step import step

n = sp.Symbol("n", integer=True, positive=True)
i = sp.Symbol("i", integer=True, nonnegative=True)
sigma_min, sigma_max, rho = sp.symbols("sigma_min sigma_max rho", positive=True)
sigma, t, alpha_bar = sp.symbols("sigma t alpha_bar", positive=True)
log_snr = sp.Symbol("log_snr", real=True)
q = sp.Symbol("q", real=True)
"""Share of the way through the schedule, i/(n - 1)."""

start, end = sigma_max ** (1 / rho), sigma_min ** (1 / rho)

edm_sigma = (start + i / (n - 1) * (end - start)) ** rho
"""E.1: the noise level of step i of n."""

flow_time = 1 / (1 + sigma)
sigma_of_flow_time = (1 - t) / t
sigma_of_alpha_bar = sp.sqrt((1 - alpha_bar) / alpha_bar)
log_snr_of_sigma = -2 * sp.log(sigma)
sigma_of_log_snr = sp.exp(-log_snr / 2)

k, T = sp.symbols("k T", integer=True, positive=True)
beta_start, beta_end = sp.symbols("beta_start beta_end", positive=True)
beta = beta_start + (k - 1) / (T - 1) * (beta_end - beta_start)
"""DDPM's linear schedule, k = 1..T."""

last = sp.Symbol("last", integer=True, positive=True)
ddpm_sigma = sp.sqrt(1 / sp.Product(1 - beta, (k, 1, last)) - 1)
"""E.7: the noise level after ``last`` steps, ``alpha_bar`` the product of 1 - beta."""

PRINTED = (
    "80.00 57.59 40.79 28.37 19.35 12.91 8.40 5.32 3.26 1.92 1.09 0.59 0.30 0.14 0.06 0.02 0.01"
    " 0.00"
)
"""The table of E.7."""


@step("E.1", "the schedule starts at sigma_max and ends at sigma_min")
def end_points() -> bool:
    """E.1 at i = 0 and i = n - 1."""
    first, final = (sp.simplify(edm_sigma.subs(i, at)) for at in (0, n - 1))
    return bool(first == sigma_max and final == sigma_min)


@step("E.1", "sigma^(1/rho) falls in equal steps")
def equal_steps() -> bool:
    """E.1: second differences of ``sigma_i^(1/rho)`` vanish, first ones are (end - start)/(n-1)."""
    return steps_are_equal(1)


def steps_are_equal(power: Any) -> bool:
    """Whether ``sigma_i^(power/rho)`` falls in equal steps, n = 5, smax^(1/rho) = s + g."""
    low, gap = sp.symbols("s g", positive=True)
    inner = edm_sigma.args[0].subs({start: low + gap, end: low}).subs(n, 5)
    terms = [sp.expand(inner.subs(i, at) ** power) for at in range(5)]
    second = [sp.expand(terms[at + 2] - 2 * terms[at + 1] + terms[at]) for at in range(3)]
    return second == [0, 0, 0] and sp.expand(terms[1] - terms[0] + gap / 4) == 0


@step("E.1", "it falls strictly, whatever rho")
def schedule_falls() -> bool:
    """E.1: with ``smax^(1/rho) = s + g``, s, g > 0, the derivative in i/(n-1) is negative."""
    low, gap = sp.symbols("s g", positive=True)
    remaining = sp.Symbol("r", nonnegative=True)  # 1 - i/(n-1)
    curve = edm_sigma.subs({start: low + gap, end: low}).subs(i, (1 - remaining) * (n - 1))
    return bool(sp.diff(sp.expand(curve.args[0]) ** rho, remaining).is_positive)


@step("E.1", "rho = 1 is linear, rho to infinity geometric")
def extremes() -> bool:
    """E.1: at rho = 1 the steps are equal; ``log sigma_i`` interpolates as 1/rho goes to 0."""
    h, a, b = sp.symbols("h a b", real=True)  # h = 1/rho, a = log smax, b = log smin
    log_sigma = sp.log(sp.exp(a * h) + q * (sp.exp(b * h) - sp.exp(a * h))) / h
    geometric = sp.limit(sp.series(log_sigma * h, h, 0, 2).removeO() / h, h, 0)
    linear = edm_sigma.subs(rho, 1).subs(i, q * (n - 1))
    return bool(
        sp.expand(geometric - ((1 - q) * a + q * b)) == 0
        and sp.simplify(linear - ((1 - q) * sigma_max + q * sigma_min)) == 0
    )


@step("E.1", "the 18 values of the table, rounded to two decimals", "numeric")
def table() -> bool:
    """E.7's table from E.1 at n = 18, sigma from 0.002 to 80, rho = 7; mpmath at 50 digits."""
    return table_agrees(7)


def table_agrees(exponent: int) -> bool:
    """Whether the printed values are those of this rho, to half a unit of the last decimal."""
    import mpmath as mp

    with mp.workdps(50):
        high, low = mp.mpf(80) ** (mp.mpf(1) / exponent), mp.mpf("0.002") ** (mp.mpf(1) / exponent)
        values = [(high + mp.mpf(a) / 17 * (low - high)) ** exponent for a in range(18)]
        gaps = [abs(v - mp.mpf(p)) for v, p in zip(values, PRINTED.split(), strict=True)]
        return bool(max(gaps) <= mp.mpf("0.005"))


@step("E.7", "sigma to flow time and back, both ways")
def flow_round_trip() -> bool:
    """E.7: ``(1-t)/t`` at ``t = 1/(1+sigma)`` is sigma, and the reverse."""
    return flow_inverse(1)


def flow_inverse(offset: Any) -> bool:
    """Whether ``1/(offset + sigma)`` and ``(1-t)/t`` are inverse to each other."""
    time = 1 / (offset + sigma)
    there = sp.simplify(sigma_of_flow_time.subs(t, time) - sigma)
    back = sp.simplify(time.subs(sigma, sigma_of_flow_time) - t)
    return bool(there == 0 and back == 0)


@step("E.7", "sigma to log-SNR and back, both ways")
def log_snr_round_trip() -> bool:
    """E.7: ``exp(-lambda/2)`` at ``lambda = -2 log sigma`` is sigma, and the reverse."""
    there = sp.simplify(sigma_of_log_snr.subs(log_snr, log_snr_of_sigma) - sigma)
    back = sp.expand_log(log_snr_of_sigma.subs(sigma, sigma_of_log_snr)) - log_snr
    return bool(there == 0 and sp.simplify(back) == 0)


@step("E.7", "sigma to signal share and back: alpha_bar = 1/(1 + sigma^2)")
def alpha_bar_round_trip() -> bool:
    """E.7: solve ``sqrt((1-a)/a) = sigma`` for a."""
    return alpha_bar_inverse(2)


def alpha_bar_inverse(power: int) -> bool:
    """Whether the solution is ``1/(1 + sigma^power)``."""
    share = 1 / (1 + sigma**power)
    there = sp.simplify(sigma_of_alpha_bar.subs(alpha_bar, share) ** 2 - sigma**2)
    solved = sp.solve(sp.Eq(sigma_of_alpha_bar**2, sigma**2), alpha_bar)
    return bool(there == 0 and len(solved) == 1 and sp.simplify(solved[0] - share) == 0)


@step("E.7", "a variance-preserving sample is alpha_bar^(1/2) times x + sigma Z")
def rescaling() -> bool:
    """E.7: ``sqrt(a) x + sqrt(1-a) Z`` over ``sqrt(a)`` has the noise level of the conversion."""
    x, z = sp.symbols("x z", real=True)
    share = 1 / (1 + sigma**2)
    sample = sp.sqrt(share) * x + sp.sqrt(1 - share) * z
    return bool(sp.simplify(sample / sp.sqrt(share) - (x + sigma * z)) == 0)


@step("E.7", "log-SNR is log(a/(1-a)) of a signal share and 2 log(t/(1-t)) of a flow time")
def log_snr_of_each_time() -> bool:
    """E.7: the ratio of signal to noise power in ``sqrt(a) x + sqrt(1-a) Z`` and in x_t."""
    shares = sp.exp(log_snr_of_sigma.subs(sigma, sigma_of_alpha_bar)) - alpha_bar / (1 - alpha_bar)
    times = sp.exp(log_snr_of_sigma.subs(sigma, sigma_of_flow_time)) - t**2 / (1 - t) ** 2
    return bool(sp.simplify(shares) == 0 and sp.simplify(times) == 0)


@step(
    "E.7", "end points: no noise is t = 1 and alpha_bar = 1, endless noise t = 0 and alpha_bar = 0"
)
def time_ends() -> bool:
    """E.7: limits of the conversions as sigma goes to 0 and to infinity; both fall."""
    share = 1 / (1 + sigma**2)
    limits = [
        sp.limit(time, sigma, at, "+" if at == 0 else "-")
        for time in (flow_time, share)
        for at in (0, sp.oo)
    ]
    both_fall = all(sp.diff(time, sigma).is_negative for time in (flow_time, share))
    return bool(limits == [1, 0, 1, 0] and both_fall)


@step("E.7", "DDPM's sigma rises with every step")
def table_rises() -> bool:
    """E.7: one more factor ``1 - beta``, 0 < beta < 1, raises ``1/alpha_bar - 1``."""
    kept, more = sp.symbols("a p", positive=True)
    noise = 1 / (1 + more)  # 1 - beta, with beta = p/(1+p) in (0, 1)
    grown = sp.simplify((1 / (kept * noise) - 1) - (1 / kept - 1))
    return bool(grown.is_positive)


@step("E.7", "linear betas: the product form after two and three steps")
def product() -> bool:
    """E.7: ``1 + sigma^2`` times the factors ``1 - beta_k`` is 1; both ends of beta are met."""
    ends = (
        sp.simplify(beta.subs(k, 1) - beta_start) == 0,
        sp.simplify(beta.subs(k, T) - beta_end) == 0,
    )
    for count in (2, 3):
        level = ddpm_sigma.subs(last, count).doit()
        factors = sp.Mul(*(1 - beta.subs(k, at) for at in range(1, count + 1)))
        if sp.simplify((1 + level**2) * factors - 1) != 0:
            return False
    return all(ends)


@step("E.7", "the nearest timestep on a log scale changes at the geometric mean")
def nearest_timestep() -> bool:
    """E.7: ``|log sigma - log a| = |log sigma - log b|`` with a < sigma < b, solved for sigma."""
    a, b = sp.symbols("a b", positive=True)
    middle = sp.solve(sp.Eq(sp.log(sigma) - sp.log(a), sp.log(b) - sp.log(sigma)), sigma)
    return bool(len(middle) == 1 and sp.simplify(middle[0] ** 2 - a * b) == 0)


@step("E.7", "halving the range of the pixels halves sigma at a given posterior")
def scale() -> bool:
    """E.7: the weights depend on ``|y - x|/sigma``, so (x, y, sigma) and half of each agree."""
    y, x = sp.symbols("y x", real=True)
    exponent = (y - x) ** 2 / (2 * sigma**2)
    halved = exponent.subs({y: y / 2, x: x / 2, sigma: sigma / 2}, simultaneous=True)
    return bool(sp.simplify(halved - exponent) == 0)
