"""Lemmas D.1 and D.3, Theorem D.4 (4.10), and its two-dimensional form on the torus."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.any_size import i, is_identity, over
from wildmiddle.theory.proofs.step import step

Matrix = Any
"""sympy's matrices are untyped."""

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

lowest, highest = sp.symbols("lambda_min lambda_max", positive=True)
count = sp.Symbol("peaks", integer=True, positive=True)


def response(eigenvalue: Any) -> Any:
    """``mu`` of an eigenvalue."""
    return eigenvalue / (eigenvalue + sigma**2)


range_bound = count * (response(highest) - response(lowest)) / (d * sp.sin(sp.pi * rho / d))
"""Ours, beside Theorem 4.10's second sentence: eigenvalues in a range, with so many peaks."""

size = sp.Symbol("n", integer=True, positive=True)
row = sp.IndexedBase("c")
eigenvalue = sp.Sum(row[r] * sp.cos(2 * sp.pi * k * r / size), (r, 0, size - 1))
"""Lemma D.3: eigenvalue k of the symmetric circulant matrix with first row c."""

s1, s2, s12 = sp.symbols("s_1 s_2 s_12", real=True)
variance = sp.Matrix([[s1, s12], [s12, s2]])
jacobian = variance * (variance + sigma**2 * sp.eye(2)).inv()
"""Lemma D.1 for two pixels."""

u, v = sp.symbols("u v")


# Lemma D.1 and Tweedie's formula. S is symmetric: functions of it are functions of its eigenvalues.


eigen = sp.Symbol("lambda", nonnegative=True)


@step("D.1", "S (S + sigma^2 I)^-1 = I - sigma^2 (S + sigma^2 I)^-1", power=1)
def resolvent(power: int = 2) -> bool:
    """(35) for every symmetric S, along its eigenvectors."""
    inverse = 1 / (eigen + sigma**2)
    return bool(sp.simplify(eigen * inverse - (1 - sigma**power * inverse)) == 0)


@step(
    "D.1",
    "the Jacobian of Eq. 7 is that matrix, 2 x 2 with its entry off the diagonal",
    "instance",
    power=1,
)
def gaussian_jacobian(power: int = 2) -> bool:
    """D.1: differentiate ``mu + S (S + sigma^2 I)^-1 (y - mu)``; ``dm_0/dy_1`` by Cramer's rule."""
    y, mean = sp.Matrix(sp.symbols("y_:2")), sp.Matrix(sp.symbols("mu_:2"))
    shifted = variance + sigma**2 * sp.eye(2)
    output = mean + variance * shifted.LUsolve(y - mean)
    derivative = output.jacobian(y)
    entry = sigma**power * s12 / ((s1 + sigma**2) * (s2 + sigma**2) - s12**2)
    return (
        sp.simplify(derivative - jacobian) == sp.zeros(2, 2)
        and sp.simplify(derivative[0, 1] - entry) == 0
    )


@step(
    "D.1", "Tweedie: the Jacobian is the posterior covariance over sigma^2, Gaussian data", power=1
)
def tweedie_gaussian(power: int = 2) -> bool:
    """D.1: along an eigenvector the posterior precision is ``1/lambda + 1/sigma^2``."""
    posterior = eigen * sigma**2 / (eigen + sigma**2)
    precision = 1 / eigen + 1 / sigma**2
    slope = eigen / (eigen + sigma**2)
    return (
        sp.simplify(posterior * precision - 1) == 0
        and sp.simplify(slope - posterior / sigma**power) == 0
    )


@step(
    "D.1", "Tweedie: the Jacobian is the posterior covariance over sigma^2, empirical data", power=1
)
def tweedie_empirical(power: int = 2) -> bool:
    """D.1 for Eq. 2, every N and d: entry (a, b), x the coordinate a and z the coordinate b.

    The densities are ``p_i = c_i exp(-(y - z_i)^2 / (2 sigma^2))``, the other coordinates of y in
    ``c_i``.
    """
    x, other, rest = map(sp.IndexedBase, ("x", "z", "c"))
    y = sp.Symbol("y", real=True)
    p = rest[i] * sp.exp(-((y - other[i]) ** 2) / (2 * sigma**2))
    total, mean = over(p), over(p * x[i])
    spread = over(p * x[i] * other[i]) / total - mean * over(p * other[i]) / total**2
    return is_identity(sp.diff(mean / total, y) - spread / sigma**power)


# Lemma D.3


