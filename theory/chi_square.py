"""Chi-square tails, central and noncentral, with every digit that float64 can carry.

scipy's ``chndtr`` returns 0 below about 1e-60, and takes x rather than ``x - d``: the rounding of x
alone costs five digits of a tail at d = 196,608. A shell gives ``x - d`` with all its digits, so
the tail is computed from that here, down to 1e-300.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

Array = NDArray[np.float64]

_BLOCK = 16384  # elements a pass: what it works on stays in the processor's cache
_NODES = 110  # most that the rule needs, at d = 1; 16 from d = 100 on
_NEGLIGIBLE = 1e-17  # relative size of the last node


def tail(x: ArrayLike, excess: ArrayLike, d: ArrayLike, noncentrality: ArrayLike = 0.0) -> Array:
    """Probability of the side of x on which the mean ``d + lambda`` does not lie.

    ``P(U <= x)`` where ``excess = x - d`` is below lambda, else ``P(U > x)``, for U noncentral
    chi-square of d degrees. Broadcasts. Caller's duty: d >= 1, lambda >= 0, x >= 0 and excess each
    with all its digits. Relative error below 1e-12 down to 1e-300.

    With ``M(v) = v^(-d/2) exp(-lambda (v - 1) / (2 v))``, U's Laplace transform at ``(v - 1)/2``,

        P(U <= x) = 1/(2 pi i) int M(v) e^(x (v - 1)/2) dv / (v - 1),   contour right of v = 1.

    The integrand's saddle solves ``x v^2 - d v - lambda = 0``; there it is largest, and on the
    parabola ``v (1 + i s)^2`` through it falls like a Gaussian, so a few nodes of the midpoint rule
    give all digits but for the pole at v = 1, whose share is known in closed form. Below the mean
    the saddle is right of the pole; above it is left, and the integral is minus the upper tail.
    Source: the method is that of Rice 1980, Distribution of quadratic forms in normal random
    variables: evaluation by numerical integration; the parabola and the pole's share are ours.
    """
    x, excess, d, noncentrality = np.broadcast_arrays(
        *(np.asarray(a, np.float64) for a in (x, excess, d, noncentrality))
    )
    flat = [np.ravel(a) for a in (x, excess, d, noncentrality)]
    out = np.empty(x.size)
    for start in range(0, x.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        out[block] = _tail(*(a[block] for a in flat))
    return out.reshape(x.shape)


def _tail(x: Array, excess: Array, d: Array, noncentrality: Array) -> Array:
    empty = x == 0
    x = np.where(empty, 1.0, x)
    root = np.sqrt(d * d + 4 * noncentrality * x)
    v = (d + root) / (2 * x)  # the saddle
    b = 2 * noncentrality * x / (d + root)  # lambda / v; and x v = b + d
    g = (noncentrality - excess) / (x + b)  # v - 1 without cancellation
    log_v = np.where(np.abs(g) < 0.5, np.log1p(np.clip(g, -0.5, 0.5)), np.log(v))
    # Two forms of one exponent; each is a small difference of large terms where the other is not.
    tilt = np.where(np.abs(g) < 1, g * excess + d * (g - log_v), g * x - d * log_v)
    peak = (tilt - noncentrality * g / v) / 2

    step = 0.65 / np.sqrt(2 * (d + 2 * b) + 60)  # 0.65 standard deviations, less for small d
    gap = g / v
    total = np.zeros_like(x)
    for k in range(_NODES):
        s = (k + 0.5) * step
        q = s * s
        far = b * q / (1 + q) ** 2
        size = np.exp(-((b + d) * q + d * np.log1p(q) + far * (3 + q)) / 2)
        angle = far * s * (2 + q) + d * (s - np.arctan(s))
        rest = gap - q
        real = (rest + 2 * q) * np.cos(angle) - s * (rest - 2) * np.sin(angle)
        total += size * real / (rest * rest + 4 * q)
        if size.max() < _NEGLIGIBLE:
            break
    integral = np.where(g > 0, 1, -1) * 2 * step / np.pi * total * np.exp(peak)

    # The rule's own error at the pole, a distance |1 - v^(-1/2)| off the path. It is there only
    # where the integrand still rises slower than the rule's error falls; else other terms hide it.
    seen = np.abs(noncentrality - excess) * np.sqrt(v) * step < 2 * np.pi
    pole = np.abs(gap) / (1 + 1 / np.sqrt(v))
    return np.where(empty, 0.0, integral + np.where(seen, expit(-2 * np.pi * pole / step), 0.0))
