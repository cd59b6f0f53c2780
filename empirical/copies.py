"""Near copies among the images: pairs that are much nearer than images usually are.

Training images that are equal count as one (:mod:`wildmiddle.empirical.distinct`); near copies can
be made equal. A held-out image that is a training image, or nearly one, is
covered at every noise level, and a training image with a near copy has no noise level at which its
weight is high: both curves then say less about new images than they seem to.
"""

from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from wildmiddle.empirical.distinct import distinct
from wildmiddle.empirical.kernels.device import rows_of_both, training_rows
from wildmiddle.empirical.kernels.distances import pair_terms
from wildmiddle.empirical.kernels.products import (
    Tile,
    centre,
    distance_error,
    evenly,
    mean_of,
    plan,
    product_dtype,
    squared_distances,
    squared_norms,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.empirical.noise import BLOCK
from wildmiddle.theory.constants import DEFAULT_MEMORY

_SHARE = 1 / 10
"""Of the typical distance to the nearest other training image. Nearest distances concentrate as
the dimension grows: of independent points in 8 dimensions one in 10^8 has a neighbour so near."""
_DIMENSIONS = 8  # in fewer, independent points come so near by chance
_MOST, _LEAST, _PRODUCTS = 2_000, 128, 4 * 10**11
"""Images of each set that are looked at, evenly spaced, against all training images; down to 128 of
them where these take more products, so that the cost stays a small share of that of the zone."""


def merge_copies(
    train: NDArray[np.float64],
    within: float,
    *,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Training images (N, ...), each in the place of all that are ``within`` a distance of it.

    Images are alike that a chain of others joins, each within the distance (Euclidean, in the units
    of sigma) of the next; the first of them stands for all. With ``within`` 0 the images are
    returned as they are. ``memory`` bounds the buffers in bytes. Raises ValueError for N < 2.
    """
    if within == 0:
        return train
    points = training_rows(train, device)
    (n, d), origin = points.shape, mean_of(points)
    dtype, sizes = product_dtype(d, points.device), plan(memory, n, d)
    group, lock = np.arange(n), Lock()
    spans = list(tiles(n, sizes.columns))
    for span in tqdm(spans, "near copies", leave=False, disable=None if progress else True):
        tile = tile_of(points, span, origin, dtype, sizes.threads)

        def join(part: tuple[int, int], tile: Tile = tile) -> None:
            nonlocal group
            x = centre(points[slice(*part)], origin, dtype)
            own = squared_norms(x)
            error = distance_error(d, dtype, own, tile.norms.max().sqrt())
            squared = squared_distances(x, tile.points, own, tile.norms)
            pairs = (squared <= (within**2 + error)[:, None]).nonzero()
            pairs += torch.tensor([part[0], tile.start], device=pairs.device)
            known = torch.as_tensor(group).to(pairs.device)[pairs]
            i, j = pairs[(pairs[:, 0] < pairs[:, 1]) & (known[:, 0] != known[:, 1])].T
            # Near the limit rounding must not decide: the distances once more, from differences.
            near = pair_terms(points, i, points, j)[0].sqrt() <= within
            if near.any():
                i, j = i[near].cpu().numpy(), j[near].cpu().numpy()
                with lock:
                    joined = coo_array((np.ones(len(i)), (group[i], group[j])), shape=(n, n))
                    group = connected_components(joined, directed=False)[1][group]

        # A pair is looked at once, from the earlier of the two.
        for_each(join, tiles(span[1], BLOCK), points.device, sizes.threads)
    first, number = np.unique(group, return_index=True, return_inverse=True)[1:]
    return train[first[number]]


@dataclass(frozen=True)
class NearCopies:
    """Images within ``distance`` of a training image that is not the same, exact copies apart."""

    train: int
    """Training images, copies counted once, with a near copy among the others."""
    test: int
    """Held-out images with a near copy among the training images."""
    train_examined: int
    test_examined: int
    """Images of each set that were looked at."""
    distance: float
    """A tenth of the median distance of a training image to its nearest other one, exact copies
    apart; 0 below 8 dimensions, where nothing is called a near copy."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, a sentence for each set that has near copies."""
        found = (
            (
                self.train,
                self.train_examined,
                "distinct training",
                "another one",
                f"; --copies-within {self.distance:.3g} counts near copies as one image",
            ),
            (self.test, self.test_examined, "held-out", "a training image", ""),
        )
        return tuple(
            f"{count} of {examined} {name} images are a near copy of {other}: within "
            f"{self.distance:.3g}, a tenth of the median distance between nearest training images"
            + remedy
            for count, examined, name, other, remedy in found
            if count
        )


def near_copies(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor | None,
    *,
    unit: float = 1.0,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
) -> NearCopies:
    """Count near copies among training images (N, ...), and of them in held-out ones, if any.

    Up to 2,000 images of each set are looked at, against all training images; those that are equal
    count as one. ``unit`` is the size of one step of their values. Where more than half of the
    training images have a near copy, the median is that of near copies, and they are not seen.
    Raises ValueError for fewer than two training images that differ and images of different shapes.
    """
    if test is None:
        listed = training_rows(train, device, keep_bytes=True)
        held_out = listed[:0]
    else:
        listed, held_out = rows_of_both(train, test, "test", device, units=False, keep_bytes=True)
    points, _ = distinct(listed).points_and_prior(listed)
    most = min(_MOST, max(_LEAST, _PRODUCTS // points.numel()))
    some, others = (rows[evenly(len(rows), most)] for rows in (points, held_out))
    found, _ = nearest_two(torch.cat([some, others]), points, memory=memory)
    distances = unit * found.double().cpu().numpy()
    # Of the two nearest one is the image itself.
    apart, away = distances[: len(some), 1], distances[len(some) :, 0]
    told = points.shape[1] >= _DIMENSIONS
    limit = _SHARE * float(np.median(apart)) if told else 0.0
    near_train, near_test = (int(((d > 0) & (d < limit)).sum()) for d in (apart, away))
    return NearCopies(near_train, near_test, len(some), len(others), limit)