root = sp.exp(2 * sp.pi * sp.I / size)
"""A primitive n-th root of unity, n symbolic."""


def at_root(expression: Any, n: int, symbol: Any = u) -> Any:
    """The remainder of a polynomial modulo ``u^n - 1``, which is 0 at every n-th root of 1."""
    return sp.rem(sp.expand(expression), symbol**n - 1, symbol)


def circulant(entries: list[Any]) -> Matrix:
    """The matrix whose entry (i, j) is ``entries[j - i]``, cyclically (Definition D.2)."""
    n = len(entries)
    return sp.Matrix(n, n, lambda row, column: entries[(column - row) % n])


@step(
    "D.3",
    "the Fourier vectors are eigenvectors of the cyclic shift, so of its powers' sums",
    turns=sp.Rational(1, 2),
)
def shift_eigenvector(turns: Any = 1) -> bool:
    """D.3, every n: S is ``sum_r c_r P^r``, P the shift; ``P v_k = u^k v_k``, so ``lambda_k``.

    Entry j + 1 of ``v_k = (u^(jk))_j`` is u^k times entry j, also from the last to the first, as
    ``u^(nk) = 1``; so ``P^r v_k = u^(rk) v_k``.
    """
    power = root ** (turns * k)
    inside = sp.simplify(power ** (r + 1) / power**r - power)
    around = sp.simplify(sp.exp(2 * sp.pi * sp.I * turns * k) - 1)
    return bool(inside == 0 and around == 0)


@step(
    "D.3",
    "the Fourier vectors are the eigenvectors of every circulant matrix, n = 4..8",
    "instance",
    direction=-1,
)
def diagonalizes(direction: int = 1) -> bool:
    """D.3: ``S v_k = lambda_k v_k``, ``v_k = (u^(jk))_j``, ``lambda_k = sum_r c_r u^(rk)``."""
    return all(is_diagonal_in_fourier(n, direction) for n in range(4, 9))


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


@step("D.3", "a symmetric row's eigenvalues are its cosine sums, n = 4", "instance", at=3)
def cosine_sums(at: int = 4) -> bool:
    """D.3: at every frequency the formula is an eigenvalue, on the wave of cosines."""
    entries = sp.symbols("c_0 c_1 c_2", real=True)
    matrix = circulant([*entries, entries[1]])
    known = {row[place]: entries[min(place, 4 - place)] for place in range(4)}
    for mode in range(3):
        wave = sp.Matrix([sp.cos(sp.pi * mode * place / 2) for place in range(4)])
        value = eigenvalue.subs({size: at, k: mode}).doit().subs(known)
        if sp.simplify(matrix * wave - value * wave) != sp.zeros(4, 1):
            return False
    return True


@step(
    "D.3",
    "the Fourier vectors are orthogonal, so a function of S has that function of lambda_k",
    shift=1,
)
def orthogonal(shift: int = 0) -> bool:
    """D.3, every n: ``sum_j u^(jm) = (u^(nm) - 1)/(u^m - 1) = 0``, m = k - l no multiple of n."""
    a, m = sp.symbols("a m", integer=True, positive=True)
    geometric = sp.Symbol("q")
    partial = (geometric ** (a + shift) - 1) / (geometric - 1)
    grows = sp.simplify(partial.subs(a, a + 1) - partial - geometric**a) == 0 and (
        sp.simplify(partial.subs(a, 1)) == 1
    )
    closes = sp.simplify(sp.exp(2 * sp.pi * sp.I * m) - 1) == 0  # u^(nm)
    return bool(grows and closes)


@step(
    "D.3",
    "spectra multiply: a product of circulants has the products of lambda_k, n = 4..7",
    "instance",
    divisor=2,
)
def functional_calculus(divisor: int = 1) -> bool:
    """D.3: circulants with eigenvalues p_k and q_k have a product with p_k q_k."""
    return all(spectra_multiply(n, divisor * n) for n in range(4, 8))


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


@step("D.3", "for a symmetric matrix the entries depend on the wrap-around distance alone", sign=-1)
def distance_only(sign: int = 1) -> bool:
    """D.3, every n: with ``lambda_k = lambda_{n-k}`` entries r and n - r have the same terms.

    Those of k at n - r are those of n - k at r: ``u^(k(n - r)) = u^((n - k) r)``.
    """
    mirrored = sp.exp(2 * sp.pi * sp.I * (size - k) * r * sign / size)
    opposite = sp.exp(2 * sp.pi * sp.I * k * (size - r) / size)
    return bool(sp.simplify(sp.expand(sp.expand(mirrored / opposite, power_exp=True))) == 1)


