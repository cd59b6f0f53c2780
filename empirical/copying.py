"""The bound on copying of held-out images from all distances, tile by tile.

As :func:`wildmiddle.theory.copying.copying_lower`, whatever the number of images.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.special import log_ndtr, ndtr

from wildmiddle.empirical.kernels.device import working_dtype
from wildmiddle.empirical.kernels.products import (
    Tile,
    centre,
    mean_of,
    plan,
    squared_distances,
    squared_norms,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.empirical.noise import BLOCK

Array = NDArray[np.float64]


class CopyingBound:
    """The bound on how often noised held-out images are copied, for rows of them and any sigma.

    ``points`` (N, d), ``held_out`` (M, d) and the number ``nearest`` (M,) of the training point
    nearest to each; ``prior`` (N,) of the training points, where copies give them one. ``memory``
    bounds the buffers in bytes. The distances are in the working precision of the device: they are
    told apart by less than sigma squared.
    """

    def __init__(
        self,
        points: torch.Tensor,
        held_out: torch.Tensor,
        nearest: torch.Tensor,
        memory: int,
        prior: torch.Tensor | None = None,
    ) -> None:
        self._points, self._held_out, self._nearest = points, held_out, nearest
        self._logs = None if prior is None else prior.log()
        self._memory, self._origin = memory, mean_of(points)
        chosen, self._row = nearest.unique(return_inverse=True)
        # The nearest of a training point is itself or a copy; the second is at d_min.
        self._closest = nearest_two(points[chosen], points, memory=memory)[0][:, 1]

    def at(self, rows: torch.Tensor, sigmas: Array) -> Array:
        """Lower bound on the share of copies among the held-out ``rows`` (R,), (K,).

        ``sigmas`` (K,).
        """
        return (1 - self.missed(rows, sigmas)).mean(0).double().cpu().numpy()

    def missed(self, rows: torch.Tensor, sigmas: Array) -> torch.Tensor:
        """Upper bound on the probability that each of the ``rows`` (R,) is not copied, (R, K)."""
        points, work = self._points, working_dtype(self._points.device)
        (n, d), rows = points.shape, rows.to(points.device)
        sums = torch.zeros(2, len(rows), len(sigmas), dtype=work, device=points.device)
        sizes = plan(self._memory, n, d)
        for ends in tiles(n, sizes.columns):
            tile = tile_of(points, ends, self._origin, work, sizes.threads)

            def update(part: tuple[int, int], tile: Tile = tile) -> None:
                own = slice(*part)
                self._add(sums[:, own], rows[own], tile, sigmas)

            for_each(update, tiles(len(rows), BLOCK), points.device, sizes.threads)
        missed = sums.amin(0)
        missed[self._d_min(rows) == 0] = 1  # of two copies neither is nearer than the other
        return missed.clamp_(max=1)

    def _d_min(self, rows: torch.Tensor) -> torch.Tensor:
        return self._closest[self._row[rows]].to(working_dtype(self._points.device))

    def _add(self, sums: torch.Tensor, rows: torch.Tensor, tile: Tile, sigmas: Array) -> None:
        work, nearest = sums.dtype, self._nearest[rows]
        x = centre(self._held_out[rows], self._origin, work)
        a = centre(self._points[nearest], self._origin, work)
        own = (x - a).square_().sum(1)
        squared = squared_distances(x, tile.points, squared_norms(x), tile.norms)
        gap = squared.sub_(own[:, None]).div_(2).clamp_(min=0)
        d = squared_distances(a, tile.points, squared_norms(a), tile.norms).sqrt_()
        d_min = self._d_min(rows)[:, None]
        d = torch.maximum(d, d_min).clamp_(min=torch.finfo(work).tiny)
        log_b = (4 * d / d_min - 1).log_()
        if self._logs is not None:
            own_logs = self._logs[tile.start : tile.start + len(tile.points)]
            log_b.add_(own_logs - self._logs[nearest, None]).clamp_(min=0)
        itself = tile.find(nearest)
        shares = float(np.log(len(self._points) - 1))
        for k, sigma in enumerate(sigmas.tolist()):
            u, mean = d / sigma, log_b - gap / sigma**2
            v = mean / u
            # E min(1, b t), and P(b t > 1 / (N - 1)).
            term = ndtr(v) + (mean + u.square() / 2 + log_ndtr(-v - u)).exp_()
            union = ndtr(v + shares / u)
            for one in (term, union):
                one[itself] = 0
            sums[0, :, k] += term.sum(1)
            sums[1, :, k] += union.sum(1)
