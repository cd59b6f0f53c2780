"""Where the danger zone lies, from distances alone: no noise is drawn and nothing is trained.

The posterior weight W is the probability that a noised training point is decoded right, so bounds
of coding theory enclose it; the coverage is enclosed by Theorem 4.8. All of them are multiples of
distances by factors that know only N, d, c and the levels, so the zone scales with the data. (The
eigenvalues of the covariance follow from the distances too.) Training images that are copies are
one point with their prior (:mod:`wildmiddle.theory.copies`): what is said of the weight takes
``ratios``, the ``log(p_j / p_i)`` of its rows of distances; the coverage is of the points alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import entr, ndtri

from wildmiddle.theory import copies, copying, population, spectrum
from wildmiddle.theory.constants import SHELL_WIDTH, ZONE_ALPHA, Thresholds
from wildmiddle.theory.coverage import lower_bound, mean_overlap, overlap_probability, upper_bound
from wildmiddle.theory.domain import require, require_distance, require_positive
from wildmiddle.theory.posterior import below_probability, decoding_error
from wildmiddle.theory.shells import radii, shell_probability

Array = NDArray[np.float64]

REACH = 20.0
"""How far from the scale of the data a zone's end is looked for, in log sigma: eight decades. Of
clusters far apart the median distance says little about the nearest one."""

MEAN_LOG_TERM = -0.5
"""``E log t_j`` of Eq. 9 in units of ``(d_ij / sigma)^2``: the exponent of Jensen's bound."""


def weight_lower(distances: ArrayLike, sigma: ArrayLike, ratios: ArrayLike = 0.0) -> Array:
    """Lower bound ``1 - mean_i min(1, sum_j Phi(-d_ij / (2 sigma)))`` on the posterior weight.

    ``distances`` (N, N - 1), from every training point to all others; ``sigma`` (K,); returns (K,).
    Falls with sigma; equality at N = 2. With ``ratios`` (N, N - 1) it may rise again, since the
    point with more copies is mistaken for another ever less. W itself falls for every prior, so the
    bound at any sigma holds at all below. Source: ours, by
    :func:`wildmiddle.theory.posterior.decoding_error`.
    """
    levels = np.atleast_1d(np.asarray(sigma, np.float64))
    errors = [copies.mean_by_prior(decoding_error(distances, s, ratios), ratios) for s in levels]
    return 1 - np.array(errors)


def posterior_entropy(distances: ArrayLike, sigma: ArrayLike, ratios: ArrayLike = 0.0) -> Array:
    """Lower bound on the mean entropy of the posterior weights, in nats.

    ``distances`` (N, N - 1) or any rows of it, ``sigma`` (K,); returns (K,). The entropy given the
    noised point is ``H = E log(1 + sum_j t_j)``, and log-sum-exp is convex, so by Jensen ``H >=
    mean_i log(1 + sum_j exp(E log t_j)) = mean_i log(1 + sum_j exp(-d_ij^2 / (2 sigma^2)))``.
    ``ratios`` (N, N - 1) add to the exponents. Rises with sigma, to the entropy of the prior, log N
    without one. Source: Kolchinsky and Tracey 2017, whose bound on the entropy of a mixture it is,
    in terms of the weights; for the danger zone ours.
    """
    distances = np.asarray(distances, np.float64)
    require_distance("distances", distances)
    levels = np.atleast_1d(np.asarray(sigma, np.float64))
    require_positive("sigma", levels)
    exponents = MEAN_LOG_TERM * np.square(distances)
    totals = (np.exp(exponents / s**2 + ratios).sum(1) for s in levels.tolist())
    return np.array([copies.mean_by_prior(np.log1p(each), ratios) for each in totals])


