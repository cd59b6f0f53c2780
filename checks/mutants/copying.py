"""Slips in the bound on copying of held-out images."""

from typing import Any

import numpy as np

from wildmiddle.checks.mutants.mutant import slips


def _as_training_images(f: Any) -> Any:
    return lambda r, d, s, *p: f(d, d, s, *p)


def _nearest_at_zero(f: Any) -> Any:
    return lambda r, d, s, *p: f(np.where(r == np.min(r, 1, keepdims=True), 0, r), d, s, *p)


def _weight_of_two(f: Any) -> Any:
    # 3/4, as for two images, for every number of them: the nearest other alone.
    def lower(r: Any, d: Any, s: Any, p: Any = None) -> Any:
        order = np.argsort(r, 1)[:, :2]
        return f(np.take_along_axis(r, order, 1), np.take_along_axis(d, order, 1), s)

    return lower


MUTANTS = (
    *slips(
        "copying",
        "copying_lower",
        {
            "sigma/2 for sigma": lambda f: lambda r, d, s, *p: f(r, d, np.divide(s, 2), *p),
            "2 sigma for sigma": lambda f: lambda r, d, s, *p: f(r, d, np.multiply(s, 2), *p),
            "r_j for (r_j^2 - r_a^2)^(1/2)": _nearest_at_zero,
            "held-out images are training images": _as_training_images,
            "r_a and r_j exchanged for their roots": lambda f: (
                lambda r, d, s, *p: f(np.sqrt(r), d, s, *p)
            ),
            "d_j/(2 sigma) for d_j/sigma": lambda f: (
                lambda r, d, s, *p: f(r, np.divide(d, 2), s, *p)
            ),
            "the two nearest images alone": _weight_of_two,
        },
    ),
)
