"""Sections E.1 and E.7: the sampling schedule and the time parameterizations."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.any_size import norm2, vectors
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


@step("E.1", "the schedule starts at sigma_max and ends at sigma_min", last=n)
def end_points(last: Any = n - 1) -> bool:
    """E.1 at i = 0 and i = n - 1."""
    first, final = (sp.simplify(edm_sigma.subs(i, at)) for at in (0, last))
    return bool(first == sigma_max and final == sigma_min)


@step("E.1", "sigma^(1/rho) falls in equal steps", power=2)
def equal_steps(power: int = 1) -> bool:
    """E.1: from i to i + 1 ``sigma_i^(power/rho)`` changes by (end - start)/(n-1), for every i."""
    low, gap = sp.symbols("s g", positive=True)
    term = edm_sigma.args[0].subs({start: low + gap, end: low}) ** power
    return bool(sp.simplify(term.subs(i, i + 1) - term + gap / (n - 1)) == 0)


@step("E.1", "it falls strictly, whatever rho", sign=-1)
def schedule_falls(sign: int = 1) -> bool:
    """E.1: with ``smax^(1/rho) = s + g``, s, g > 0, the derivative in i/(n-1) is negative."""
    low, gap = sp.Symbol("s", positive=True), sign * sp.Symbol("g", positive=True)
    remaining = sp.Symbol("r", nonnegative=True)  # 1 - i/(n-1)
    curve = edm_sigma.subs({start: low + gap, end: low}).subs(i, (1 - remaining) * (n - 1))
    return bool(sp.diff(sp.expand(curve.args[0]) ** rho, remaining).is_positive)


@step("E.1", "rho = 1 is linear, rho to infinity geometric", linear_rho=2)
def extremes(linear_rho: int = 1) -> bool:
    """E.1: at rho = 1 the steps are equal; ``log sigma_i`` interpolates as 1/rho goes to 0."""
    h, a, b = sp.symbols("h a b", real=True)  # h = 1/rho, a = log smax, b = log smin
    log_sigma = sp.log(sp.exp(a * h) + q * (sp.exp(b * h) - sp.exp(a * h))) / h
    geometric = sp.limit(sp.series(log_sigma * h, h, 0, 2).removeO() / h, h, 0)
    linear = edm_sigma.subs(rho, linear_rho).subs(i, q * (n - 1))
    return bool(
        sp.expand(geometric - ((1 - q) * a + q * b)) == 0
        and sp.simplify(linear - ((1 - q) * sigma_max + q * sigma_min)) == 0
    )


@step("E.1", "the 18 values of the table, rounded to two decimals", "numeric", exponent=6)
def table(exponent: int = 7) -> bool:
    """E.7's table from E.1 at n = 18, sigma from 0.002 to 80, rho = 7; mpmath at 50 digits.

    To half a unit of the last decimal.
    """
    import mpmath as mp

    with mp.workdps(50):
        high, low = mp.mpf(80) ** (mp.mpf(1) / exponent), mp.mpf("0.002") ** (mp.mpf(1) / exponent)
        values = [(high + mp.mpf(a) / 17 * (low - high)) ** exponent for a in range(18)]
        gaps = [abs(v - mp.mpf(p)) for v, p in zip(values, PRINTED.split(), strict=True)]
        return bool(max(gaps) <= mp.mpf("0.005"))


@step("E.7", "sigma to flow time and back, both ways", time=1 / (2 + sigma))
def flow_round_trip(time: Any = flow_time) -> bool:
    """E.7: ``(1-t)/t`` at ``t = 1/(1+sigma)`` is sigma, and the reverse."""
    there = sp.simplify(sigma_of_flow_time.subs(t, time) - sigma)
    back = sp.simplify(time.subs(sigma, sigma_of_flow_time) - t)
    return bool(there == 0 and back == 0)


@step("E.7", "sigma to log-SNR and back, both ways", power=1)
def log_snr_round_trip(power: int = 2) -> bool:
    """E.7: ``exp(-lambda/2)`` at ``lambda = -2 log sigma`` is sigma, and the reverse."""
    ratio = -power * sp.log(sigma)
    there = sp.simplify(sigma_of_log_snr.subs(log_snr, ratio) - sigma)
    back = sp.expand_log(log_snr_of_sigma.subs(sigma, sigma_of_log_snr)) - log_snr
    return bool(there == 0 and sp.simplify(back) == 0)


@step("E.7", "sigma to signal share and back: alpha_bar = 1/(1 + sigma^2)", power=1)
def alpha_bar_round_trip(power: int = 2) -> bool:
    """E.7: solve ``sqrt((1-a)/a) = sigma`` for a."""
    share = 1 / (1 + sigma**power)
    there = sp.simplify(sigma_of_alpha_bar.subs(alpha_bar, share) ** 2 - sigma**2)
    solved = sp.solve(sp.Eq(sigma_of_alpha_bar**2, sigma**2), alpha_bar)
    return bool(there == 0 and len(solved) == 1 and sp.simplify(solved[0] - share) == 0)


@step("E.7", "a variance-preserving sample is alpha_bar^(1/2) times x + sigma Z", power=1)
def rescaling(power: int = 2) -> bool:
    """E.7: ``sqrt(a) x + sqrt(1-a) Z`` over ``sqrt(a)`` has the noise level of the conversion."""
    x, z = sp.symbols("x z", real=True)
    share = 1 / (1 + sigma**power)
    sample = sp.sqrt(share) * x + sp.sqrt(1 - share) * z
    return bool(sp.simplify(sample / sp.sqrt(share) - (x + sigma * z)) == 0)


@step("E.7", "log-SNR is log(a/(1-a)) of a signal share and 2 log(t/(1-t)) of a flow time", power=1)
def log_snr_of_each_time(power: int = 2) -> bool:
    """E.7: the ratio of signal to noise power in ``sqrt(a) x + sqrt(1-a) Z`` and in x_t."""
    shares = sp.exp(log_snr_of_sigma.subs(sigma, sigma_of_alpha_bar)) - alpha_bar / (1 - alpha_bar)
    times = sp.exp(log_snr_of_sigma.subs(sigma, sigma_of_flow_time)) - (t / (1 - t)) ** power
    return bool(sp.simplify(shares) == 0 and sp.simplify(times) == 0)


@step(
    "E.7",
    "end points: no noise is t = 1 and alpha_bar = 1, endless noise t = 0 and alpha_bar = 0",
    power=-2,
)
def time_ends(power: int = 2) -> bool:
    """E.7: limits of the conversions as sigma goes to 0 and to infinity; both fall."""
    share = 1 / (1 + sigma**power)
    limits = [
        sp.limit(time, sigma, at, "+" if at == 0 else "-")
        for time in (flow_time, share)
        for at in (0, sp.oo)
    ]
    both_fall = all(sp.diff(time, sigma).is_negative for time in (flow_time, share))
    return bool(limits == [1, 0, 1, 0] and both_fall)


@step("E.7", "DDPM's sigma rises with every step", sign=-1)
def table_rises(sign: int = 1) -> bool:
    """E.7: one more factor ``1 - beta``, 0 < beta < 1, raises ``1/alpha_bar - 1``."""
    kept, more = sp.symbols("a p", positive=True)
    noise = 1 / (1 + more)  # 1 - beta, with beta = p/(1+p) in (0, 1)
    grown = sp.simplify((1 / (kept * noise**sign) - 1) - (1 / kept - 1))
    return bool(grown.is_positive)


@step("E.7", "linear betas meet both ends", first=0)
def linear_betas(first: int = 1) -> bool:
    """E.7: beta_1 is the start and beta_T the end, for every T."""
    ends = beta.subs(k, first) - beta_start, beta.subs(k, T) - beta_end
    return all(sp.simplify(end) == 0 for end in ends)


@step("E.7", "one more step divides 1 + sigma^2 by its factor 1 - beta", power=1)
def product(power: int = 2) -> bool:
    """E.7, by induction: ``1 + sigma^2`` is 1 over the product of ``1 - beta_k``, 1 at no step."""
    before, after = (1 + ddpm_sigma.subs(last, at) ** power for at in (last, last + 1))
    factors = [sp.Product(1 - beta, (k, 1, at)) for at in (last, last + 1)]
    known = {factors[1]: factors[0] * (1 - beta.subs(k, last + 1))}
    ratio = after.subs(known) * (1 - beta.subs(k, last + 1)) - before
    stays = sp.simplify(ratio.subs(factors[0], sp.Symbol("a", positive=True)))
    first = ddpm_sigma.subs(last, 1).doit() ** 2 - (1 / (1 - beta.subs(k, 1)) - 1)
    return stays == 0 and sp.simplify(first) == 0


@step("E.7", "the nearest timestep on a log scale changes at the geometric mean", power=1)
def nearest_timestep(power: int = 2) -> bool:
    """E.7: ``|log sigma - log a| = |log sigma - log b|`` with a < sigma < b, solved for sigma."""
    a, b = sp.symbols("a b", positive=True)
    middle = sp.solve(sp.Eq(sp.log(sigma) - sp.log(a), sp.log(b) - sp.log(sigma)), sigma)
    return bool(len(middle) == 1 and sp.simplify(middle[0] ** power - a * b) == 0)


@step("E.7", "halving the range of the pixels halves sigma at a given posterior", factor=1)
def scale(factor: int = 2) -> bool:
    """E.7: the weights depend on ``|y - x|/sigma``, so (x, y, sigma) and half of each agree."""
    at, point = vectors("y x")
    exponent = norm2(at - point) / (2 * sigma**2)
    halved = norm2(at / 2 - point / 2) / (2 * (sigma / factor) ** 2)
    return bool(sp.simplify(halved - exponent) == 0)