def weight_upper(distances: ArrayLike, sigma: ArrayLike, ratios: ArrayLike = 0.0) -> Array:
    """Upper bound on the posterior weight W from all pairwise distances.

    ``distances`` and ``ratios`` (N, N - 1), ``sigma`` (K,); returns (K,). Fano's inequality, ``H <=
    h(1 - W) + (1 - W) log(N - 1)``, with H from :func:`posterior_entropy`. Falls with sigma.
    Source: Fano 1961 with Kolchinsky and Tracey 2017; for the danger zone ours.
    """
    n = np.asarray(distances).shape[1] + 1
    return weight_of_entropy(posterior_entropy(distances, sigma, ratios), n)


def weight_of_entropy(entropy: ArrayLike, n: int) -> Array:
    """Largest posterior weight W that a mean ``entropy`` (K,) of N weights allows, (K,).

    Fano's inequality, solved for W; ``entropy`` in nats. It holds for every prior.
    """
    return np.array([1 - _least_error(h, n) for h in np.asarray(entropy, np.float64).tolist()])


def weight_of_spectrum(
    eigenvalues: ArrayLike, n: int, sigma: ArrayLike, effective: float | None = None
) -> Array:
    """Upper bound on the posterior weight W from the covariance of the N images alone.

    ``eigenvalues`` (L,) of S, ``sigma`` (K,); returns (K,). Fano's inequality with
    :func:`wildmiddle.theory.spectrum.entropy_lower`. ``effective`` is the effective number of the N
    images where they have copies (:func:`wildmiddle.theory.copies.effective_number`). Falls with
    sigma. Source: ours.
    """
    entropy = spectrum.entropy_lower(eigenvalues, n if effective is None else effective, sigma)
    return weight_of_entropy(entropy, n)


def _least_error(entropy: float, n: int) -> float:
    # The smallest error probability p with h(p) + p log(N - 1) >= H; the left side rises to log N.
    def surplus(p: float) -> float:
        return float(entr(p) + entr(1 - p) + p * np.log(n - 1)) - entropy

    most = 1 - 1 / n
    if surplus(most) <= 0:
        return most
    return float(brentq(surplus, 0.0, most, xtol=1e-15)) if entropy > 0 else 0.0


def copying_lower(distances: ArrayLike, sigma: ArrayLike, ratios: ArrayLike = 0.0) -> Array:
    """Lower bound on how often the empirical optimal denoiser copies a noised training point.

    ``distances`` (N, N - 1), ``sigma`` (K,); returns (K,). The output m lies within ``(1 - w_i)
    d_max`` of x_i, so at ``w_i > w = 1 - d_min / (4 d_max)`` it is nearer than ``d_min / 4`` to x_i
    and farther than ``3 d_min / 4`` from all others: a copy by ``d_(1) < d_(2) / 3``. Hence it is
    at least ``mean_i (1 - P(w_i < w))``, by :func:`wildmiddle.theory.posterior.below_probability`;
    a duplicate adds 0, and so does a copy so near that w rounds to 1. Falls with sigma, as long as
    no ``ratios`` (N, N - 1) are given. Source: ours, for Section 3's per-noise-level memorization.
    """
    distances = np.asarray(distances, np.float64)
    require_distance("distances", distances)
    levels = np.atleast_1d(np.asarray(sigma, np.float64))
    require_positive("sigma", levels)
    with np.errstate(invalid="ignore"):  # 0 / 0 where all are equal
        w = 1 - distances.min(1) / (4 * distances.max(1))
    told = w < 1
    single, copied = distances[told], np.zeros((len(distances), len(levels)))
    between = ratios if not np.ndim(ratios) else np.asarray(ratios)[told]
    for k, level in enumerate(levels.tolist()):
        copied[told, k] = 1 - below_probability(single, level, w[told], between)
    return copies.mean_by_prior(copied, ratios)


