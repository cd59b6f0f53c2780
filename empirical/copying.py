"""The bound on copying of held-out images from all distances, tile by tile.

As :func:`wildmiddle.theory.copying.copying_lower`, whatever the number of images.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.special import log_ndtr, ndtr

from wildmiddle.empirical.kernels.device import working_dtype
from wildmiddle.empirical.kernels.distances import squared_to
from wildmiddle.empirical.kernels.processes import add_up, share
from wildmiddle.empirical.kernels.products import (
    Tile,
    centre,
    distance_dtype,
    mean_of,
    norms_about,
    origin_of,
    plan,
    rounding,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.empirical.noise import BLOCK

Array = NDArray[np.float64]

Advance = Callable[[float], object]

_ROUNDING = 0.1
"""Bound on the rounding of squared distances in units of sigma squared; what is seen is far
smaller."""

_TAIL = 8.0
"""Standard deviations beyond which a term is 0, as 1e-14 is beside the sums."""


class CopyingBound:
    """The bound on how often noised held-out images are copied, for rows of them and any sigma.

    ``points`` (N, d), ``held_out`` (M, d) and the number ``nearest`` (M,) of the training point
    nearest to each; ``prior`` (N,) of the training points, where copies give them one. ``left_out``
    (M,) is the number of the point that a held-out one itself is, or -1, and ``kept`` (M,) the
    share that it leaves of the prior of its nearest point, where it is one of that point's copies.
    ``memory`` bounds the buffers in bytes. The distances are in float32 where their rounding is
    far below sigma squared, by which they are told apart.
    """

    def __init__(
        self,
        points: torch.Tensor,
        held_out: torch.Tensor,
        nearest: torch.Tensor,
        memory: int,
        prior: torch.Tensor | None = None,
        left_out: torch.Tensor | None = None,
        kept: torch.Tensor | None = None,
    ) -> None:
        self._points, self._held_out, self._nearest = points, held_out, nearest
        self._memory, self._origin = memory, mean_of(points)
        work = working_dtype(points.device)
        self._dtype, self._rounding = distance_dtype(points, held_out), 0.0
        if self._dtype == torch.float32:
            longest = max(float(norms_about(a, self._origin).max()) for a in (points, held_out))
            self._rounding = 4 * rounding(points.shape[1], self._dtype) * longest**2
        flat = torch.ones(len(points), dtype=work, device=points.device)
        self._logs = (flat if prior is None else prior).log()
        self._own_logs = self._logs[nearest]
        if kept is not None:
            self._own_logs = self._own_logs + kept.to(self._logs).log()
        chosen, row = nearest.unique(return_inverse=True)
        closest, index = nearest_two(points[chosen], points, memory=memory, left_out=chosen)
        self._d_min = closest[row, 0].to(work)
        self._left_out = torch.full_like(nearest, -1) if left_out is None else left_out
        if left_out is not None:  # the nearest but for the point that is left out
            other = index[row, 0] == left_out
            self._d_min[other] = closest[row[other], 1].to(work)

    def at(self, rows: torch.Tensor, sigmas: Array, advance: Advance | None = None) -> Array:
        """Lower bound on the share of copies among the held-out ``rows`` (R,), (K,).

        ``sigmas`` (K,); ``advance`` is told how many pairs of a row and a point were done.
        """
        return (1 - self.missed(rows, sigmas, advance)).mean(0).double().cpu().numpy()

    def missed(
        self,
        rows: torch.Tensor,
        sigmas: Array,
        advance: Advance | None = None,
        *,
        enough: float = 1.0,
    ) -> torch.Tensor:
        """Upper bound on the probability that each of the ``rows`` (R,) is not copied, (R, K).

        Once the means of the bounds are all above ``enough`` the points that are left are not
        looked at: they would only add to them.
        """
        points, work = self._points, working_dtype(self._points.device)
        (n, d), rows = points.shape, rows.to(points.device)
        sums = torch.zeros(2, len(rows), len(sigmas), dtype=work, device=points.device)
        fine = self._rounding <= _ROUNDING * sigmas.min() ** 2
        dtype = self._dtype if fine else work
        origin = origin_of(points, dtype)
        sizes = plan(self._memory, n, d)
        for ends in share(list(tiles(n, sizes.columns))):
            tile = tile_of(points, ends, origin, dtype, sizes.threads)
            for some in tiles(len(rows), sizes.queries):
                self._add_tile(sums[:, slice(*some)], rows[slice(*some)], tile, origin, sigmas)
            if advance is not None:
                advance(len(rows) * len(tile.points))
            if (sums.amin(0).clamp(max=1).mean(0) > enough).all():
                break
        missed = add_up(sums).amin(0)
        missed[self._d_min[rows] == 0] = 1  # of two copies neither is nearer than the other
        return missed.clamp_(max=1)

    def _add_tile(
        self,
        sums: torch.Tensor,
        rows: torch.Tensor,
        tile: Tile,
        origin: torch.Tensor,
        sigmas: Array,
    ) -> None:
        # Several held-out images have their nearest point in common: its distances are taken once.
        chosen, place = self._nearest[rows].unique(return_inverse=True)
        apart = squared_to(self._points, chosen, self._points, tile, origin).sqrt_()
        to_rows = squared_to(self._held_out, rows, self._points, tile, origin)

        def update(part: tuple[int, int]) -> None:
            own = slice(*part)
            self._add(sums[:, own], rows[own], to_rows[own], apart[place[own]], tile, sigmas)

        for_each(update, tiles(len(rows), BLOCK), sums.device, tile.threads)

    def _add(
        self,
        sums: torch.Tensor,
        rows: torch.Tensor,
        squared: torch.Tensor,
        d: torch.Tensor,
        tile: Tile,
        sigmas: Array,
    ) -> None:
        # `squared` (R, T) of each row to the tile, and the distances `d` of its nearest point; both
        # are overwritten.
        work, nearest = sums.dtype, self._nearest[rows]
        x = centre(self._held_out[rows], self._origin, work)
        own = (x - centre(self._points[nearest], self._origin, work)).square_().sum(1).to(d)
        gap = squared.sub_(own[:, None]).div_(2).clamp_(min=0)
        d_min = self._d_min[rows, None].to(d)
        d = torch.maximum(d, d_min).clamp_(min=torch.finfo(d.dtype).tiny)
        log_b = (4 * d / d_min - 1).log_()
        logs = self._logs[tile.start : tile.start + len(tile.points)]
        log_b.add_(logs - self._own_logs[rows, None]).clamp_(min=0)
        for none in (nearest, self._left_out[rows]):
            log_b[tile.find(none)] = -torch.inf
        shares = float(np.log(len(self._points) - 1))
        # The terms rise with sigma, and are below exp(-v^2 / 2) or exp(mean / 2) at the largest.
        u, mean = d / sigmas.max(), log_b - gap / sigmas.max() ** 2
        counts = ((mean + shares) / u > -_TAIL) | (mean > -(_TAIL**2))
        row, column = counts.nonzero(as_tuple=True)
        d, gap, log_b = (each[row, column].to(work) for each in (d, gap, log_b))
        for k, sigma in enumerate(sigmas.tolist()):
            u, mean = d / sigma, log_b - gap / sigma**2
            v = mean / u
            # E min(1, b t), and P(b t > 1 / (N - 1)).
            term = ndtr(v) + (mean + u.square() / 2 + log_ndtr(-v - u)).exp_()
            sums[0, :, k].index_add_(0, row, term)
            sums[1, :, k].index_add_(0, row, ndtr(v + shares / u))
