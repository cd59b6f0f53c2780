"""The paper's formulas at 50 digits in mpmath, written from their statements and not from the code.

``tests/theory/conftest.py`` hands this module to the tests as the fixture ``reference``. Arguments
are floats, taken as exact. Where the code uses a rearranged form, the form here is the plain one:
fifty digits forgive its cancellation.
"""

import decimal
import itertools
from collections.abc import Iterable

import mpmath
import numpy as np

mp = mpmath.mp.clone()  # a context of its own: the precision of others stays what it is
mp.dps = DIGITS = 50
DECIMAL = decimal.Context(prec=DIGITS + 20, Emin=-(10**9), Emax=10**9)
LAST_DIGIT = decimal.Decimal(10) ** -DIGITS

SMALLEST = 1e-300  # below this a float64 no longer carries 53 bits


def assert_agrees(computed, exact, tolerance=1e-12, scale=None):
    """Every computed value within ``tolerance`` of the exact one, relative to it or to ``scale``.

    Values whose truth lies below 1e-300 need only be below it too.
    """
    computed = np.ravel(computed)
    exact = list(exact) if isinstance(exact, Iterable) else [exact]
    scales = exact if scale is None else scale
    scales = list(scales) if isinstance(scales, Iterable) else [scales] * len(exact)
    assert len(computed) == len(exact) == len(scales)
    for k, (value, truth, size) in enumerate(zip(computed.tolist(), exact, scales, strict=True)):
        truth, size = mp.mpf(truth), abs(mp.mpf(size))
        assert np.isfinite(value), f"entry {k} is {value}, should be {mp.nstr(truth, 17)}"
        if size < SMALLEST:
            assert abs(value) <= SMALLEST, f"entry {k}: {value!r} should be {mp.nstr(truth, 17)}"
            continue
        error = abs(mp.mpf(value) - truth) / size
        assert error <= tolerance, (
            f"entry {k}: {value!r} should be {mp.nstr(truth, 17)}, an error of {mp.nstr(error, 3)}"
        )


# Normal and chi-square distributions


def upper_normal(x):
    return mp.erfc(mp.mpf(x) / mp.sqrt(2)) / 2


def to_decimal(value):
    """For long sums: the decimal module has the same digits as mpmath and is ten times faster."""
    return decimal.Decimal(mp.nstr(value, mp.dps))


def chi_square_cdfs(ends, d, noncentrality=0.0):
    """``P(U <= x)`` for x in ``ends``, U noncentral chi-square: sums of positive terms.

    With J Poisson of mean lambda/2, U has ``d + 2J`` degrees, and a central chi-square of 2a
    degrees lies below x with probability ``sum_{k >= 0} e^-y y^(a + k) / Gamma(a + k + 1)``,
    y = x/2. Order the double sum by the power of y: the k-th has weight ``P(J <= k)``.
    """
    with mp.workdps(DIGITS + 20), decimal.localcontext(DECIMAL):
        a, mean = mp.mpf(d) / 2, mp.mpf(noncentrality) / 2
        halves = [mp.mpf(x) / 2 for x in ends]
        first = [mp.exp(a * mp.log(y) - y - mp.loggamma(a + 1)) if y > 0 else y for y in halves]
        mass = poisson = to_decimal(mp.exp(-mean))
        a, mean = to_decimal(a), to_decimal(mean)
        halves, terms = [to_decimal(y) for y in halves], [to_decimal(t) for t in first]
        totals = [decimal.Decimal(0)] * len(terms)
        for k in itertools.count(1):
            totals = [total + t * mass for total, t in zip(totals, terms, strict=True)]
            terms = [t * y / (a + k) for t, y in zip(terms, halves, strict=True)]
            poisson *= mean / k
            mass += poisson
            if k % 32 == 0 and all(  # what is left is below a geometric series
                y < a + k and t <= LAST_DIGIT * (1 - y / (a + k)) * total
                for y, t, total in zip(halves, terms, totals, strict=True)
            ):
                return [mp.mpf(str(total)) for total in totals]


