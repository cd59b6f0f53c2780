"""Where functions of the noise level pass zero: near where, and where exactly."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from wildmiddle.theory.regimes import REACH

Array = NDArray[np.float64]

Curve = tuple[Array, Array]
"""Levels of log sigma (K,), and what a function that rises with sigma is there (K,)."""

Look = Callable[[Array, Array], Iterable[tuple[Curve, Curve]]]
"""Takes centres (C,) in log sigma and how far to look to either side (C,), and gives each of C
functions there, and once more less exactly."""

_COARSE = 17
_FLAT = 1e-12
"""What is nearer to 0 is 0: a mean may stand at its level, but for rounding, over many sigmas."""


def near_crossing(falling: Callable[[Array], Array], count: int, scale: float) -> Array:
    """Near log sigma where functions that fall with sigma pass zero, (count,).

    Of sigmas (count, K) they give (count, K); looked for at 20 to either side of ``log(scale)``.
    """
    span = np.log(scale) + np.array([[-REACH, REACH]] * count)
    curves = np.arange(count)
    for _ in range(3):
        levels = np.linspace(span[:, 0], span[:, 1], _COARSE, axis=1)
        low = falling(np.exp(levels)) < -_FLAT
        first = np.where(low.any(1), low.argmax(1), _COARSE - 1)
        span = np.stack([levels[curves, np.maximum(first - 1, 0)], levels[curves, first]], axis=1)
    return span.mean(1)


def crossings(look: Look, guess: Array, around: float, scale: float, sure: float) -> Array:
    """The sigmas at which C functions rise through 0, (C,), from a ``guess`` (C,) in log sigma.

    A window that reaches ``around`` to either side moves until it holds the crossing, and is
    narrowed until the less exact values give it to ``sure`` in log sigma. A function that does not
    pass 0 within e^20 of ``scale`` gives that end; one that is 0 over many sigmas, their upper end.
    """
    centres, reach, moved = guess.copy(), np.full(len(guess), around), np.zeros(len(guess))
    found, middle = np.full(len(guess), np.nan), np.log(scale)
    while np.isnan(found).any():
        for k, (exact, rough) in enumerate(look(centres, reach)):
            if not np.isnan(found[k]):
                continue
            root, (levels, rising) = _root(exact), exact
            if not np.isnan(root):
                if abs(root - _root(rough)) <= sure or reach[k] < sure:
                    found[k] = root
                centres[k], reach[k], moved[k] = root, reach[k] / 4, 0
                continue
            sign = 1 if rising[-1] <= _FLAT else -1
            # One step of overlap: a root at the end of one window lies inside of the next.
            step = sign * (levels[-2] - levels[0])
            if max(sign * (levels - middle)) >= REACH:
                found[k] = middle + sign * REACH
            elif moved[k] == -sign:  # where two windows overlap they differ by their rounding
                found[k] = centres[k] + step / 2
            centres[k], moved[k] = centres[k] + step, sign
    return np.exp(found)


def _root(curve: Curve) -> float:
    # The last level at which a function passes 0 from below; NaN where it ends below or never was.
    levels, rising = curve
    rising = np.where(np.abs(rising) <= _FLAT, 0, rising)
    if not rising.min() <= 0 < rising[-1]:
        return np.nan
    return float(CubicSpline(levels, rising).solve(0, extrapolate=False)[-1])
