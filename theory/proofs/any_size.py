"""Sums over any number of points and vectors of any dimension, for proofs at every N and d.

A sum over points keeps its symbolic range and is split by linearity. A vector is a linear
combination of :class:`Vector` symbols; all that is known of them is their inner products, so what
follows holds in every dimension.
"""

from typing import Any

import sympy as sp

N = sp.Symbol("N", integer=True, positive=True)
i, j = sp.symbols("i j", integer=True)


def over(term: Any, index: Any = i, count: Any = N) -> Any:
    """``sum_index term`` over ``count`` points, 0 to ``count - 1``."""
    return sp.Sum(term, (index, 0, count - 1))


def split(expression: Any) -> Any:
    """The expression with every sum split into its terms, constants taken out of them."""

    def parts(term: Any, *limits: Any) -> Any:
        for index, low, high in limits:
            found = []
            for part in sp.Add.make_args(sp.expand(term)):
                outside, inside = part.as_independent(index, as_Add=False)
                whole = (high - low + 1) * inside
                if inside.has(index):
                    whole = _named(inside, index, low, high)
                found.append(outside * whole)
            term = sp.Add(*found)
        return term

    return sp.sympify(expression).replace(
        lambda part: isinstance(part, sp.Sum), lambda part: parts(*part.args)
    )


def _named(inside: Any, index: Any, low: Any, high: Any) -> Any:
    # The index gets the first name that no sum inside has: equal sums are seen to be equal, and
    # g[i, j] and g[j, i] to differ.
    free = sp.Dummy(integer=True)
    term, depth = inside.subs(index, free), 0
    while term.has(sp.Symbol(f"any_{depth}", integer=True)):
        depth += 1
    name = sp.Symbol(f"any_{depth}", integer=True)
    return sp.Sum(term.subs(free, name), (name, low, high))


def is_identity(expression: Any, known: Any = None) -> bool:
    """Whether it is identically 0, sums being free symbols once split; ``known`` substitutes."""
    plain = split(expression)
    if known:
        plain = plain.subs(known)
    top, _ = sp.fraction(sp.together(plain))
    sums = {part: sp.Dummy() for part in top.atoms(sp.Sum)}
    return bool(sp.expand(top.xreplace(sums)) == 0)


class Vector(sp.Symbol):  # type: ignore[misc]
    """A vector of no particular dimension."""


def vectors(names: str) -> Any:
    """Vectors by their names, a tuple of them for several."""
    return sp.symbols(names, cls=Vector)


def inner(a: Any, b: Any) -> Any:
    """Inner product of two linear combinations of vectors, in those of the vectors."""
    return sp.expand(
        sum(
            sp.diff(a, p) * sp.diff(b, q) * _product(p, q)
            for p in a.atoms(Vector)
            for q in b.atoms(Vector)
        )
    )


def _product(p: Vector, q: Vector) -> Any:
    first, second = sorted((p.name, q.name))
    return sp.Symbol(f"<{first},{second}>", real=True)


def norm2(a: Any) -> Any:
    """Squared length."""
    return inner(a, a)
