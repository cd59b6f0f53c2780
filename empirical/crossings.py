"""Where functions of the noise level pass zero: near where, and where exactly."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from wildmiddle.theory.regimes import REACH

Array = NDArray[np.float64]

_COARSE = 17


def near_crossing(falling: Callable[[Array], Array], count: int, scale: float) -> Array:
    """Near log sigma where functions that fall with sigma pass zero, (count,).

    Of sigmas (count, K) they give (count, K); looked for at 20 to either side of ``log(scale)``.
    """
    span = np.log(scale) + np.array([[-REACH, REACH]] * count)
    curves = np.arange(count)
    for _ in range(3):
        levels = np.linspace(span[:, 0], span[:, 1], _COARSE, axis=1)
        low = falling(np.exp(levels)) < 0
        first = np.where(low.any(1), low.argmax(1), _COARSE - 1)
        span = np.stack([levels[curves, np.maximum(first - 1, 0)], levels[curves, first]], axis=1)
    return span.mean(1)


def root_of(levels: Array, rising: Array, scale: float) -> tuple[float, Array]:
    """Where a function of log sigma, rising (K,) at ``levels`` (K,), passes 0, and the levels.

    NaN where it does not, and the levels to look at next; an end of :data:`REACH` about ``scale``
    where these go beyond it.
    """
    if rising[0] <= 0 < rising[-1]:
        return float(CubicSpline(levels, rising).solve(0, extrapolate=False)[-1]), levels
    sign = 1 if rising[-1] <= 0 else -1
    if max(sign * (levels - scale)) >= REACH:
        return scale + sign * REACH, levels
    # One step of overlap: a root at the end of one window lies inside of the next.
    return np.nan, levels + sign * (levels[-2] - levels[0])
