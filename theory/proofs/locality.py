"""Lemmas D.1 and D.3, Theorem D.4 (4.10), and its two-dimensional form on the torus."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.small_sets import (
    SIZES,
    Matrix,
    covariance,
    denoiser,
    points,
    posterior_weights,
    vanishes,
    vector,
)
from wildmiddle.theory.proofs.step import step

d, rho, tv = sp.symbols("d rho TV_sigma", positive=True)
sigma = sp.Symbol("sigma", positive=True)
k, r = sp.symbols("k r", integer=True, nonnegative=True)
mu, lam = sp.IndexedBase("mu"), sp.IndexedBase("lambda")

sensitivity_bound = tv / (2 * d * sp.sin(sp.pi * rho / d))
"""Theorem D.4, the step before Eq. 36."""

harmonic_bound = tv / (4 * rho)
"""Theorem D.4, Eq. 36."""

total_variation = sp.Sum(sp.Abs(mu[sp.Mod(k + 1, d)] - mu[k]), (k, 0, d - 1))
"""Theorem D.4: around the cycle of frequencies."""

kernel = sp.Sum(mu[k] * sp.cos(2 * sp.pi * k * rho / d), (k, 0, d - 1)) / d
"""Theorem D.4: the entry of the Jacobian at distance rho, for a symmetric covariance."""

size = sp.Symbol("n", integer=True, positive=True)
row = sp.IndexedBase("c")
eigenvalue = sp.Sum(row[r] * sp.cos(2 * sp.pi * k * r / size), (r, 0, size - 1))
"""Lemma D.3: eigenvalue k of the symmetric circulant matrix with first row c."""

s1, s2, s12 = sp.symbols("s_1 s_2 s_12", real=True)
variance = sp.Matrix([[s1, s12], [s12, s2]])
jacobian = variance * (variance + sigma**2 * sp.eye(2)).inv()
"""Lemma D.1 for two pixels."""

u, v = sp.symbols("u v")


def symmetric(n: int) -> Matrix:
    """A symmetric n x n matrix of symbols."""
    return sp.Matrix(n, n, lambda i, j: sp.Symbol(f"s_{min(i, j)}{max(i, j)}", real=True))


# Lemma D.1 and Tweedie's formula


@step("D.1", "S (S + sigma^2 I)^-1 = I - sigma^2 (S + sigma^2 I)^-1")
def resolvent() -> bool:
    """(35) for symmetric matrices of symbols, 2 x 2 and 3 x 3, by explicit inverses."""
    return resolvent_identity(2)


def resolvent_identity(power: int) -> bool:
    """Whether the identity holds with ``sigma^power`` before the resolvent."""
    for n in (2, 3):
        shifted = symmetric(n) + sigma**2 * sp.eye(n)
        inverse = shifted.adjugate() / shifted.det(method="berkowitz")
        if not vanishes(symmetric(n) * inverse - (sp.eye(n) - sigma**power * inverse)):
            return False
    return True


@step("D.1", "the Jacobian of Eq. 7 is that matrix, -sigma^2 (S + sigma^2 I)^-1 off the diagonal")
def gaussian_jacobian() -> bool:
    """D.1: differentiate ``mu + S (S + sigma^2 I)^-1 (y - mu)``; ``dm_0/dy_1`` by Cramer's rule."""
    y, mean = vector("y", 2), vector("mu", 2)
    shifted = variance + sigma**2 * sp.eye(2)
    output = mean + variance * shifted.LUsolve(y - mean)
    derivative = output.jacobian(y)
    return vanishes(derivative - jacobian) and vanishes(
        derivative[0, 1] - sigma**2 * s12 / ((s1 + sigma**2) * (s2 + sigma**2) - s12**2)
    )


@step("D.1", "Tweedie: the Jacobian is the posterior covariance over sigma^2, Gaussian data")
def tweedie_gaussian() -> bool:
    """D.1: precision ``S^-1 + I/sigma^2`` gives the posterior covariance; 2 x 2 and 3 x 3."""
    for n in (2, 3):
        s, unit = symmetric(n), sp.eye(n)
        # (S^-1 + I/sigma^2) J sigma^2 = I without inverting S, multiplied by S from the left.
        shifted = s + sigma**2 * unit
        j = s * shifted.adjugate() / shifted.det(method="berkowitz")
        if not vanishes((unit + s / sigma**2) * j * sigma**2 - s):
            return False
    return True


@step("D.1", "Tweedie: the Jacobian is the posterior covariance over sigma^2, empirical data")
def tweedie_empirical() -> bool:
    """D.1 for Eq. 2, N = 2 and 3, d = 1 and 2: a weighted covariance of the points."""
    return tweedie(2)