def chi_square_upper(x, d):
    return mp.gammainc(mp.mpf(d) / 2, mp.mpf(x) / 2, mp.inf, regularized=True)


# Posterior weight (Theorem 4.2, Lemma A.1)


def log_odds(n, w):
    n, w = mp.mpf(n), mp.mpf(w)
    return mp.log(w * (n - 1) / (1 - w))


def union_quantile(n, delta):
    share = mp.mpf(delta) / (mp.mpf(n) - 1)
    if share > 0.1:
        return -mp.sqrt(2) * mp.erfinv(2 * share - 1)
    start = mp.sqrt(-2 * mp.log(share))
    return mp.findroot(lambda z: mp.log(upper_normal(z)) - mp.log(share), start)


def sigma_plus(d_max, n, w, delta):
    two_l, z = 2 * log_odds(n, w), union_quantile(n, delta)
    return mp.mpf(d_max) * (z + mp.sqrt(z**2 + two_l)) / two_l


def sigma_minus(d_min, n, w, delta):
    two_l, z = 2 * log_odds(n, w), union_quantile(n, delta)
    return mp.mpf(d_min) * (mp.sqrt(z**2 + two_l) - z) / two_l


def margin(distance, sigma, level):
    distance, sigma = mp.mpf(distance), mp.mpf(sigma)
    return distance / (2 * sigma) - mp.mpf(level) * sigma / distance


def below_probability(distances, sigma, w):
    level = log_odds(len(distances) + 1, w)
    odds = mp.mpf(w) / (1 - mp.mpf(w))
    union = mp.fsum(upper_normal(margin(r, sigma, level)) for r in distances)
    truncated = mp.fsum(
        upper_normal(margin(r, sigma, mp.log(odds)))
        + odds * upper_normal(margin(r, sigma, -mp.log(odds)))
        for r in distances
    )
    return min(mp.mpf(1), union, truncated)


def decoding_error(distances, sigma):
    total = mp.fsum(upper_normal(mp.mpf(r) / (2 * mp.mpf(sigma))) for r in distances)
    return min(mp.mpf(1), total)


def concentration_failure(d_min, sigma, n, w):
    tau = margin(d_min, sigma, log_odds(n, w))
    return min(mp.mpf(1), (mp.mpf(n) - 1) * upper_normal(tau))


def whole(x):
    """The entries of x in whole numbers of 2^-200, exactly: mpmath's sums take ten times longer."""
    x = np.asarray(x, np.float64)
    assert (np.ldexp(np.abs(x[x != 0]), 147) >= 1).all(), "an entry has digits below 2^-200"
    return [int(v) for v in np.ldexp(x, 200).tolist()]


def products(rows, others):
    """Matrix of all inner products of the rows with the others."""
    rows, others = [whole(x) for x in rows], [whole(y) for y in others]
    exact = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in others] for x in rows]
    return mp.matrix([[mp.ldexp(mp.mpf(total), -400) for total in row] for row in exact])


def squared_distance(y, x):
    total = sum((a - b) ** 2 for a, b in zip(whole(y), whole(x), strict=True))
    return mp.ldexp(mp.mpf(total), -400)


def weights(y, points, sigma):
    scale = 2 * mp.mpf(sigma) ** 2
    exponents = [-squared_distance(y, x) / scale for x in points]
    top = max(exponents)
    terms = [mp.exp(e - top) for e in exponents]
    return [t / mp.fsum(terms) for t in terms]


# Shells and coverage (Lemma 4.5, Definition 4.7)


def squared_radii(d, c):
    d, c = mp.mpf(d), mp.mpf(c)
    return max(mp.mpf(0), d - 2 * mp.sqrt(c * d)), d + 2 * mp.sqrt(c * d) + 2 * c


def outside_probability(d, c):
    inner, outer = squared_radii(d, c)
    return chi_square_cdfs([inner], d)[0] + chi_square_upper(outer, d)


