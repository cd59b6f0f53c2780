"""The danger zone of a data set from its distances alone, computed tile by tile.

Both bounds of the posterior weight are means, over the training points, of a function of a sum over
all other points. A few points, evenly spaced, give a guess of where each bound crosses its level; a
pass over all pairs at a few noise levels about the guess then gives the crossing. Of large sets the
means are over points drawn at random, and the crossings have intervals
(:mod:`wildmiddle.empirical.sampled_means`).
"""

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from time import monotonic

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.copying import CopyingBound
from wildmiddle.empirical.crossings import Curve, crossings, near_crossing
from wildmiddle.empirical.distinct import Distinct, distinct
from wildmiddle.empirical.intervals import bounded_mean
from wildmiddle.empirical.kernels.device import rows_of_both, training_rows, working_dtype
from wildmiddle.empirical.kernels.distance_counts import DistanceCounts, bytes_of_row
from wildmiddle.empirical.kernels.overlap_sums import PairSums
from wildmiddle.empirical.kernels.processes import gather_rows, own_rows
from wildmiddle.empirical.kernels.products import LARGE, evenly, plan
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.empirical.noise import BLOCK, generator, indices
from wildmiddle.empirical.sampled_means import Surplus, Values, near_passing, passing
from wildmiddle.empirical.spectrum import eigenvalues
from wildmiddle.empirical.weight_bounds import (
    pairs_of,
    progress_bar,
    weight_crossings,
)
from wildmiddle.theory.constants import (
    DEFAULT_MEMORY,
    SHELL_WIDTH,
    ZONE_ALPHA,
    ZONE_RESOLUTION,
    ZONE_TIME,
    Thresholds,
)
from wildmiddle.theory.copies import effective_number
from wildmiddle.theory.coverage import lower_bound, upper_bound
from wildmiddle.theory.domain import require, require_positive
from wildmiddle.theory.regimes import (
    REACH,
    DrawnRows,
    PredictedZone,
    Zone,
    assemble,
    crossing_of,
    require_levels,
    weight_of_entropy,
)

_log = logging.getLogger(__name__)

Array = NDArray[np.float64]

_GUIDES, _FEWEST_GUIDES = 512, 16
"""Training points that give the first guess of where the bounds cross, by the memory."""
_COUNTED = 4
"""One part in this many of the memory is for counts of distances."""
_COPY_GUIDES, _COPY_LEVELS, _COPY_AROUND = 64, 13, 0.15
"""Of the bound on copying: held-out images that give its first guess, its noise levels, and how far
these reach in log sigma to either side."""
_COPY_SURE = 1e-4
"""Its crossing in log sigma is taken where half of the levels give it to this."""
_HELD_OUT = 256
"""Held-out images that are looked at, whatever the number of training images."""
_COPIED, _COPIED_LEVELS = 64, 12
"""Of them, those drawn for the bound on copying of a large set, and its noise levels."""