def concentration_threshold(
    d_min: ArrayLike, share: ArrayLike, level: ArrayLike, n: ArrayLike
) -> Array:
    """Noise level up to which W >= ``level``, from one quantile of the nearest distances.

    At least a ``share`` of the training points have all others at ``d_min`` or more. Then
    ``W >= share (1 - (N - 1) Phi(-d_min / (2 sigma)))``, which is solved for sigma. Broadcasts.
    Raises ValueError unless 0 < level < share <= 1 and N >= 2. Source: ours.
    """
    d_min, share = np.asarray(d_min, np.float64), np.asarray(share, np.float64)
    level, n = np.asarray(level, np.float64), np.asarray(n, np.float64)
    require((level > 0) & (level < share), "level", level, "must lie between 0 and the share")
    require(share <= 1, "share", share, "must not be above 1")
    require(n >= 2, "n", n, "must be at least 2 training points")
    quantile = -ndtri((1 - level / share) / (n - 1))
    with np.errstate(divide="ignore"):
        return np.where(quantile > 0, d_min / (2 * np.maximum(quantile, 0)), np.inf)


def coverage_threshold(
    nearest: float, share: float, level: float, d: int, c: float = SHELL_WIDTH
) -> float:
    """Noise level from which on the coverage is >= ``level``, from one quantile of distances.

    At least a ``share`` of the held-out points have a training point within ``nearest``, and the
    overlap probability rises with sigma, so it is at least ``level / share`` for all of them from
    its crossing on. Raises ValueError unless 0 < level / share < P(Z in shell). Source: ours.
    """
    needed = level / share
    top = float(shell_probability(d, c))
    require(0 < needed < top, "level / share", needed, f"must lie between 0 and {top:.6g}")

    def surplus(ratio: float) -> float:
        return float(overlap_probability(ratio, 1.0, d, c)) - needed

    far = float(radii(d, c)[1])
    while surplus(far) > 0:
        far *= 2
    return nearest / float(brentq(surplus, 0.0, far, xtol=1e-12))


class Zone(NamedTuple):
    """Ends of a danger zone in sigma; empty where ``start >= end``."""

    start: float
    end: float

    @property
    def empty(self) -> bool:
        """Whether no noise level belongs to it."""
        return not self.start < self.end


class SpectralEnd(NamedTuple):
    """Where the zone of N images with one covariance ends, by their spectrum."""

    n: int
    """How many different ones."""
    collapse: float
    """:func:`wildmiddle.theory.spectrum.collapse_scale`: an estimate."""
    latest: float
    """From here on the weight is below its level, by :func:`weight_of_spectrum`: a bound."""


class DrawnRows(NamedTuple):
    """What the zone of a large set rests on, in the place of all pairs of images."""

    train: int
    """Training images that were drawn; their distances go to all others."""
    held_out: int
    """Images held out that were looked at: the zone is theirs."""
    certain_end: Zone
    """Between these the certain zone of all pairs ends; of the zone the first counts."""
    possible_end: Zone
    """The same of the possible zone, by Fano's inequality; of the zone the second counts."""


NOWHERE, ANYWHERE = Zone(np.inf, 0.0), Zone(0.0, np.inf)


@dataclass(frozen=True)
class PredictedZone:
    """What distances alone say of the danger zone: part of it for certain, nothing outside of."""

    certain: Zone
    """Both lower bounds are above their levels here: all of it is danger zone."""
    possible: Zone
    """Outside of this an upper bound is below its level: none of that is danger zone."""
    certain_of_population: Zone = NOWHERE
    """The same of all images that the held-out ones are drawn from, as Definition 4.6 has it."""
    possible_of_population: Zone = ANYWHERE
    alpha: float = ZONE_ALPHA
    """Probability, over the held-out images, that one of the population's two zones is wrong; over
    the training images that were drawn as well, that any zone is."""
    each_held_out: bool = False
    """Whether every training image was held out once, in the place of held-out images: the zone is
    that of these images, and nothing is said of a population."""
    drawn: DrawnRows | None = None
    """What was drawn; None where all pairs were taken."""
    n: int = 0
    """Number of training images, those that are copies of others counted once."""
    half_copied: float = 0.0
    """At every noise level up to here at least half of the empirical optimum's outputs on the
    held-out images are copies; the zone by copying is certain from its start to here."""
    speciation: float = 0.0
    """:func:`wildmiddle.theory.spectrum.speciation_scale`: an estimate."""
    by_size: tuple[SpectralEnd, ...] = ()
    """The end for ``SIZES`` times as many images of the same covariance."""
    eigenvalues: Array = field(default_factory=lambda: np.zeros(1), compare=False, repr=False)
    """Of the covariance of the training images, the largest first."""

    @property
    def certain_to_copy(self) -> Zone:
        """Coverage is high here, and half of the empirical optimum's outputs are copies."""
        return Zone(self.certain.start, self.half_copied)

    @property
    def parts(self) -> dict[str, Zone]:
        """All zones by the names that they are shown under."""
        population = {
            "certain, population": self.certain_of_population,
            "possible, population": self.possible_of_population,
        }
        return {
            "certain": self.certain,
            "possible": self.possible,
            **({} if self.each_held_out else population),
            "certain to copy": self.certain_to_copy,
        }