# Theorem D.4


@step(
    "4.10",
    "the Jacobian of four stationary pixels has the kernel sum_k mu_k u^(kr) / d",
    "instance",
    divisor=3,
)
def kernel_of_four(divisor: Any = 4) -> bool:
    """D.4 at d = 4: the dense ``S (S + sigma^2 I)^-1`` against the cosine sum of the mu_k."""
    c0, c1, c2 = sp.symbols("c_0 c_1 c_2", real=True)
    matrix = circulant([c0, c1, c2, c1])
    shifted = matrix + sigma**2 * sp.eye(4)
    first_row = (matrix * shifted.adjugate())[0, :] / shifted.det(method="berkowitz")
    values = [c0 + 2 * c1 + c2, c0 - c2, c0 - 2 * c1 + c2, c0 - c2]
    response = [value / (value + sigma**2) for value in values]
    for column in range(4):
        wave = [sp.cos(2 * sp.pi * m * column / 4) for m in range(4)]
        summed = sum(m * w for m, w in zip(response, wave, strict=True))
        top, _ = sp.fraction(sp.together(first_row[column] - summed / divisor))
        if sp.expand(top) != 0:
            return False
    return True


@step("4.10", "cyclic summation by parts", shift=0)
def summation_by_parts(shift: int = 1) -> bool:
    """D.4: ``(1 - u^r) sum_k mu_k u^(kr) = sum_k (mu_{k+1} - mu_k) u^((k+1)r)``, every d and r.

    Term by term the difference is ``G(k+1) - G(k)`` with ``G(k) = mu_k u^(kr)``, whose sum round
    the cycle is ``G(d) - G(0) = 0``.
    """
    w = sp.Symbol("w", nonzero=True)  # u^r
    terms = (mu[k + 1] - mu[k]) * w ** (k + shift) - (1 - w) * mu[k] * w**k
    telescoping = mu[k + 1] * w ** (k + 1) - mu[k] * w**k
    return bool(sp.expand(sp.powsimp(sp.expand((terms - telescoping) / w**k))) == 0)


@step("4.10", "|1 - e^(i theta)| = 2 sin(theta/2) on [0, 2 pi]", factor=1)
def chord_length(factor: int = 2) -> bool:
    """D.4: real and imaginary part squared, against the square of a sine that is not negative."""
    theta = sp.Symbol("theta", real=True)
    real, imaginary = (1 - sp.exp(sp.I * theta)).as_real_imag()
    gap = sp.expand_trig((real**2 + imaginary**2).subs(theta, 2 * theta))  # theta is now half
    squares_agree = sp.simplify(gap - factor**2 * sp.sin(theta) ** 2) == 0
    lowest = sp.calculus.util.minimum(sp.sin(theta / 2), theta, sp.Interval(0, 2 * sp.pi))
    return bool(squares_agree and lowest == 0)


@step(
    "4.10",
    "sin(pi x) >= 2x on [0, 1/2]: concave, and equal at both ends",
    slope=sp.Rational(21, 10),
)
def chord_below_sine(slope: Any = 2) -> bool:
    """(36): a concave function lies above its chord."""
    x = sp.Symbol("x", real=True)
    gap = sp.sin(sp.pi * x) - slope * x
    ends = gap.subs(x, 0) == 0 and gap.subs(x, sp.Rational(1, 2)) == 0
    bend = sp.calculus.util.maximum(sp.diff(gap, x, 2), x, sp.Interval(0, sp.Rational(1, 2)))
    return bool(ends and bend <= 0)


@step("4.10", "both bounds agree at rho = d/2, and (36) follows from the one before", factor=1)
def harmonic(factor: int = 2) -> bool:
    """(36): with ``x = rho/d`` the ratio of the bounds is ``sin(pi x)/(2x)``, 1 at x = 1/2."""
    x = sp.Symbol("x", positive=True)
    ratio = sp.simplify((harmonic_bound / sensitivity_bound).subs(rho, x * d))
    return bool(
        sp.simplify(ratio - sp.sin(sp.pi * x) / (factor * x)) == 0
        and ratio.subs(x, sp.Rational(1, 2)) == 1
    )