def tweedie(power: int) -> bool:
    """Whether ``d m_sigma / d y`` is the weighted covariance over ``sigma^power``."""
    for n, dim in SIZES:
        xs, y = points(n, dim), vector("y", dim)
        spread = covariance(posterior_weights(y, xs, sigma), xs, xs)
        if not vanishes(denoiser(y, xs, sigma).jacobian(y) - spread / sigma**power):
            return False
    return True


# Lemma D.3: u stands for a root of unity; every identity is one of polynomials modulo u^n - 1.


def at_root(expression: Any, n: int, root: Any = u) -> Any:
    """The remainder of a polynomial modulo ``root^n - 1``, which is 0 at every n-th root of 1."""
    return sp.rem(sp.expand(expression), root**n - 1, root)


def circulant(entries: list[Any]) -> Matrix:
    """The matrix whose entry (i, j) is ``entries[j - i]``, cyclically (Definition D.2)."""
    n = len(entries)
    return sp.Matrix(n, n, lambda i, j: entries[(j - i) % n])


@step("D.3", "the Fourier vectors are the eigenvectors of every circulant matrix, n = 4..8")
def diagonalizes() -> bool:
    """D.3: ``S v_k = lambda_k v_k``, ``v_k = (u^(jk))_j``, ``lambda_k = sum_r c_r u^(rk)``."""
    return all(is_diagonal_in_fourier(n, 1) for n in range(4, 9))


def is_diagonal_in_fourier(n: int, direction: int) -> bool:
    """Whether each Fourier vector of n entries is an eigenvector of a symbolic circulant matrix.

    ``direction`` is the sign of the exponents in the eigenvalue.
    """
    entries = list(sp.symbols(f"c_:{n}"))
    matrix = circulant(entries)
    for mode in range(n):
        wave = sp.Matrix([u ** (j * mode % n) for j in range(n)])
        value = sum(c * u ** (direction * j * mode % n) for j, c in enumerate(entries))
        if any(at_root(entry, n) != 0 for entry in matrix * wave - value * wave):
            return False
    return True


@step("D.3", "spectra multiply: a function of S is the circulant with that function of lambda_k")
def functional_calculus() -> bool:
    """D.3: circulants with eigenvalues p_k and q_k have a product with p_k q_k, n = 4..7."""
    return all(spectra_multiply(n, n) for n in range(4, 8))


def spectra_multiply(n: int, divisor: int) -> bool:
    """Whether ``P_k = v_k v_k^* / divisor`` are projections onto different directions.

    That is ``P_k P_l = 0`` and ``P_k^2 = P_k``; by bilinearity it is the claim for all spectra. u
    is a primitive root here, a root of the cyclotomic polynomial: the powers of the other roots do
    not sum to 0.
    """
    wave = sp.cyclotomic_poly(n, u)

    def projection(mode: int) -> Matrix:
        return circulant([u ** (-mode * j % n) / sp.Integer(divisor) for j in range(n)])

    projections = [projection(mode) for mode in range(n)]
    for a in range(n):
        for b in range(n):
            column = projections[a] * projections[b][:, 0]
            expected = projections[a][:, 0] if a == b else sp.zeros(n, 1)
            if any(sp.rem(sp.expand(entry), wave, u) != 0 for entry in column - expected):
                return False
    return True


@step("D.3", "for a symmetric matrix the entries depend on the wrap-around distance alone")
def distance_only() -> bool:
    """D.3: ``lambda_k = lambda_{n-k}`` makes entries r and n - r of any spectral function equal."""
    return all(depends_on_distance(n, mirrored=True) for n in range(4, 9))


def depends_on_distance(n: int, *, mirrored: bool) -> bool:
    """Whether the kernel of a spectrum is even, the spectrum itself being even or free."""
    values = [sp.Symbol(f"f_{min(m, n - m) if mirrored else m}") for m in range(n)]
    entries = [sum(f * u ** (m * j % n) for m, f in enumerate(values)) for j in range(n)]
    return all(at_root(entries[j] - entries[-j % n], n) == 0 for j in range(n))


# Theorem D.4


@step("4.10", "the Jacobian of four stationary pixels has the kernel sum_k mu_k u^(kr) / d")
def kernel_of_four() -> bool:
    """D.4 at d = 4: the dense ``S (S + sigma^2 I)^-1`` against the cosine sum of the mu_k."""
    return kernel_scale(4)


