"""Theorem 4.10 in two dimensions: stationary data on a torus of n1 x n2 pixels (ours).

``u`` and ``v`` stand for roots of unity; identities are those of polynomials modulo ``u^n1 - 1``
and ``v^n2 - 1``.
"""

from itertools import product
from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.locality import Matrix, at_root, summation_by_parts, u, v
from wildmiddle.theory.proofs.step import step

n1, n2, rho1, rho2, tv1, tv2, mixed = sp.symbols("n1 n2 rho1 rho2 TV_1 TV_2 V", positive=True)

row_bound = tv1 / (2 * n1 * n2 * sp.sin(sp.pi * rho1 / n1))
"""Summation by parts along the first axis; TV_1 sums ``|mu_{k+1,l} - mu_kl|`` over all k and l."""

column_bound = tv2 / (2 * n1 * n2 * sp.sin(sp.pi * rho2 / n2))
"""The same along the second axis."""

mixed_bound = mixed / (4 * n1 * n2 * sp.sin(sp.pi * rho1 / n1) * sp.sin(sp.pi * rho2 / n2))
"""Along both; V sums the absolute mixed second differences."""

SIZES = ((2, 3), (3, 3), (3, 4))


def response(rows: int, columns: int) -> Matrix:
    """A matrix of symbols ``mu_kl``, one for each pair of frequencies."""
    return sp.Matrix(rows, columns, lambda a, b: sp.Symbol(f"mu_{a}{b}", real=True))