def zone_of(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor | None = None,
    *,
    c: float = SHELL_WIDTH,
    weight_high: float = Thresholds.weight_high,
    coverage_high: float = Thresholds.coverage_high,
    alpha: float = ZONE_ALPHA,
    drawn_alpha: float | None = None,
    exact: bool = False,
    resolution: float = ZONE_RESOLUTION,
    time: float = ZONE_TIME,
    unit: float = 1.0,
    seed: int = 0,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
    progress: bool = False,
) -> PredictedZone:
    """The danger zone of two sets of images from their distances alone, without any noise.

    ``train`` (N, ...), ``test`` (M, ...), in which one step is ``unit`` of sigma: bytes, as of a
    file that is mapped, are never copied as a whole. Without ``test`` every training image is held
    out once: the weight is that of all N, while coverage and copying are of each image by the other
    N - 1, on average. That is a statement on these images alone, exact but for what is drawn: the
    N terms share their images, so nothing follows for a population. An image with a copy among the
    others is covered at every noise level. The levels are those of
    :class:`~wildmiddle.theory.constants.Thresholds`, ``alpha`` the error rate of the population's
    zones over the held-out images. As :func:`wildmiddle.theory.regimes.danger_zone`, right to 1e-4,
    but ``memory`` bounds the buffers in bytes whatever N and M: one pass over all pairs of training
    images as a rule, another where the first guess misses an end, and as many from the held-out
    images and their nearest to all. Training images that are equal count as one, with the weight of
    its copies.

    Unless ``exact``, a set with ``N^2 d`` above 1e12 is looked at from some of its images, drawn at
    random with the ``seed``: held-out ones, whose zone it then is, and training images until the
    ends are known to ``resolution`` octaves, about ``time`` seconds have passed, or a quarter of
    the memory holds the counts of no more; those of the first 256 are always taken. The certain
    zone then ends where its interval begins and the possible one where its interval ends, and
    ``alpha`` is the error rate of all zones together, half of it or ``drawn_alpha`` for the images
    drawn.

    Raises ValueError for fewer than two training images that differ (three without ``test``),
    shapes that differ, levels or ``alpha`` outside (0, 1), ``drawn_alpha`` outside (0, alpha), a
    resolution, time or unit that is not above 0, or where the memory is too small.
    """
    require_levels(weight_high, coverage_high)
    for name, value in (("resolution", resolution), ("time", time)):
        require(value > 0, name, value, "must be above 0")
    require_positive("unit", unit)
    require(0 < alpha < 1, "alpha", alpha, "must lie strictly between 0 and 1")
    of_drawn = alpha if test is None else alpha / 2
    if drawn_alpha is not None:
        require(0 < drawn_alpha < alpha, "drawn_alpha", drawn_alpha, f"must lie in (0, {alpha:g})")
        of_drawn = drawn_alpha
    until = monotonic() + time
    images = _images(train, test, device)
    points, prior, (n, d) = images.points, images.prior, images.points.shape
    all_pairs = exact or n * n * d <= LARGE
    if not all_pairs:
        most = max(_HELD_OUT, LARGE // (n * d) // BLOCK * BLOCK)
        order = generator(seed, "zone/held-out images").permutation(len(images.held_out))
        images = images.choose(order[:most])
    spread = _typical_distance(points, images.held_out)
    start, close, nearest = _start(images, spread, c, coverage_high, memory, progress)
    _log.info(
        "coverage passes %g at sigma %.4g to %.4g",
        coverage_high,
        *sorted(unit * sigma for sigma in start),
    )
    values = eigenvalues(points if prior is None else images.listed, memory=memory, exact=all_pairs)
    counted = memory // _COUNTED // bytes_of_row(images.different.counts)
    count = _counting(images, memory - memory // _COUNTED, progress and not all_pairs)
    surplus, drawn = _surplus(images, weight_high), None
    if all_pairs:
        few = min(_GUIDES, max(_FEWEST_GUIDES, counted))
        guides = count(evenly(len(images.listed), few))
        guess = near_passing(guides, surplus, spread)
        end = weight_crossings(points, guess, weight_high, spread, memory, prior, progress=progress)
        half_copied = _half_copied(images, nearest, spread, memory, progress)
    else:
        ends = passing(
            count,
            surplus,
            spread,
            len(images.listed),
            most=counted,
            alpha=of_drawn * 2 / 3,
            resolution=resolution,
            until=until,
            seed=seed,
            stream="zone/training images",
        )
        end = np.array([ends.low[0], ends.high[1]])
        intervals = (unit * np.stack([ends.low, ends.high], axis=1)).tolist()
        drawn = DrawnRows(ends.rows, len(images.held_out), *(Zone(*each) for each in intervals))
        chosen = indices(seed, "zone/copying", _COPIED, len(images.held_out))[:_COPIED]
        copying = images.choose(chosen).copying(nearest[chosen], memory)
        half_copied = _surely_copied(copying, (start[0], end[1]), of_drawn / 3)
    _log.info("the weight passes %g at sigma %.4g to %.4g", weight_high, *(unit * end))
    zone = assemble(
        start=[unit * sigma for sigma in start],
        end=(unit * end).tolist(),
        half_copied=unit * half_copied,
        nearest=None if test is None else unit * close,
        eigenvalues=unit**2 * values,
        n=n,
        effective=n if prior is None else effective_number(prior.cpu()),
        d=d,
        scale=unit * spread,
        c=c,
        weight_high=weight_high,
        coverage_high=coverage_high,
        alpha=alpha if all_pairs else alpha - of_drawn,
    )
    return replace(zone, alpha=0.0 if test is None and drawn is None else alpha, drawn=drawn)


@dataclass(frozen=True, eq=False)
class _Images:
    """What a zone is of: the training images, those of them that differ, and those held out."""

    listed: torch.Tensor
    """All training images, (N, d)."""
    different: Distinct
    points: torch.Tensor
    """Those that differ, (G, d)."""
    prior: torch.Tensor | None
    """That of the points, where copies give them one."""
    held_out: torch.Tensor
    left_out: torch.Tensor | None = None
    """The number of the point that a held-out image itself is, or -1; None of test images."""
    kept: torch.Tensor | None = None
    """The share of its point's prior that is left without the held-out image itself."""

    def choose(self, numbers: NDArray[np.int64]) -> "_Images":
        """The same training images with these held-out ones."""
        chosen = torch.from_numpy(numbers).to(self.held_out.device)
        left_out, kept = (None if a is None else a[chosen] for a in (self.left_out, self.kept))
        return replace(self, held_out=self.held_out[chosen], left_out=left_out, kept=kept)

    def copying(self, nearest: torch.Tensor, memory: int) -> CopyingBound:
        """The bound on copying of the held-out images, whose ``nearest`` (M,) points are given."""
        return CopyingBound(
            self.points, self.held_out, nearest, memory, self.prior, self.left_out, self.kept
        )

    @cached_property
    def reach(self) -> float:
        """No distance is larger."""
        ends = [rows.aminmax() for rows in (self.points, self.held_out)]
        low, high = min(float(end.min) for end in ends), max(float(end.max) for end in ends)
        return math.sqrt(self.points.shape[1]) * (high - low)


def _images(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor | None,
    device: str | torch.device,
) -> _Images:
    # Without test images every training image is held out once.
    if test is not None:
        listed, held_out = rows_of_both(train, test, "test", device, keep_bytes=True)
        different = distinct(listed)
        return _Images(listed, different, *different.points_and_prior(listed), held_out)
    listed = training_rows(train, device, keep_bytes=True)
    different = distinct(listed)
    points, prior = different.points_and_prior(listed)
    if len(points) < 3:
        raise ValueError("of 2 different images none can be held out; give 3, or test images")
    group, copies = different.group, different.counts[different.group]
    left_out = torch.from_numpy(np.where(copies == 1, group, -1)).to(points.device)
    kept = torch.from_numpy(np.where(copies == 1, 1, 1 - 1 / copies)).to(points.device)
    return _Images(listed, different, points, prior, listed, left_out, kept)


def _start(
    images: _Images, spread: float, c: float, level: float, memory: int, progress: bool
) -> tuple[tuple[float, float], Array, torch.Tensor]:
    # Where the bounds of the coverage pass its level, and the distances and the numbers of the
    # points nearest to the held-out images.
    points, held_out, left_out = images.points, images.held_out, images.left_out
    n, d = points.shape
    for_each_one = n - (0.0 if left_out is None else float((left_out >= 0).double().mean()))
    pairs = PairSums(spread * math.exp(-REACH), images.reach)
    mine = own_rows(len(held_out))
    with progress_bar(progress, "held-out images", (mine.stop - mine.start) * n) as bar:

        def visit(rows: slice, columns: slice, squared: torch.Tensor) -> None:
            pairs.add(squared)
            bar.update(squared.numel())

        own = None if left_out is None else left_out[mine]
        found = nearest_two(held_out[mine], points, memory=memory, visit=visit, left_out=own)
    pairs.combine()
    distances, index = (gather_rows(each, mine, len(held_out)) for each in found)
    close = distances[:, 0].double().cpu().numpy()

    def above(sigmas: Array) -> Array:
        return upper_bound(pairs.mean_overlap(sigmas, d, c), for_each_one) - level

    lower = crossing_of(lambda sigmas: lower_bound(close, sigmas, d, c) - level, spread)
    return (lower, crossing_of(above, spread)), close, index[:, 0]


def _counting(images: _Images, memory: int, progress: bool) -> Callable[[torch.Tensor], Values]:
    # A function of the numbers of some listed images, which counts their distances to all others:
    # between what their decoding error and their share of the largest entropy lie, by noise level.
    # No posterior of N listed images, copies and all, has an entropy above log N.
    points, whole = images.points, np.array([1, math.log(len(images.listed))])[:, None, None]
    threads = plan(memory, *points.shape, wide=True).threads

    def count(rows: torch.Tensor) -> Values:
        own = torch.from_numpy(images.different.group)[rows]
        copies = images.different.counts
        counts = DistanceCounts(len(own), images.reach, copies, points.device)
        for some, columns, squared in pairs_of(points, own, memory, progress):
            counts.add(some, columns, squared, threads)
        counts.combine()

        def shares(sigmas: Array) -> tuple[Array, Array]:
            low, high = counts.terms(copies[own], sigmas)
            return low / whole, high / whole

        return shares

    return count


def _surplus(images: _Images, level: float) -> tuple[Surplus, Surplus]:
    # What rises with the two means, and passes 0 where the bounds of the weight pass their level.
    n, top = len(images.points), math.log(len(images.listed))
    return (
        lambda error: error - (1 - level),
        lambda share: level - weight_of_entropy(share * top, n),
    )


def _typical_distance(points: torch.Tensor, held_out: torch.Tensor) -> float:
    # A distance of the size of most: by medians, since one outlier moves any mean.
    a, b = (
        rows[evenly(len(rows), _GUIDES)].to(working_dtype(rows.device))
        for rows in (points, held_out)
    )
    apart = torch.cdist(a, a)[~torch.eye(len(a), dtype=torch.bool, device=a.device)]
    return float(apart.median() + torch.cdist(b, a).amin(1).median()) or 1.0  # all points equal


def _half_copied(
    images: _Images, nearest: torch.Tensor, spread: float, memory: int, progress: bool
) -> float:
    # The sigma at which half of all held-out images are copied.
    n, m, copying = len(images.points), len(images.held_out), images.copying(nearest, memory)

    def copied(rows: torch.Tensor, sigmas: Array) -> Array:
        with progress_bar(progress, "copies", len(rows) * n) as bar:
            return copying.at(rows, sigmas, bar.update) - 0.5

    some = evenly(m, _COPY_GUIDES)
    guess = near_crossing(lambda sigmas: copied(some, sigmas[0])[None], 1, spread)
    everyone = torch.arange(m)

    def look(centres: Array, around: Array) -> Iterator[tuple[Curve, Curve]]:
        levels = centres[0] + around[0] * np.linspace(-1, 1, _COPY_LEVELS)
        rising = -copied(everyone, np.exp(levels))
        yield (levels, rising), (levels[::2], rising[::2])

    return float(crossings(look, guess, _COPY_AROUND, spread, _COPY_SURE)[0])


def _surely_copied(copying: CopyingBound, span: tuple[float, float], alpha: float) -> float:
    # The largest of a few sigmas at which at least half are copied, by rows drawn at random; or 0.
    if not 0 < span[0] < span[1] < np.inf:
        return 0.0
    levels, found = np.geomspace(*span, _COPIED_LEVELS), 0.0
    for sigmas in (levels[:1], levels[1:]):  # the first alone decides as a rule, and costs less
        missed = copying.missed(torch.arange(_COPIED), sigmas, enough=0.5).double().cpu().numpy()
        sure = bounded_mean(missed, alpha / _COPIED_LEVELS).high <= 0.5
        if not sure.any():
            break
        found = float(sigmas[sure].max())
    return found
