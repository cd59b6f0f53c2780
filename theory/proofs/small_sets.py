"""Data sets of a few points with symbolic coordinates, and the zero test that the proofs share."""

from typing import Any

import sympy as sp

SIZES = ((2, 1), (3, 1), (2, 2), (3, 2))
"""(N, d) at which identities over data sets are proved."""

Matrix = Any
"""sympy's matrices are untyped; a vector is a matrix of one column."""


def vector(name: str, d: int) -> Matrix:
    """A vector of d real symbols ``name_0, name_1, ...``."""
    return sp.Matrix(sp.symbols(f"{name}_:{d}", real=True))


def points(n: int, d: int) -> list[Matrix]:
    """N data points of d real symbols each."""
    return [vector(f"x_{i}", d) for i in range(n)]


def squared(v: Matrix) -> Any:
    """``|v|^2``, without the complex conjugates of sympy's norm."""
    return sum(entry**2 for entry in v)


def softmax(logits: list[Any]) -> list[Any]:
    """Weights proportional to the exponentials of the logits."""
    terms = [sp.exp(logit) for logit in logits]
    total = sp.Add(*terms)
    return [term / total for term in terms]


def average(weights: list[Any], values: list[Any]) -> Any:
    """``sum_i w_i v_i`` of scalars or of vectors."""
    pairs = list(zip(weights, values, strict=True))
    total = pairs[0][0] * pairs[0][1]
    for weight, value in pairs[1:]:
        total += weight * value
    return total


def uniform(n: int) -> list[Any]:
    """N equal weights."""
    return [sp.Rational(1, n)] * n


def covariance(weights: list[Any], a: list[Matrix], b: list[Matrix]) -> Matrix:
    """Covariance of two finite random vectors under the same weights."""
    products = [u * v.T for u, v in zip(a, b, strict=True)]
    return average(weights, products) - average(weights, a) * average(weights, b).T


def moments(xs: list[Matrix]) -> tuple[Matrix, Matrix]:
    """Mean and covariance of the uniform distribution on the points."""
    return average(uniform(len(xs)), xs), covariance(uniform(len(xs)), xs, xs)


def posterior_weights(y: Matrix, xs: list[Matrix], sigma: Any) -> list[Any]:
    """The weights of Eq. 3."""
    return softmax([-squared(y - x) / (2 * sigma**2) for x in xs])


def denoiser(y: Matrix, xs: list[Matrix], sigma: Any) -> Matrix:
    """The empirical optimal denoiser of Eq. 2."""
    return average(posterior_weights(y, xs, sigma), xs)


def vanishes(expression: Any) -> bool:
    """Whether a rational function of symbols and of their exponentials is identically 0.

    Every exponential becomes a symbol of its own, one for each exponent up to algebra, so a true
    answer is a proof; relations between different exponentials go unused.
    """
    entries = list(expression) if isinstance(expression, sp.MatrixBase) else [expression]
    symbols: dict[Any, Any] = {}  # one for each reduced exponent
    known: dict[Any, Any] = {}  # exponents as written: reducing them is what takes time

    def symbol(exponent: Any) -> Any:
        if exponent not in known:
            reduced = sp.cancel(exponent)
            known[exponent] = symbols.setdefault(reduced, sp.Dummy(f"E{len(symbols)}"))
        return known[exponent]

    def zero(entry: Any) -> bool:
        plain = sp.sympify(entry).replace(
            lambda part: isinstance(part, sp.exp), lambda part: symbol(part.args[0])
        )
        if not plain.is_polynomial():
            plain, _ = sp.fraction(sp.together(plain))
        return bool(sp.expand(plain) == 0)

    return all(zero(entry) for entry in entries)