def overlap_probability(distance, sigma, d, c):
    inner, outer = squared_radii(d, c)
    noncentrality = (mp.mpf(distance) / mp.mpf(sigma)) ** 2
    below_inner, below_outer = chi_square_cdfs([inner, outer], d, noncentrality)
    return below_outer - below_inner


def symmetric_beta(a, u):
    """Regularised incomplete beta ``I_u(a, a)``; mpmath's own gives up at large a."""
    a, u = mp.mpf(a), mp.mpf(u)
    if u <= 0:
        return mp.mpf(0)
    if u > 0.5:
        return 1 - symmetric_beta(a, 1 - u)
    with mp.workdps(DIGITS + 20), decimal.localcontext(DECIMAL):
        first = mp.exp(
            a * mp.log(u * (1 - u)) - mp.log(a) - 2 * mp.loggamma(a) + mp.loggamma(2 * a)
        )
        a, u, term, total = to_decimal(a), to_decimal(u), to_decimal(first), decimal.Decimal(0)
        for k in itertools.count():
            total += term
            ratio = u * (2 * a + k) / (a + 1 + k)
            term *= ratio
            if k % 32 == 31 and term < LAST_DIGIT * (1 - ratio) * total:
                return mp.mpf(str(total))


def shell_overlap(distance, sigma, d, c):
    """Share of a shell in another, by a cap for each radius and an integral over the radius."""
    with mp.workdps(25):  # quadrature: more digits cost more than they show
        r_in, r_out = (mp.sqrt(r) for r in squared_radii(d, c))
        gap, half = mp.mpf(distance) / mp.mpf(sigma), (mp.mpf(d) - 1) / 2

        def reached(radius):
            def share(end):
                return symmetric_beta(half, (end**2 - (radius - gap) ** 2) / (4 * radius * gap))

            return (share(r_out) - share(r_in)) * d * (radius / r_out) ** d / radius

        # Kinks: the other shell's spheres begin or cease to cut the sphere of this radius.
        kinks = {gap - r_out, gap - r_in, r_out - gap, gap + r_in}
        path = [r_in, *sorted(k for k in kinks if r_in < k < r_out), r_out]
        return mp.quad(reached, path) / (1 - (r_in / r_out) ** d)


def shell_overlap_by_volumes(distance, sigma, d, c):
    """The same from volumes of lenses: a cap of height h holds ``I_(h/2R)((d+1)/2, (d+1)/2)``."""
    inner, outer = (mp.sqrt(r) for r in squared_radii(d, c))
    gap, half = mp.mpf(distance) / mp.mpf(sigma), (mp.mpf(d) + 1) / 2

    def lens(first, second):
        total = mp.mpf(0)
        for own, other in ((first, second), (second, first)):
            plane = (gap**2 + own**2 - other**2) / (2 * gap)
            share = symmetric_beta(half, min(1, max(0, (own - plane) / (2 * own))))
            total += (own / outer) ** d * share
        return total

    common = lens(outer, outer) - 2 * lens(outer, inner) + lens(inner, inner)
    return common / (1 - (inner / outer) ** d)


# Spectra and moments (Theorems 4.10 and 4.11)


def shrinkage(eigenvalue, sigma):
    return mp.mpf(eigenvalue) / (mp.mpf(eigenvalue) + mp.mpf(sigma) ** 2)


def total_variation(eigenvalues, sigma):
    mu = [shrinkage(value, sigma) for value in eigenvalues]
    return mp.fsum(abs(b - a) for a, b in zip(mu, mu[1:] + mu[:1], strict=True))


def moments(points):
    """Mean, centred points and covariance (divided by N), as matrices with points as rows."""
    points = mp.matrix(points.tolist())
    n = points.rows
    mean = mp.ones(1, n) * points / n
    centred = points - mp.ones(n, 1) * mean
    return mean, centred, centred.T * centred / n


def gaussian_denoiser(y, points, sigma):
    mean, _, covariance = moments(points)
    shifted = covariance + mp.mpf(sigma) ** 2 * mp.eye(covariance.rows)
    return list(mean.T + covariance * mp.lu_solve(shifted, (mp.matrix([y.tolist()]) - mean).T))
