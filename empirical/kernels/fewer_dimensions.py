"""Images in as many coordinates as there are training images, where that is fewer than pixels.

The noise z enters the estimates only by its products with differences of images and by ``|z|^2``.
The differences of N training images span N - 1 dimensions, and a held-out image adds one, its
distance from their span. So N coordinates keep all distances to training images, and N normals with
one chi-squared variable of d - N degrees of freedom have the joint distribution of all that is
asked of the d normals of z.

The coordinates are rows of the Cholesky factor of the inner products, where there is one: every
squared distance then has the rounding of float64 beside the largest squared norm. Images of which
one lies in the span of others, but for that rounding, have none and are used as they are.
"""

import torch

from wildmiddle.empirical.kernels.device import working_dtype
from wildmiddle.empirical.kernels.products import centre, squared_norms, tiles, typical_rounding
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.noise import BLOCK

_CLOSE = 1e6
"""Squared distances above so many times their typical rounding are right to 1e-6 as a rule."""
_COPIES = 4
"""Matrices of the size of the result that are held at once."""


def in_fewer_dimensions(
    points: torch.Tensor, held_out: torch.Tensor, queries: int, memory: int
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Rows (N, N) and (M, N), float64, with the distances of ``points`` (N, d) and ``held_out``.

    Distances between two held-out points (M, d) are not kept. None where the rows should be used as
    they are: where two points are equal or too close for distances that are right to 1e-6 as a
    rule, where points are affinely dependent but for rounding, where the coordinates cost more than
    they save in the products of this many ``queries`` or do not fit into ``memory`` bytes, and on a
    device without float64.
    """
    (n, d), m, work = points.shape, len(held_out), working_dtype(points.device)
    cost, saved = 2 * (n + m) * d, queries * (d - n)  # multiplications for each point
    need = 8 * n * (d + _COPIES * (n + m))
    if work != torch.float64 or cost >= saved or need > memory:
        return None
    origin = points[0]
    others = centre(points[1:], origin, work)
    inner = torch.zeros(n - 1, n - 1, dtype=work, device=points.device)  # its lower triangle
    between = torch.empty(m, n - 1, dtype=work, device=points.device)
    norms = torch.empty(m, dtype=work, device=points.device)

    def multiply(ends: tuple[int, int]) -> None:
        torch.mm(others[slice(*ends)], others[: ends[1]].T, out=inner[slice(*ends), : ends[1]])

    def multiply_held_out(ends: tuple[int, int]) -> None:
        x = centre(held_out[slice(*ends)], origin, work)
        norms[slice(*ends)] = squared_norms(x)
        torch.mm(x, others.T, out=between[slice(*ends)])

    threads = torch.get_num_threads()
    for_each(multiply, tiles(n - 1, BLOCK), points.device, threads)
    own = inner.diagonal()
    apart = (own[:, None] + own).sub_(inner, alpha=2).fill_diagonal_(torch.inf)
    if min(apart.min(), own.min()) <= _CLOSE * typical_rounding(d, work) * own.max():
        return None
    rows, held_out_rows = inner.new_zeros(n, n), inner.new_empty(m, n)
    root, dependent = rows[1:, :-1], torch.zeros((), dtype=torch.int32, device=points.device)

    def factor(_: object) -> None:
        torch.linalg.cholesky_ex(inner, out=(root, dependent))

    def solve(_: object) -> None:
        held_out_rows[:, :-1] = torch.linalg.solve_triangular(
            root.T, between, upper=True, left=False
        )

    # With the same rounding for any number of threads.
    for_each(factor, [None], points.device, 1)
    if dependent:
        return None
    for_each(multiply_held_out, tiles(m, BLOCK), points.device, threads)
    for_each(solve, [None], points.device, 1)
    beyond = norms - squared_norms(held_out_rows[:, :-1])
    held_out_rows[:, -1] = beyond.clamp_(min=0).sqrt_()
    return rows, held_out_rows