def kernel_scale(divisor: Any) -> bool:
    """Whether the first row is the cosine sum over ``divisor``."""
    c0, c1, c2 = sp.symbols("c_0 c_1 c_2", real=True)
    matrix = circulant([c0, c1, c2, c1])
    shifted = matrix + sigma**2 * sp.eye(4)
    first_row = (matrix * shifted.adjugate())[0, :] / shifted.det(method="berkowitz")
    values = [c0 + 2 * c1 + c2, c0 - c2, c0 - 2 * c1 + c2, c0 - c2]
    response = [value / (value + sigma**2) for value in values]
    for j in range(4):
        wave = [sp.cos(2 * sp.pi * m * j / 4) for m in range(4)]
        summed = sum(m * w for m, w in zip(response, wave, strict=True))
        if not vanishes(first_row[j] - summed / divisor):
            return False
    return True


@step("4.10", "cyclic summation by parts, d = 4..8")
def summation_by_parts() -> bool:
    """D.4: ``(1 - u^r) sum_k mu_k u^(kr) = sum_k (mu_{k+1} - mu_k) u^((k+1)r)``, every r."""
    return all(by_parts(n, 1) for n in range(4, 9))


def by_parts(n: int, shift: int) -> bool:
    """Whether the identity holds with the differences at ``u^((k + shift) r)``."""
    values = sp.symbols(f"mu_:{n}")
    for j in range(1, n):
        left = (1 - u**j) * sum(m * u ** (index * j) for index, m in enumerate(values))
        right = sum(
            (values[(index + 1) % n] - values[index]) * u ** ((index + shift) * j)
            for index in range(n)
        )
        if at_root(left - right, n) != 0:
            return False
    return True


@step("4.10", "|1 - e^(i theta)| = 2 sin(theta/2) on [0, 2 pi]")
def chord_length() -> bool:
    """D.4: real and imaginary part squared, against the square of a sine that is not negative."""
    return chord_is(2)


def chord_is(factor: Any) -> bool:
    """Whether the chord is ``factor`` times the sine of half the angle."""
    theta = sp.Symbol("theta", real=True)
    real, imaginary = (1 - sp.exp(sp.I * theta)).as_real_imag()
    gap = sp.expand_trig((real**2 + imaginary**2).subs(theta, 2 * theta))  # theta is now half
    squares_agree = sp.simplify(gap - factor**2 * sp.sin(theta) ** 2) == 0
    lowest = sp.calculus.util.minimum(sp.sin(theta / 2), theta, sp.Interval(0, 2 * sp.pi))
    return bool(squares_agree and lowest == 0)


@step("4.10", "sin(pi x) >= 2x on [0, 1/2]: concave, and equal at both ends")
def chord_below_sine() -> bool:
    """(36): a concave function lies above its chord."""
    return sine_above(2)


def sine_above(slope: Any) -> bool:
    """Whether ``slope x`` is the chord of ``sin(pi x)`` over [0, 1/2] and the sine is concave."""
    x = sp.Symbol("x", real=True)
    gap = sp.sin(sp.pi * x) - slope * x
    ends = gap.subs(x, 0) == 0 and gap.subs(x, sp.Rational(1, 2)) == 0
    bend = sp.calculus.util.maximum(sp.diff(gap, x, 2), x, sp.Interval(0, sp.Rational(1, 2)))
    return bool(ends and bend <= 0)


@step("4.10", "both bounds agree at rho = d/2, and (36) follows from the one before")
def harmonic() -> bool:
    """(36): with ``x = rho/d`` the ratio of the bounds is ``sin(pi x)/(2x)``, 1 at x = 1/2."""
    x = sp.Symbol("x", positive=True)
    ratio = sp.simplify((harmonic_bound / sensitivity_bound).subs(rho, x * d))
    return bool(
        sp.simplify(ratio - sp.sin(sp.pi * x) / (2 * x)) == 0
        and ratio.subs(x, sp.Rational(1, 2)) == 1
    )


@step("4.10", "tight where mu alternates between any two values, d = 4, 6, 8, rho = d/2")
def alternating() -> bool:
    """D.4: |J| = |a - b|/2 equals both bounds; 1/2 for the values 0 and 1 at d = 8."""
    return all(tight(n, n // 2) for n in (4, 6, 8))


def tight(n: int, distance: int) -> bool:
    """Whether an alternating spectrum attains both bounds at ``distance``."""
    low, gap = sp.symbols("a g", positive=True)
    values = [low if m % 2 == 0 else low + gap for m in range(n)]
    entry = sum(m * sp.cos(2 * sp.pi * j * distance / n) for j, m in enumerate(values)) / n
    variation = sum(sp.Abs(values[(j + 1) % n] - values[j]) for j in range(n))
    bounds = [
        bound.subs({tv: variation, d: n, rho: distance})
        for bound in (sensitivity_bound, harmonic_bound)
    ]
    return all(sp.simplify(sp.Abs(sp.expand(entry)) - bound) == 0 for bound in bounds)