@step("4.10", "tight where mu alternates between any two values, every even d, rho = d/2", share=2)
def alternating(share: int = 1) -> bool:
    """D.4: |J| = |a - b|/2 equals both bounds; 1/2 for the values 0 and 1 at d = 8.

    In pairs of frequencies, of which there are d/2: ``cos(2 pi k rho/d) = cos(pi k)`` is 1 and -1.
    """
    low, gap = sp.symbols("a g", positive=True)
    pairs = sp.Symbol("m", integer=True, positive=True)
    waves = [sp.cos(2 * sp.pi * (2 * k + one) * pairs / (2 * pairs)) for one in (0, 1)]
    pair = low * waves[0] + (low + gap) * waves[1]
    entry = sp.Abs(sp.simplify(over(pair, k, pairs).doit() / (2 * pairs)))
    known = {tv: 2 * pairs * gap, d: 2 * pairs, rho: pairs}
    return all(
        sp.simplify(share * entry - bound.subs(known)) == 0
        for bound in (sensitivity_bound, harmonic_bound)
    )


# Theorem 4.10's second sentence: what a more concentrated spectrum does


@step(
    "4.10b",
    "around the cycle mu goes up and down between its ends once for each peak",
    peaks=sp.Rational(1, 2),
)
def variation_by_range(peaks: Any = 1) -> bool:
    """Ours: a rise from a valley to a peak and the fall to the next valley add at most 2 (M - m).

    Monotone pieces telescope; by induction from p peaks to p + 1. With the largest variation the
    bound of Theorem D.4 is ``p (M - m) / (d sin(pi rho/d))``.
    """
    low, gap, above, below = sp.symbols("m gap above below", nonnegative=True)
    top = low + gap + above + below  # a peak at low + gap + above, a valley at low + above
    rise, fall = (top - below) - (low + above), (top - below) - (low + above)
    room = 2 * peaks * (top - low) - (rise + fall)
    known = {tv: 2 * count * (response(highest) - response(lowest))}
    stated = sp.simplify(sensitivity_bound.subs(known) - range_bound) == 0
    return bool(stated and sp.expand(room).is_nonnegative)


@step(
    "4.10b",
    "mu rises with the eigenvalue, so a narrower range of eigenvalues lowers the bound",
    sign=-1,
)
def narrower_range(sign: int = 1) -> bool:
    """Ours: the bound rises with the top and falls with the bottom, at every distance and sigma."""
    narrowed = range_bound.subs(sp.sin(sp.pi * rho / d), sp.Symbol("sine", positive=True))
    up, down = sp.diff(narrowed, highest), sp.diff(narrowed, lowest)
    return bool(sp.factor(sign * up).is_positive and sp.factor(-sign * down).is_positive)


@step("4.10b", "one frequency alone has no decay at all, equal eigenvalues no sensitivity", where=1)
def one_frequency(where: int = 0) -> bool:
    """Ours, against the sentence in the sense of energy on fewer frequencies (majorization).

    With ``lambda_0`` alone the kernel is ``mu_0 / d`` at every distance, here at d = 8; with all
    equal the bound is 0, at every d.
    """
    alone = kernel.subs(d, 8).doit().subs({mu[n]: sp.Integer(n == where) for n in range(8)})
    equal = range_bound.subs(highest, lowest)
    return bool(alone == sp.Rational(1, 8) and sp.simplify(equal) == 0)


@step(
    "4.10b", "a smoother spectrum decays faster: an autoregressive row, |J| falls as q^rho", sign=-1
)
def autoregressive(sign: int = 1) -> bool:
    """Ours, on the infinite line: ``lambda = (1 - a^2) / |1 - a u|^2`` gives ``J ~ q^rho``.

    ``mu = lambda / (lambda + sigma^2)`` has the poles of ``1 - a^2 + sigma^2 |1 - a u|^2``: q is
    the root below 1 of ``q + 1/q = b``, and b falls as a rises to 1, the spectrum gathering at
    frequency 0. So q rises: a more concentrated spectrum, in that sense, decays more slowly.
    """
    a, q = sp.symbols("a q", positive=True)
    inside = sp.Symbol("e", positive=True)
    b = (1 - a**2 + sigma**2 * (1 + a**2)) / (sigma**2 * a)
    poles = 1 - a**2 + sigma**2 * (1 - a * q) * (1 - a / q)
    same = sp.simplify(poles - sigma**2 * a * (b - q - 1 / q)) == 0
    falls = sp.factor(sp.diff(b, a).subs(a, 1 / (1 + inside)))
    rises = sp.factor(sp.diff(q + 1 / q, q).subs(q, 1 / (1 + inside)))  # falls with q below 1
    return bool(same and (sign * falls).is_negative and rises.is_negative)
