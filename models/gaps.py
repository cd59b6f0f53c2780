"""Gaps: noise levels left out of training (Section 5), by rejection.

A gap is an interval ``(low, high)``: levels with ``low <= level < high`` are drawn again, so that
the rest keeps its relative weight.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Gaps = tuple[tuple[float, float], ...]

LEAST_SHARE = 1e-3
"""Least share of the draws that gaps may leave: each level is drawn 1 / share times on average."""


def merged(gaps: Iterable[tuple[float, float]]) -> Gaps:
    """The gaps in rising order, those that touch or overlap as one.

    Raises ValueError unless 0 <= low < high in each.
    """
    joined: list[tuple[float, float]] = []
    for low, high in sorted((float(low), float(high)) for low, high in gaps):
        if not 0 <= low < high:
            raise ValueError(f"gap ({low:g}, {high:g}): need 0 <= low < high")
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def inside(levels: Array, gaps: Gaps) -> NDArray[np.bool_]:
    """Which levels lie in a gap, as a mask of the shape of ``levels``."""
    found = np.zeros(levels.shape, bool)
    for low, high in gaps:
        found |= (levels >= low) & (levels < high)
    return found


def require_some_left(gaps: Gaps, share: Callable[[float, float], float], levels: str) -> None:
    """Raise ValueError if the gaps leave less than ``LEAST_SHARE`` of the draws.

    ``share(low, high)`` is the probability of that interval under the law of the levels.
    """
    left = 1 - sum(share(low, high) for low, high in merged(gaps))
    if left < LEAST_SHARE:
        raise ValueError(
            f"gap {list(gaps)}: leaves {max(left, 0):.2g} of the draws of {levels}, fewer than "
            f"{LEAST_SHARE:g}; nothing would be left to train on, so give a narrower one"
        )


def draw_outside(draw: Callable[[int], Array], n: int, gaps: Gaps) -> Array:
    """``n`` levels by ``draw(count)``, each that falls into a gap drawn again until it does not."""
    levels = draw(n)
    rejected = np.flatnonzero(inside(levels, gaps))
    while len(rejected):
        levels[rejected] = draw(len(rejected))
        rejected = rejected[inside(levels[rejected], gaps)]
    return levels