def differences(values: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Cyclic differences down, across and both, of the shape of the values."""
    rows, columns = values.shape

    def down(a: int, b: int) -> Any:
        return values[(a + 1) % rows, b % columns] - values[a, b % columns]

    return (
        sp.Matrix(rows, columns, down),
        sp.Matrix(rows, columns, lambda a, b: values[a, (b + 1) % columns] - values[a, b]),
        sp.Matrix(rows, columns, lambda a, b: down(a, b + 1) - down(a, b)),
    )


def transform(values: Matrix, r1: int, r2: int, start: tuple[int, int] = (0, 0)) -> Any:
    """``sum_kl values_kl u^((k + start_1) r1) v^((l + start_2) r2)``."""
    rows, columns = values.shape
    return sum(
        values[a, b] * u ** ((a + start[0]) * r1) * v ** ((b + start[1]) * r2)
        for a, b in product(range(rows), range(columns))
    )


def _zero(expression: Any, rows: int, columns: int) -> bool:
    return at_root(at_root(expression, rows, u), columns, v) == 0


@step(
    "4.10",
    "torus: the products of Fourier vectors diagonalise a doubly circulant matrix",
    "instance",
    direction=-1,
)
def diagonalizes(direction: int = 1) -> bool:
    """D.3 along both axes: ``sum_j c[j - i] w_j = lambda w_i`` at every pixel i; 2 x 2 and 2 x 3.

    ``direction`` is the sign of the exponents in the eigenvalue.
    """
    return all(
        is_diagonal_in_fourier(rows, columns, direction) for rows, columns in ((2, 2), (2, 3))
    )


def is_diagonal_in_fourier(rows: int, columns: int, direction: int) -> bool:
    """Whether each Fourier vector is an eigenvector of a symbolic doubly circulant matrix."""
    block = sp.Matrix(rows, columns, lambda a, b: sp.Symbol(f"c_{a}{b}"))
    pixels = list(product(range(rows), range(columns)))
    for k, m in pixels:
        value = transform(block, direction * k % rows, direction * m % columns)
        for i1, i2 in pixels:
            applied = sum(
                block[(j1 - i1) % rows, (j2 - i2) % columns] * u ** (j1 * k) * v ** (j2 * m)
                for j1, j2 in pixels
            )
            if not _zero(applied - value * u ** (i1 * k) * v ** (i2 * m), rows, columns):
                return False
    return True


@step(
    "4.10",
    "torus: summation by parts along one axis is the cycle's, for each frequency of the other",
    shift=0,
)
def along_one_axis(shift: int = 1) -> bool:
    """4.10, every n1 and n2: for each l it is Theorem D.4's identity, times ``v^(l r2)``.

    The two axes do not touch each other's factor, so along both it is applied twice.
    """
    return summation_by_parts(shift)


@step(
    "4.10",
    "torus: summation by parts along both axes, 2 x 3, 3 x 3, 3 x 4",
    "instance",
    start=(0, 1),
)
def along_both_axes(start: tuple[int, int] = (1, 1)) -> bool:
    """4.10: ``(1 - u^r1)(1 - v^r2) sum mu_kl ...`` transforms the mixed second differences."""
    return all(both_axes(rows, columns, start) for rows, columns in SIZES)


def both_axes(rows: int, columns: int, start: tuple[int, int]) -> bool:
    """Whether it holds with the mixed differences entered at ``start`` steps on."""
    values = response(rows, columns)
    _, _, second = differences(values)
    return all(
        _zero(
            (1 - u**r1) * (1 - v**r2) * transform(values, r1, r2)
            - transform(second, r1, r2, start),
            rows,
            columns,
        )
        for r1, r2 in product(range(rows), range(columns))
    )


@step(
    "4.10",
    "torus: the bounds are attained by checkerboards and by stripes, 4 x 4 and 2 x 6",
    "instance",
    factor=2,
)
def attains_bounds(factor: Any = 1) -> bool:
    """4.10: |J| is both bounds for a checkerboard, the row bound for stripes."""
    return all(checkerboard(r, c, factor) and stripes(r, c, factor) for r, c in ((4, 4), (2, 6)))


def checkerboard(rows: int, columns: int, factor: Any) -> bool:
    """Whether |J| at the opposite pixel is ``factor`` times each bound, mu in two colours."""
    low, gap = sp.symbols("a g", positive=True)
    values = sp.Matrix(rows, columns, lambda a, b: low + gap * ((a + b) % 2))
    return _attains(values, (rows // 2, columns // 2), (row_bound, mixed_bound), factor)


def stripes(rows: int, columns: int, factor: Any) -> bool:
    """Whether |J| half way round the first axis is ``factor`` times the row bound."""
    low, gap = sp.symbols("a g", positive=True)
    values = sp.Matrix(rows, columns, lambda a, b: low + gap * (a % 2))
    return _attains(values, (rows // 2, 0), (row_bound,), factor)


def _attains(values: Matrix, at: tuple[int, int], bounds: tuple[Any, ...], factor: Any) -> bool:
    rows, columns = values.shape
    # u = -1 and v = -1 or 1 are the characters at half way round and at distance 0.
    character = {u: sp.Integer(-1), v: sp.Integer(-1 if at[1] else 1)}
    entry = transform(values, 1, 1).subs(character) / (rows * columns)
    sums = [sum(sp.Abs(entry) for entry in part) for part in differences(values)]
    known = {tv1: sums[0], tv2: sums[1], mixed: sums[2], n1: rows, n2: columns}
    known |= {rho1: at[0], rho2: at[1]}
    return all(
        sp.simplify(sp.Abs(sp.expand(entry)) - factor * bound.subs(known)) == 0 for bound in bounds
    )


@step(
    "4.10",
    "torus: V is at most twice TV_1, so at rho_2 = n_2/2 the mixed bound is the smaller",
    share=1,
)
def mixed_below_row(share: int = 2) -> bool:
    """4.10: a mixed difference is one of first differences; the bounds' ratio is V/(2 TV_1).

    Summed over all pixels, each first difference comes twice; any n1 and n2.
    """
    table = sp.IndexedBase("mu")
    k, m = sp.symbols("k m", integer=True)

    def down(column: Any) -> Any:
        return table[k + 1, column] - table[k, column]

    def right(row: Any) -> Any:
        return table[row, m + 1] - table[row, m]

    pairs = sp.expand(right(k + 1) - right(k) - (down(m + 1) - down(m))) == 0
    ratio = sp.simplify((mixed_bound / row_bound).subs(rho2, n2 / 2))
    return pairs and sp.simplify(ratio - mixed / (share * tv1)) == 0