SIZES = (0.25, 1, 4, 16)
"""Numbers of images, in those that are given, for which the zone's end is told."""


def danger_zone(
    train_distances: ArrayLike,
    test_distances: ArrayLike,
    d: int,
    *,
    prior: ArrayLike | None = None,
    c: float = SHELL_WIDTH,
    weight_high: float = Thresholds.weight_high,
    coverage_high: float = Thresholds.coverage_high,
    alpha: float = ZONE_ALPHA,
) -> PredictedZone:
    """Enclose the noise levels at which weight and coverage are both above their levels.

    ``train_distances`` (N, N - 1) from every training point to all others, ``test_distances``
    (M, N) from every held-out point to the training points; both in the units of sigma. ``prior``
    (N,) of the training points, by their copies. The bounds are those of this module and of Theorem
    4.8; of two bounds on one end the better one counts. ``alpha`` is the error rate of the
    population's zones. Raises ValueError for levels outside (0, 1). Source: ours.
    """
    train, test = np.asarray(train_distances, np.float64), np.asarray(test_distances, np.float64)
    require_levels(weight_high, coverage_high)
    ratios = 0.0 if prior is None else copies.log_ratios(prior)
    nearest, n = test.min(1), test.shape[1]
    typical = float(np.median(train)) + float(np.median(nearest)) or 1.0  # all points equal
    from_nearest = np.zeros_like(test)
    for row, a in zip(from_nearest, test.argmin(1).tolist(), strict=True):
        row[np.arange(n) != a] = train[a]
    return assemble(
        start=(
            crossing_of(lambda s: lower_bound(nearest, s, d, c) - coverage_high, typical),
            crossing_of(
                lambda s: upper_bound(mean_overlap(test, s, d, c), n) - coverage_high, typical
            ),
        ),
        end=(
            crossing_of(lambda s: weight_high - weight_lower(train, s, ratios), typical),
            crossing_of(lambda s: weight_high - weight_upper(train, s, ratios), typical),
        ),
        half_copied=crossing_of(
            lambda s: 0.5 - copying.copying_lower(test, from_nearest, s, prior), typical
        ),
        nearest=nearest,
        eigenvalues=spectrum.eigenvalues_of(train, prior),
        n=n,
        effective=n if prior is None else copies.effective_number(prior),
        d=d,
        scale=typical,
        c=c,
        weight_high=weight_high,
        coverage_high=coverage_high,
        alpha=alpha,
    )


def require_levels(weight_high: float, coverage_high: float) -> None:
    """Raise ValueError unless both levels lie strictly between 0 and 1."""
    for name, level in (("weight_high", weight_high), ("coverage_high", coverage_high)):
        require(0 < level < 1, name, level, "must lie strictly between 0 and 1")


