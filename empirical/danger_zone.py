"""The danger zone of a data set from its distances alone, computed tile by tile.

Both bounds of the posterior weight are means, over the training points, of a function of a sum over
all other points. A few points, evenly spaced, give a guess of where each bound crosses its level; a
pass over all pairs at a few noise levels about the guess then gives the crossing. Of large sets the
means are over points drawn at random, and the crossings have intervals
(:mod:`wildmiddle.empirical.sampled_means`).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from threading import Lock
from time import monotonic

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from tqdm import tqdm

from wildmiddle.empirical.copying import CopyingBound
from wildmiddle.empirical.distinct import distinct
from wildmiddle.empirical.intervals import bounded_mean
from wildmiddle.empirical.kernels.device import rows_of_both, training_rows, working_dtype
from wildmiddle.empirical.kernels.distance_counts import DistanceCounts
from wildmiddle.empirical.kernels.distances import distances_to
from wildmiddle.empirical.kernels.overlap_sums import PairSums
from wildmiddle.empirical.kernels.processes import add_up, gather_rows, own_rows, share
from wildmiddle.empirical.kernels.products import (
    LARGE,
    Tile,
    mean_of,
    plan,
    product_dtype,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.empirical.noise import BLOCK, generator, indices
from wildmiddle.empirical.sampled_means import Values, near_crossing, passing
from wildmiddle.empirical.spectrum import eigenvalues
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
    MEAN_LOG_TERM,
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

_GUIDES = 256
"""Training points that give the first guess of where the bounds cross."""
_LEVELS, _AROUND = 7, 0.075
"""Noise levels of a pass over all pairs, and how far in log sigma they reach to either side: about
four times the error of the first guess."""
_COPY_LEVELS, _COPY_AROUND = 21, 0.25
"""The same for the bound on copying, whose first guess is worse and whose levels cost less."""
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
    origin = mean_of(points)
    low, high = zip(*(rows.aminmax() for rows in (points, held_out)), strict=True)
    reach = math.sqrt(d) * (float(max(high)) - float(min(low)))  # no distance is larger
    spread = _typical_distance(points, held_out)
    pairs = PairSums(spread * math.exp(-REACH), reach)
    mine = own_rows(len(held_out))
    with _bar(progress, "held-out images", (mine.stop - mine.start) * n) as bar:

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

    def weight_above(rows: torch.Tensor, sigmas: Array) -> Array:
        bounds = union_and_fano_bounds(
            points, rows, origin, sigmas, memory, prior, progress=progress
        )
        return bounds - weight_high

    drawn = None
    if all_pairs:
        guides = _guide_bounds(points, origin, memory, prior)
        guess = near_crossing(lambda sigmas: guides(sigmas) - weight_high, 2, spread)
        near = np.linspace(-_AROUND, _AROUND, _LEVELS)
        end = _crossings(weight_above, guess, near, n, spread)
        copying = copying_of(slice(None))

        def copied(rows: torch.Tensor, sigmas: Array) -> Array:
            with _bar(progress, "copies", len(rows) * n) as bar:
                return copying.at(rows, sigmas[0], bar.update)[None] - 0.5

        some = _evenly(len(held_out), _GUIDES)
        guess = near_crossing(lambda sigmas: copied(some, sigmas), 1, spread)
        near = np.linspace(-_COPY_AROUND, _COPY_AROUND, _COPY_LEVELS)
        half_copied = float(_crossings(copied, guess, near, len(held_out), spread)[0])
    else:
        # No posterior of N listed images, copies and all, has an entropy above log N.
        top = math.log(len(listed))

        def count(rows: torch.Tensor) -> Values:
            own = torch.from_numpy(different.group)[rows]
            counts = DistanceCounts(len(own), reach, different.counts, points.device)
            threads = plan(memory, n, d).threads
            for some, columns, squared in _distances(points, own, origin, memory, progress):
                counts.add(some, columns, squared, threads)
            counts.combine()
            copies = different.counts[own]
            whole = np.array([1, top])[:, None, None]

            def shares(sigmas: Array) -> tuple[Array, Array]:
                low, high = counts.terms(copies, sigmas)
                return low / whole, high / whole

            return shares

        ends = passing(
            count,
            (
                lambda error: error - (1 - weight_high),
                lambda share: weight_high - weight_of_entropy(share * top, n),
            ),
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


def union_and_fano_bounds(
    points: torch.Tensor,
    rows: torch.Tensor,
    origin: torch.Tensor,
    sigmas: Array,
    memory: int,
    prior: torch.Tensor | None = None,
    *,
    progress: bool = False,
) -> Array:
    """Bounds on the mean weight over ``rows`` (R,): the union bound, and Fano's.

    The lower one at ``sigmas[0]`` and the upper one at ``sigmas[1]``, ``sigmas`` (2, K); returns
    (2, K). As :func:`wildmiddle.theory.regimes.weight_lower` and
    :func:`~wildmiddle.theory.regimes.weight_upper` of the distances from ``points[rows]`` to all
    other ``points`` (N, d), whatever their number. ``prior`` (N,), where copies give the points
    one: the mean over the rows is by it then.
    """
    terms = _terms(points, rows, origin, sigmas, memory, prior, progress=progress)
    return _bounds_of(terms, rows, prior, len(points))


def _bounds_of(terms: Array, rows: torch.Tensor, prior: torch.Tensor | None, n: int) -> Array:
    # From the terms of some rows (2, R, K) the bounds (2, K), means by the prior.
    shares = None if prior is None else prior.cpu().numpy()[rows.cpu().numpy()]
    error, entropy = np.average(terms, axis=1, weights=shares)
    return np.stack([1 - error, weight_of_entropy(entropy, n)])


def _terms(
    points: torch.Tensor,
    rows: torch.Tensor,
    origin: torch.Tensor,
    sigmas: Array,
    memory: int,
    prior: torch.Tensor | None,
    *,
    progress: bool,
) -> Array:
    # Of each row the decoding error's bound at sigmas[0], and the bound of its posterior's entropy
    # at sigmas[1]: (2, R, K).
    (n, d), device, rows = points.shape, points.device, rows.to(points.device)
    sums = torch.zeros(2, len(rows), sigmas.shape[1], dtype=working_dtype(device), device=device)
    logs, threads = None if prior is None else prior.log(), plan(memory, n, d).threads
    # Without a prior a pair's terms are the same for both of its points.
    once = logs is None and len(rows) == n and bool((rows.diff() == 1).all())
    for own, columns, squared in _distances(points, rows, origin, memory, progress, once=once):
        pair = None if logs is None else (logs[rows[own]], logs[columns])
        other = sums[:, columns] if once and own.stop <= columns.start else None
        _add(squared, pair, sums[:, own], sigmas, threads, other)
    return _finish(add_up(sums))


def _finish(sums: torch.Tensor) -> Array:
    sums[0].clamp_(max=1)
    sums[1].log1p_()
    return sums.double().cpu().numpy()


def _guide_bounds(
    points: torch.Tensor, origin: torch.Tensor, memory: int, prior: torch.Tensor | None
) -> Callable[[Array], Array]:
    # The bounds of a few rows at any sigmas (2, K), from distances that are kept.
    (n, d), device = points.shape, points.device
    rows = _evenly(n, max(2, min(_GUIDES, memory // (32 * n)))).to(device)
    kept = torch.zeros(len(rows), n, dtype=product_dtype(d, device), device=device)
    for own, columns, squared in _distances(points, rows, origin, memory, progress=False):
        kept[own, columns] = squared.to(kept.dtype)
    kept = add_up(kept)
    pair = None if prior is None else (prior.log()[rows], prior.log())

    def at(sigmas: Array) -> Array:
        work = working_dtype(device)
        sums = torch.zeros(2, len(rows), sigmas.shape[1], dtype=work, device=device)
        _add(kept, pair, sums, sigmas, plan(memory, n, d).threads)
        return _bounds_of(_finish(sums), rows, prior, n)

    return at


def _distances(
    points: torch.Tensor,
    rows: torch.Tensor,
    origin: torch.Tensor,
    memory: int,
    progress: bool,
    *,
    once: bool = False,
) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    # Squared distances of some rows to some points, infinite to the point itself, all of them once:
    # several processes share the points. Where the rows are all points and pairs are wanted `once`,
    # the rows end with the tile, and those of the tile itself come apart.
    (n, d), device = points.shape, points.device
    sizes = plan(memory, n, d)
    with _bar(progress, "training images", len(rows) * n // (1 + once)) as bar:
        for ends in share(list(tiles(n, sizes.columns))):
            tile = tile_of(points, ends, origin, product_dtype(d, device), sizes.threads)
            for own in _parts((0, *ends) if once else (0, len(rows)), sizes.queries):
                squared = _squared_to_others(points, rows[own], tile, origin)
                if squared is None:
                    wide = tile_of(points, ends, origin, working_dtype(device), sizes.threads)
                    squared = _squared_to_others(points, rows[own], wide, origin)
                assert squared is not None
                yield own, slice(*ends), squared
                bar.update(squared.numel())


def _parts(ends: tuple[int, ...], most: int) -> Iterator[slice]:
    # Parts of up to so many rows, none across one of the ends.
    for start, end in pairwise(ends):
        yield from (slice(start + a, start + b) for a, b in tiles(end - start, most))


def _bar(progress: bool, what: str, total: int) -> "tqdm[object]":
    hidden = None if progress else True  # None: hidden unless stderr is a terminal
    return tqdm(desc=what, total=total, unit=" pairs", unit_scale=True, leave=False, disable=hidden)


def _squared_to_others(
    points: torch.Tensor, rows: torch.Tensor, tile: Tile, origin: torch.Tensor
) -> torch.Tensor | None:
    # Squared distances to a tile, infinite to the point itself; None where float32 will not do.
    found = distances_to(points, rows, points, tile, origin)
    if found is None:
        return None
    found.squared[tile.find(rows)] = torch.inf
    return found.squared


def _add(
    squared: torch.Tensor,
    logs: tuple[torch.Tensor, torch.Tensor] | None,
    sums: torch.Tensor,
    sigmas: Array,
    threads: int,
    other: torch.Tensor | None = None,
) -> None:
    # `logs` of the prior, of the rows and of the tile's points; the terms (2, R, K) of the rows are
    # added to `sums`, and those of the tile's points to `other`.
    most, lock = torch.finfo(squared.dtype).max, Lock()

    def keep(which: int, own: slice, k: int, terms: torch.Tensor) -> None:
        sums[which, own, k] += terms.sum(1)
        if other is not None:
            with lock:
                other[which, :, k] += terms.sum(0)

    def update(part: tuple[int, int]) -> None:
        own = slice(*part)
        apart, buffer = squared[own].sqrt(), torch.empty_like(squared[own])
        if logs is not None:
            ratios = (logs[1] - logs[0][own, None]).to(apart)
            shift = ratios / apart.clamp(min=torch.finfo(apart.dtype).tiny)
        for k, sigma in enumerate(sigmas[0].tolist()):
            # Phi(-r / (2 sigma)), the chance to decode one of two points wrongly.
            torch.mul(apart, min(1 / (math.sqrt(8) * sigma), most), out=buffer)
            if logs is not None:
                buffer.sub_(shift, alpha=sigma / math.sqrt(2))
            keep(0, own, k, torch.erfc(buffer, out=buffer).div_(2))
        for k, sigma in enumerate(sigmas[1].tolist()):
            torch.mul(squared[own], max(MEAN_LOG_TERM / sigma**2, -most), out=buffer)
            if logs is not None:
                buffer.add_(ratios)
            keep(1, own, k, buffer.exp_())

    for_each(update, tiles(len(squared), BLOCK), squared.device, threads)


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


def _crossings(
    falling: Callable[[torch.Tensor, Array], Array],
    guess: Array,
    near: Array,
    n: int,
    spread: float,
) -> Array:
    # The sigmas at which functions that fall with sigma, means over n rows, pass zero, (count,): of
    # numbers of rows and sigmas (count, K) they give (count, K). `near` (K,) are the levels beside
    # each guess in log sigma.
    levels = guess[:, None] + near
    everyone, found = torch.arange(n), np.full(len(guess), np.nan)
    while np.isnan(found).any():
        rising = -falling(everyone, np.exp(levels))
        for k in range(len(guess)):
            found[k], levels[k] = _root(levels[k], rising[k], math.log(spread))
    return np.exp(found)


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


def _root(levels: Array, rising: Array, scale: float) -> tuple[float, Array]:
    # Where a rising function of log sigma passes zero, or nan, and the levels to look at next.
    if rising[0] <= 0 < rising[-1]:
        return float(CubicSpline(levels, rising).solve(0, extrapolate=False)[-1]), levels
    sign = 1 if rising[-1] <= 0 else -1
    if max(sign * (levels - scale)) >= REACH:
        return scale + sign * REACH, levels
    # One step of overlap: a root at the end of one window lies inside of the next.
    return np.nan, levels + sign * (levels[-2] - levels[0])
