"""Nearest-neighbour distances, and memorization: samples much nearer to one image than others."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from empirical.device import as_rows, resolve_device
from empirical.intervals import proportion
from empirical.posterior import squared_distances

Array = NDArray[np.float64]

_BLOCK = 1024


@dataclass(frozen=True)
class Memorization:
    """Share of memorized samples with its exact interval, and the distances it rests on."""

    rate: float
    low: float
    high: float
    ratio: Array
    """``d_(1) / d_(2)`` of each sample, (S,); 1 where both are 0."""
    nearest: NDArray[np.int64]
    """Index of each sample's nearest training image, (S,)."""
    distances: Array
    """``d_(1)`` and ``d_(2)`` of each sample, (S, 2)."""


def extreme_distances(
    train: ArrayLike | torch.Tensor, device: str | torch.device = "auto"
) -> Array:
    """Distance of every training point to its nearest and its farthest other one, (N, 2).

    ``train`` (N, ...), N >= 2; raises ValueError below. A duplicate's nearest distance is 0
    exactly. These are d_min(i) and d_max(i) of Theorem 4.2.
    """
    points = as_rows(train, resolve_device(device))
    if len(points) < 2:
        raise ValueError(f"train holds N = {len(points)} image; distances need at least 2")
    ends = []
    for start, rows in zip(range(0, len(points), _BLOCK), points.split(_BLOCK), strict=True):
        squared = squared_distances(rows, points)
        farthest = points[squared.argmax(1)]
        squared[torch.arange(len(rows)), start + torch.arange(len(rows))] = torch.inf
        closest = points[squared.argmin(1)]
        # The two that matter once more, by direct differences.
        pair = [torch.linalg.vector_norm(rows - other, dim=1) for other in (closest, farthest)]
        ends.append(torch.stack(pair, dim=1))
    return torch.cat(ends).double().cpu().numpy()


def distances_to_others(
    train: ArrayLike | torch.Tensor, device: str | torch.device = "auto"
) -> Array:
    """Distances from every training point to all others, (N, N - 1) float64.

    ``train`` (N, ...), N >= 2; raises ValueError below. Memory for N^2 numbers.
    """
    points = as_rows(train, resolve_device(device))
    if len(points) < 2:
        raise ValueError(f"train holds N = {len(points)} image; distances need at least 2")
    square = squared_distances(points, points).sqrt_()
    rest = square[~torch.eye(len(points), dtype=torch.bool, device=points.device)]
    return rest.reshape(len(points), -1).double().cpu().numpy()


def memorization(
    samples: ArrayLike | torch.Tensor,
    train: ArrayLike | torch.Tensor,
    threshold: float = 1 / 3,
    *,
    alpha: float = 0.05,
    device: str | torch.device = "auto",
) -> Memorization:
    """Share of samples with ``d_(1) < threshold * d_(2)``, nearest against second nearest.

    ``samples`` (S, ...), ``train`` (N, ...), N >= 2. The Clopper-Pearson interval is for the rate
    of the sampler that drew the samples independently. Raises ValueError for N < 2, shapes that
    differ or a threshold outside (0, 1]. Source: Section 3, after Yoon et al. 2023.
    """
    where = resolve_device(device)
    queries, points = as_rows(samples, where), as_rows(train, where)
    if len(points) < 2:
        raise ValueError(f"train holds N = {len(points)} image; a second nearest needs at least 2")
    if queries.shape[1] != points.shape[1]:
        raise ValueError(
            f"samples have d = {queries.shape[1]} and train {points.shape[1]}; must agree"
        )
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold = {threshold} must lie in (0, 1]")
    ratios, neighbours, distances = [], [], []
    for block in queries.split(_BLOCK):
        pair = squared_distances(block, points).topk(2, dim=1, largest=False).indices
        # The two that matter once more, by direct differences: a copy has distance 0 exactly.
        first, second = (
            torch.linalg.vector_norm(block - points[pair[:, k]], dim=1) for k in (0, 1)
        )
        swapped = second < first
        ordered = torch.stack([torch.minimum(first, second), torch.maximum(first, second)], dim=1)
        ratio = ordered[:, 0] / ordered[:, 1]
        distances.append(ordered.double().cpu().numpy())
        ratios.append(torch.nan_to_num(ratio, nan=1.0).double().cpu().numpy())
        neighbours.append(torch.where(swapped, pair[:, 1], pair[:, 0]).cpu().numpy())
    all_ratios = np.concatenate(ratios)
    interval = proportion(int((all_ratios < threshold).sum()), len(all_ratios), alpha)
    return Memorization(
        rate=float(interval.mean),
        low=float(interval.low),
        high=float(interval.high),
        ratio=all_ratios,
        nearest=np.concatenate(neighbours),
        distances=np.concatenate(distances),
    )
