"""Small noise: disjoint shells leave the denoiser free outside of them (Theorems 4.9 and B.6)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.special import betainc

from theory.domain import require, require_distance, require_positive
from theory.shells import radii

Array = NDArray[np.float64]


def disjoint_sigma(min_distance: ArrayLike, d: ArrayLike, c: ArrayLike = 5.0) -> Array:
    """Noise level below which all shells are pairwise disjoint, ``min d_ij / (2 r_out)``.

    At that level itself the two nearest shells touch. Broadcasts; units of the distance. Raises
    ValueError unless min_distance >= 0 and 0 < c <= d/4. Source: Section 4.2.1 and Theorem B.6.
    """
    min_distance = np.asarray(min_distance, np.float64)
    require_distance("min_distance", min_distance)
    return min_distance / (2 * radii(d, c)[1])


def shell_overlap(distance: float, sigma: float, d: int, c: float = 5.0) -> float:
    """Share of one shell's volume that lies in the shell of a point at ``distance``.

    The noise is uniform on the shell, as Theorem B.6 takes it, not Gaussian. One integral over the
    radius; the angle's law, ``(1 + cos)/2 ~ Beta((d-1)/2, (d-1)/2)``, is exact. Raises ValueError
    unless distance > 0, sigma > 0, d >= 2 and 0 < c <= d/4. Source: ours.
    """
    require_positive("distance", distance)
    require_positive("sigma", sigma)
    require(d >= 2, "d", d, "must be at least 2: on a line a shell has no angle")
    r_in, r_out = (float(r) for r in radii(d, c))
    gap, half = distance / sigma, (d - 1) / 2

    def reached(volume: float) -> float:
        # The radius whose ball holds this share of the shell's volume.
        radius = r_out * (volume + (1 - volume) * (r_in / r_out) ** d) ** (1 / d)
        cosines = (np.array([r_in, r_out]) ** 2 - gap**2 - radius**2) / (2 * radius * gap)
        low, high = betainc(half, half, np.clip((1 + cosines) / 2, 0, 1))
        return float(high - low)

    return float(quad(reached, 0, 1, epsabs=1e-12, epsrel=1e-10, limit=500)[0])


def two_point_minimum(distance: float, sigma: float, d: int, c: float = 5.0) -> float:
    """Smallest value of the shell-only objective on two points, ``r^2 / 2`` times the overlap.

    Where the shells overlap no f can send a point to both centres: with equal densities the best is
    the midpoint, at a cost of ``(r/2)^2`` from each side. Zero exactly when the shells are disjoint
    or touch: the converse of Theorem B.6. Raises as :func:`shell_overlap`. Source: ours.
    """
    return distance**2 / 2 * shell_overlap(distance, sigma, d, c)
