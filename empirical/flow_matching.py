"""The optimal and the conditional flow-matching field at noised training points (Section A.2)."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.kernels.device import as_rows
from wildmiddle.empirical.kernels.processes import map_rows
from wildmiddle.empirical.kernels.products import tiles
from wildmiddle.empirical.noise import Block, blocks, require_numbers, require_queries
from wildmiddle.empirical.posterior import with_weight
from wildmiddle.theory.domain import require

Array = NDArray[np.float64]

_COLUMNS = 4096
"""Training points whose differences from the noised one are held at once."""


class Fields(NamedTuple):
    """One row a query, each (queries,): what Lemma A.1 and Corollary A.2 speak of."""

    self_weight: Array
    """Posterior weight of the noised point."""
    denoiser_error: Array
    """``|m_t(y) - x_i|``, in units of the data."""
    target_norm: Array
    """``|x_i - Z|``, the length of the conditional field."""
    cosine: Array
    """Cosine between the optimal field u* and the conditional field u."""


def fields(
    train: ArrayLike | torch.Tensor,
    index: int | NDArray[np.int64],
    t: float,
    *,
    queries: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    stream: str = "flow",
) -> Fields:
    """Noise training points to time t and compare the two fields.

    ``train`` (N, d) or (N, ...). All ``queries`` noise the point at ``index``, or each its own of
    ``index`` (queries,). Everything is computed in the time parameterization of flow
    matching, from ``y = (1 - t) Z + t x_i``, so the conversion to sigma is not used.
    Raises ValueError unless 0 < t < 1, for no query, an ``index`` that no point has, and more or
    fewer of them than queries. Source: Eq. 20, 21, 22.
    """
    require(0 < t < 1, "t", t, "must lie strictly between 0 and 1")
    require_queries(queries)
    points, chosen = as_rows(train, device), np.asarray(index)
    require_numbers(chosen, len(points))
    if chosen.shape not in ((), (queries,)):
        raise ValueError(f"index of shape {chosen.shape}; give one, or one for each of {queries}")

    def compare(block: Block) -> Array:
        z = torch.as_tensor(block.draw()).to(points)
        if chosen.ndim == 0:
            return _compare(points, int(chosen), z, t)
        own = chosen[block.start : block.start + len(z)]
        # Queries beyond the last noise its point: the block has as many rows as the others.
        own = np.pad(own, (0, len(z) - len(own)), mode="edge").tolist()
        return np.concatenate([_compare(points, i, z[k, None], t) for k, i in enumerate(own)])

    drawn = list(blocks(seed, stream, queries, points.shape[1]))
    return Fields(*map_rows(compare, drawn)[:queries].T)


def _compare(points: torch.Tensor, i: int, z: torch.Tensor, t: float) -> Array:
    # The fields at (1-t) z + t x_i, a row of z (Q, d) a query: (Q, 4) in the order of `Fields`.
    x = points[i]
    y = (1 - t) * z + t * x
    # As inputs at noise (1-t)/t: y over t.
    kept = with_weight(y / t, points, z.new_full((len(z),), (1 - t) / t), x)
    if isinstance(kept, torch.Tensor):
        kept = torch.cat([kept, kept.new_tensor([i])]).unique()
        points, i = points[kept], int(torch.searchsorted(kept, i))
    # -|y - t x_j|^2 / (2 (1-t)^2), less what is common to all j. With y - t x_j written as
    # (1-t) z - t (x_j - x) no digits cancel, however close the nearest neighbour.
    weight = z.new_empty(len(z), len(points))
    for ends in tiles(len(points), _COLUMNS):
        apart = points[slice(*ends)] - x
        inner = t * (1 - t) * z @ apart.T
        weight[:, slice(*ends)] = (inner - t**2 * apart.square().sum(1) / 2) / (1 - t) ** 2
    weight = torch.softmax(weight, dim=1)
    error = torch.zeros_like(z)  # m_t(y) - x, Eq. 22
    for ends in tiles(len(points), _COLUMNS):
        error += weight[:, slice(*ends)] @ (points[slice(*ends)] - x)
    optimal = (x + error - y) / (1 - t)  # Eq. 21
    conditional = x - z  # Eq. 20
    row = (
        weight[:, i],
        torch.linalg.vector_norm(error, dim=1),
        torch.linalg.vector_norm(conditional, dim=1),
        torch.cosine_similarity(optimal, conditional, dim=1),
    )
    return torch.stack(row, dim=1).double().cpu().numpy()