def assemble(
    *,
    start: Sequence[float],
    end: Sequence[float],
    half_copied: float,
    nearest: Array | None,
    eigenvalues: Array,
    n: int,
    effective: float,
    d: int,
    scale: float,
    c: float,
    weight_high: float,
    coverage_high: float,
    alpha: float,
) -> PredictedZone:
    """The zone from the crossings of the bounds that need all pairs, and what needs none.

    ``start`` and ``end``: where the bounds cross, that of the certain zone first; ``nearest`` (M,)
    distances from held-out to training images, None where these were held out themselves and are no
    draws of a population; ``eigenvalues`` of the covariance; ``effective`` of
    the n images by :func:`wildmiddle.theory.copies.effective_number`; ``scale`` as for
    :func:`crossing_of`, all in the units of sigma.
    """

    def spectral_end(size: int) -> SpectralEnd:
        # More or fewer images are taken to lose as much of log N to their copies.
        like = size * effective / n
        if like <= 1:  # one image is told at every noise level
            return SpectralEnd(size, np.inf, np.inf)
        collapse = spectrum.collapse_scale(eigenvalues, like)
        latest = latest_end(eigenvalues, size, weight_high, scale, like)
        return SpectralEnd(size, collapse, _or_never(latest, scale))

    ends = tuple(map(spectral_end, sorted({max(2, round(factor * n)) for factor in SIZES})))
    (latest,) = [each.latest for each in ends if each.n == n]
    certain_end, possible_end = (_or_never(each, scale) for each in end)
    possible = Zone(start[1], min(possible_end, latest))
    zone = PredictedZone(
        certain=Zone(start[0], certain_end),
        possible=possible,
        each_held_out=nearest is None,
        alpha=alpha,
        n=n,
        half_copied=_beyond(half_copied, scale),
        speciation=spectrum.speciation_scale(eigenvalues),
        by_size=ends,
        eigenvalues=eigenvalues,
    )
    if nearest is None:
        return zone
    # Each of the population's two limits has half of the error rate.
    sure = crossing_of(
        lambda s: population.coverage_lower(nearest, s, d, alpha / 2, c) - coverage_high, scale
    )
    open_from = crossing_of(
        lambda s: population.coverage_upper(nearest, s, n, d, alpha / 2, c) - coverage_high, scale
    )
    return replace(
        zone,
        certain_of_population=Zone(_beyond(sure, scale), certain_end),
        possible_of_population=Zone(_beyond(open_from, scale), possible.end),
    )


def _beyond(sigma: float, scale: float) -> float:
    # 0 or infinity for a crossing that is not on the decades that crossing_of looks at.
    with np.errstate(divide="ignore"):
        place = np.log(sigma / scale) / REACH
    return sigma if abs(place) < 1 - 1e-6 else (np.inf if place > 0 else 0.0)


def _or_never(end: float, scale: float) -> float:
    # Infinite where an image has so many copies that its weight is high at every noise level.
    return max(end, _beyond(end, scale))


def latest_end(
    eigenvalues: ArrayLike,
    n: int,
    level: float,
    scale: float = 1.0,
    effective: float | None = None,
) -> float:
    """The sigma from which on :func:`weight_of_spectrum` of N images is below the ``level``.

    ``scale`` as for :func:`crossing_of`, ``effective`` as for :func:`weight_of_spectrum`. Source:
    ours.
    """
    return crossing_of(lambda s: level - weight_of_spectrum(eigenvalues, n, s, effective), scale)


def crossing_of(rising: Callable[[Array], Array], scale: float) -> float:
    """The sigma at which a ``rising`` function of sigma (1,) passes zero, to six digits.

    It is sought in log sigma, eight decades to either side of the ``scale`` of the data; where the
    function has one sign on all of them, the nearer end is returned. Of several such sigmas, which
    :func:`weight_lower` has for some priors, it is one.
    """
    low, high = np.log(scale) - REACH, np.log(scale) + REACH

    def value(log_sigma: float) -> float:
        return float(rising(np.exp(np.array([log_sigma])))[0])

    if value(low) > 0:
        return float(np.exp(low))
    if value(high) <= 0:
        return float(np.exp(high))
    return float(np.exp(brentq(value, low, high, xtol=1e-7)))
