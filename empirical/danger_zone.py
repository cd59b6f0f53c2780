"""The danger zone of a data set from its distances alone, computed tile by tile.

Both bounds of the posterior weight are means, over the training points, of a function of a sum over
all other points. A few points, evenly spaced, give a guess of where each bound crosses its level; a
pass over all pairs at a few noise levels about the guess then gives the crossing. Of large sets the
means are over points drawn at random, and the crossings have intervals
(:mod:`wildmiddle.empirical.sampled_means`).
"""

import math
from dataclasses import replace
from time import monotonic

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.copying import CopyingBound
from wildmiddle.empirical.distinct import distinct
from wildmiddle.empirical.intervals import bounded_mean
from wildmiddle.empirical.kernels.device import rows_of_both, training_rows, working_dtype
from wildmiddle.empirical.kernels.distance_counts import DistanceCounts
from wildmiddle.empirical.kernels.overlap_sums import PairSums
from wildmiddle.empirical.kernels.processes import gather_rows, own_rows
from wildmiddle.empirical.kernels.products import (
    LARGE,
    plan,
)
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.empirical.noise import BLOCK, generator, indices
from wildmiddle.empirical.sampled_means import Surplus, Values, near_crossing, passing
from wildmiddle.empirical.spectrum import eigenvalues
from wildmiddle.empirical.weight_bounds import (
    pairs_of,
    progress_bar,
    root_of,
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

Array = NDArray[np.float64]

_GUIDES = 512
"""Training points that give the first guess of where the bounds cross."""
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
    ends are known to ``resolution`` octaves, or about ``time`` seconds have passed. The certain
    zone then ends where its interval begins and the possible one where its interval ends, and
    ``alpha`` is the error rate of all zones together, half of it or ``drawn_alpha`` for the images
    drawn.

    Raises ValueError for fewer than two training images that differ (three without ``test``),
    shapes that differ, levels outside (0, 1), a resolution or a time that is not above 0, or where
    the memory is too small.
    """
    require_levels(weight_high, coverage_high)
    for name, value in (("resolution", resolution), ("time", time), ("unit", unit)):
        if not value > 0:
            raise ValueError(f"{name} = {value:g} must be above 0")
    until = monotonic() + time
    if test is None:
        listed = held_out = training_rows(train, device, keep_bytes=True)
    else:
        listed, held_out = rows_of_both(train, test, "test", device, keep_bytes=True)
    different = distinct(listed)
    points, prior = different.points_and_prior(listed)
    n, d = points.shape
    left_out = kept = None
    if test is None:
        if n < 3:
            raise ValueError("of 2 different images none can be held out; give 3, or test images")
        group, copies = different.group, different.counts[different.group]
        left_out = torch.from_numpy(np.where(copies == 1, group, -1)).to(points.device)
        kept = torch.from_numpy(np.where(copies == 1, 1, 1 - 1 / copies)).to(points.device)
    all_pairs = exact or n * n * d <= LARGE
    of_drawn = alpha if test is None else alpha / 2
    if drawn_alpha is not None:
        of_drawn = drawn_alpha
    if not all_pairs:
        most = max(_HELD_OUT, LARGE // (n * d) // BLOCK * BLOCK)
        order = generator(seed, "zone/held-out images").permutation(len(held_out))[:most]
        chosen = torch.from_numpy(order).to(held_out.device)
        held_out = held_out[chosen]
        if left_out is not None and kept is not None:
            left_out, kept = left_out[chosen], kept[chosen]
    for_each_one = n - (0.0 if left_out is None else float((left_out >= 0).double().mean()))
    low, high = zip(*(rows.aminmax() for rows in (points, held_out)), strict=True)
    reach = math.sqrt(d) * (float(max(high)) - float(min(low)))  # no distance is larger
    spread = _typical_distance(points, held_out)
    pairs = PairSums(spread * math.exp(-REACH), reach)
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
    start = (
        crossing_of(lambda s: lower_bound(close, s, d, c) - coverage_high, spread),
        crossing_of(
            lambda s: upper_bound(pairs.mean_overlap(s, d, c), for_each_one) - coverage_high, spread
        ),
    )
    values = eigenvalues(points if prior is None else listed, memory=memory, exact=all_pairs)

    def copying_of(chosen: torch.Tensor | slice) -> CopyingBound:
        own = (None if each is None else each[chosen] for each in (left_out, kept))
        return CopyingBound(points, held_out[chosen], index[chosen, 0], memory, prior, *own)

    # No posterior of N listed images, copies and all, has an entropy above log N.
    top, drawn = math.log(len(listed)), None
    surplus: tuple[Surplus, Surplus] = (
        lambda error: error - (1 - weight_high),
        lambda share: weight_high - weight_of_entropy(share * top, n),
    )

    def count(rows: torch.Tensor) -> Values:
        own = torch.from_numpy(different.group)[rows]
        counts = DistanceCounts(len(own), reach, different.counts, points.device)
        threads, shown = plan(memory, n, d, wide=True).threads, progress and not all_pairs
        for some, columns, squared in pairs_of(points, own, memory, shown):
            counts.add(some, columns, squared, threads)
        counts.combine()
        copies = different.counts[own]
        whole = np.array([1, top])[:, None, None]

        def shares(sigmas: Array) -> tuple[Array, Array]:
            low, high = counts.terms(copies, sigmas)
            return low / whole, high / whole

        return shares

    if all_pairs:
        guides = count(_evenly(len(listed), _GUIDES))

        def falling(sigmas: Array) -> Array:
            means = np.mean(guides(sigmas), (0, 2))
            return -np.array([rises(mean) for rises, mean in zip(surplus, means, strict=True)])

        guess = near_crossing(falling, 2, spread)
        end = weight_crossings(points, guess, weight_high, spread, memory, prior, progress=progress)
        half_copied = _half_copied(copying_of(slice(None)), n, len(held_out), spread, progress)
    else:
        ends = passing(
            count,
            surplus,
            spread,
            len(listed),
            alpha=of_drawn * 2 / 3,
            resolution=resolution,
            until=until,
            seed=seed,
            stream="zone/training images",
        )
        end = np.array([ends.low[0], ends.high[1]])
        intervals = (unit * np.stack([ends.low, ends.high], axis=1)).tolist()
        drawn = DrawnRows(ends.rows, len(held_out), *(Zone(*each) for each in intervals))
        chosen = torch.from_numpy(indices(seed, "zone/copying", _COPIED, len(held_out))[:_COPIED])
        half_copied = _surely_copied(copying_of(chosen), (start[0], end[1]), of_drawn / 3)
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


def _evenly(count: int, most: int) -> torch.Tensor:
    # Numbers of a few of so many rows, evenly spaced.
    return torch.linspace(0, count - 1, min(count, most)).long()


def _typical_distance(points: torch.Tensor, held_out: torch.Tensor) -> float:
    # A distance of the size of most: by medians, since one outlier moves any mean.
    a, b = (
        rows[_evenly(len(rows), _GUIDES).to(rows.device)].to(working_dtype(rows.device))
        for rows in (points, held_out)
    )
    apart = torch.cdist(a, a)[~torch.eye(len(a), dtype=torch.bool, device=a.device)]
    return float(apart.median() + torch.cdist(b, a).amin(1).median()) or 1.0  # all points equal


def _half_copied(copying: CopyingBound, n: int, m: int, spread: float, progress: bool) -> float:
    # The sigma at which half of all m held-out images are copied.
    def copied(rows: torch.Tensor, sigmas: Array) -> Array:
        with progress_bar(progress, "copies", len(rows) * n) as bar:
            return copying.at(rows, sigmas, bar.update) - 0.5

    some = _evenly(m, _COPY_GUIDES)
    (guess,) = near_crossing(lambda sigmas: copied(some, sigmas[0])[None], 1, spread)
    around, everyone = _COPY_AROUND, torch.arange(m)
    while True:
        levels = guess + around * np.linspace(-1, 1, _COPY_LEVELS)
        rising = -copied(everyone, np.exp(levels))
        root, moved = root_of(levels, rising, math.log(spread))
        if np.isnan(root):
            guess = moved.mean()
            continue
        other, _ = root_of(levels[::2], rising[::2], math.log(spread))
        if abs(root - other) <= _COPY_SURE or around < _COPY_SURE:
            return math.exp(root)
        guess, around = root, around / 4


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
