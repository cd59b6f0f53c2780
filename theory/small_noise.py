"""Small noise: disjoint shells leave the denoiser free outside of them (Theorems 4.9 and B.6)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc

from wildmiddle.theory.constants import SHELL_WIDTH
from wildmiddle.theory.domain import require, require_distance, require_positive
from wildmiddle.theory.shells import radii

Array = NDArray[np.float64]


def disjoint_sigma(min_distance: ArrayLike, d: ArrayLike, c: ArrayLike = SHELL_WIDTH) -> Array:
    """Noise level below which all shells are pairwise disjoint, ``min d_ij / (2 r_out)``.

    At that level itself the two nearest shells touch, and for d >= 2 they meet above it; on a line
    they may still miss each other, one's ends falling into the other's gap. Broadcasts; units of
    the distance. Raises ValueError unless min_distance >= 0, d >= 1 and c > 0.
    Source: Section 4.2.1 and Theorem B.6.
    """
    min_distance = np.asarray(min_distance, np.float64)
    require_distance("min_distance", min_distance)
    return min_distance / (2 * radii(d, c)[1])


def shell_overlap(
    distance: ArrayLike, sigma: ArrayLike, d: ArrayLike, c: ArrayLike = SHELL_WIDTH
) -> Array:
    """Share of one shell's volume that lies in the shell of a point at ``distance``.

    The noise is uniform on the shell, as Theorem B.6 takes it, not Gaussian. Two shells meet in the
    lens of the outer balls, less the lenses of an outer and an inner one, plus that of the inner
    ones. A lens is two caps, and a cap's share of its ball has a closed form: the coordinate t of a
    uniform point has ``(1 + t)/2 ~ Beta((d+1)/2, (d+1)/2)``. Not monotone in the distance: two thin
    rings have more in common where they nearly touch than before. Broadcasts. Relative error below
    1e-12, but 1e-11 in the tail at d = 196,608, where the last place of the argument of the beta
    CDF weighs that much; more, as the balls nearly cancel, where the shell is thin,
    ``1 - (r_in/r_out)^d`` below 0.01. Raises ValueError unless distance > 0, sigma > 0, d >= 1
    and c > 0. Source: ours.
    """
    distance, sigma = np.asarray(distance, np.float64), np.asarray(sigma, np.float64)
    require_positive("distance", distance)
    require_positive("sigma", sigma)
    d = np.asarray(d, np.float64)
    r_in, r_out = radii(d, c)
    r_in = np.maximum(r_in, 1e-30 * r_out)  # from c = d/4 on there is no hole; a point has no caps
    with np.errstate(over="ignore"):
        gap = np.clip(distance / sigma, 1e-200, 1e100)  # all but the same shell; far from it

    def cap(own: Array, other: Array) -> Array:
        # Share of the ball of radius ``own`` on the other's side of the plane in which they cut;
        # the radii are subtracted first, lest a small gap be rounded to their digits.
        height = (gap + (other - own)) * (own + other - gap) / (4 * gap * own)
        return betainc((d + 1) / 2, (d + 1) / 2, np.clip(height, 0, 1))

    inner = (r_in / r_out) ** d  # the inner ball's volume, the outer one's being 1
    require(inner < 1, "c", c, "is so small that the shell has no volume in float64")
    outer_caps = cap(r_out, r_out) - cap(r_out, r_in)
    inner_caps = inner * (cap(r_in, r_out) - cap(r_in, r_in))
    return 2 * (outer_caps - inner_caps) / (1 - inner)


def two_point_minimum(
    distance: ArrayLike, sigma: ArrayLike, d: ArrayLike, c: ArrayLike = SHELL_WIDTH
) -> Array:
    """Smallest value of the shell-only objective on two points, ``r^2 / 2`` times the overlap.

    Where the shells overlap no f can send a point to both centres: with equal densities the best is
    the midpoint, at a cost of ``(r/2)^2`` from each side. Zero exactly when the shells are disjoint
    or touch: the converse of Theorem B.6. Raises as :func:`shell_overlap`. Source: ours.
    """
    return np.square(distance) / 2 * shell_overlap(distance, sigma, d, c)
