"""What one run of the checks is about: two sets of images and the settings, and what follows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.checks.settings import Settings
from wildmiddle.empirical import Curves, curves
from wildmiddle.empirical.copies import NearCopies, merge_copies, near_copies
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.data.conventions import require_resolution, require_same_shape
from wildmiddle.empirical.distinct import Distinct, distinct
from wildmiddle.empirical.intervals import bounded_mean, proportion
from wildmiddle.empirical.kernels.device import resolve_device
from wildmiddle.empirical.kernels.processes import map_rows
from wildmiddle.empirical.neighbours import distances_to_others, extreme_distances
from wildmiddle.empirical.noise import BLOCK, indices
from wildmiddle.empirical.regimes import Crossing, Regime, crossing, read_regimes, regime_between
from wildmiddle.models import EmpiricalDenoiser
from wildmiddle.models.one_step import memorization_by_level
from wildmiddle.theory.copies import effective_number, log_ratios
from wildmiddle.theory.regimes import PredictedZone
from wildmiddle.theory.schedules import SCHEDULE_RANGE, edm_sigmas
from wildmiddle.theory.shells import radii

Array = NDArray[np.float64]

COVERAGE_STEPS = 40
"""Steps of the EDM schedule for the two curves, as in the paper's coverage study (E.2)."""

SPANS = (1e-6, 1e6)
"""Largest less smallest pixel, at least and at most: the noise levels of the schedule say nothing
of other images, and distances on so many scales leave float64 too few digits."""
COPYING_QUERIES, FEWER_QUERIES = 1024, 256
"""Outputs of the empirical optimum that are searched for copies at each noise level; of large sets
fewer."""

ALL_PAIRS, DRAWN = 4096, 1024
"""Training images up to which all pairs are taken, and how many of more are drawn at random, whose
distances to all others are."""
ZONE_SHARE, ZONE_OCTAVES = 1e-3, 0.25
"""Where the zone rests on images that were drawn: that they mislead, of the error rate of a run,
and to what its ends are known. They are compared to within an octave."""

CURVE_ALPHA = 0.05
"""Error rate of each curve as drawn, of the regimes read off it and of the population's zones; no
verdict rests on it."""


@dataclass(frozen=True, eq=False)
class Study:
    """Training images (N, ...) and held-out images (M, ...) in the units of sigma, and settings.

    Training images that are equal, or within the settings' ``copies_within`` of one another, count
    as one: ``images`` has the first of them in the place of each. What is measured is measured when
    it is first asked for, and kept: the same study always gives the same records. Raises ValueError
    for constants that the data do not allow, for training images that are all equal, and for pixels
    whose span is out of proportion to the noise levels.
    """

    images: Array
    held_out: Array
    settings: Settings = field(default_factory=Settings)
    value_range: tuple[float, float] = SCHEDULE_RANGE
    """Of the pixels before centring: what steps and timesteps of the usual schedules refer to."""

    def __post_init__(self) -> None:
        for name in ("images", "held_out"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        require_same_shape(self.held_out.shape[1:], self.images.shape[1:], "held_out", "images")
        require_resolution(self.images)
        device = str(resolve_device(self.settings.device))
        object.__setattr__(self, "settings", replace(self.settings, device=device))
        within, memory = self.settings.copies_within, self.settings.memory
        merged = merge_copies(self.images, within, device=device, memory=memory)
        object.__setattr__(self, "images", merged)
        _ = self.distinct  # two images must differ
        if not 1 / self.n < self.settings.w:
            raise ValueError(
                f"w = {self.settings.w} must lie strictly between 1/N = {1 / self.n:.3g} and 1"
            )
        radii(np.float64(self.d), self.settings.c)
        lowest = min(self.images.min(), self.held_out.min())
        span = float(max(self.images.max(), self.held_out.max()) / 2 - lowest / 2) * 2
        if span and not SPANS[0] <= span <= SPANS[1]:
            raise ValueError(
                f"the pixels span {span:.3g}, and the noise levels run from 0.002 to 80; "
                f"scale the images to a span between {SPANS[0]:g} and {SPANS[1]:g}, as to [-1, 1]"
            )

    @property
    def listed(self) -> Array:
        """Training images as rows, copies and all, (N, d)."""
        return self.images.reshape(len(self.images), -1)

    @cached_property
    def distinct(self) -> Distinct:
        """Which of the training images differ."""
        return distinct(torch.as_tensor(self.listed))

    @cached_property
    def train(self) -> Array:
        """The training images that differ, as rows, (G, d)."""
        every = len(self.distinct.first) == len(self.images)
        return self.listed if every else self.listed[self.distinct.first]

    @property
    def prior(self) -> Array | None:
        """Probability of each of them by its copies, (G,); None where all have one."""
        return self.distinct.prior

    @property
    def effective(self) -> float:
        """:func:`~wildmiddle.theory.copies.effective_number` of them: G where all have one."""
        return self.n if self.prior is None else effective_number(self.prior)

    @property
    def test(self) -> Array:
        """Held-out images as rows, (M, d)."""
        return self.held_out.reshape(len(self.held_out), -1)

    @property
    def n(self) -> int:
        """Number of training images that differ: G, the N of the claims."""
        return len(self.distinct.first)

    @property
    def d(self) -> int:
        """Dimension d of an image."""
        return self.images[0].size

    @cached_property
    def curves(self) -> Curves:
        """Posterior weight and coverage over the schedule; no model has a part in them."""
        at = self.settings
        return curves(
            self.listed,
            self.test,
            edm_sigmas(COVERAGE_STEPS),
            c=at.c,
            weight_queries=max(at.samples // 5, 1000),
            coverage_queries=at.samples,
            seed=at.seed,
            device=at.device,
            alpha=CURVE_ALPHA,
            memory=at.memory,
        )

    @cached_property
    def regimes(self) -> tuple[Regime, ...]:
        """Small, medium, danger and large, read off the curves."""
        return read_regimes(self.curves, self.settings, self.value_range)

    @property
    def all_pairs(self) -> bool:
        """Whether what the training images have in pairs is taken of all pairs."""
        return self.n <= ALL_PAIRS

    @cached_property
    def examined(self) -> NDArray[np.int64]:
        """Numbers of the training images whose distances to all others are taken: all, or some."""
        if self.all_pairs:
            return np.arange(self.n)
        return np.unique(self._drawn)

    @cached_property
    def _drawn(self) -> NDArray[np.int64]:
        # Independent draws of a listed image: which of the different ones each is.
        listed = indices(self.settings.seed, "study/training images", DRAWN, len(self.listed))
        return self.distinct.group[listed]

    @cached_property
    def zone(self) -> PredictedZone:
        """The danger zone by the distances alone."""
        at = self.settings
        return zone_of(
            self.listed,
            self.test,
            c=at.c,
            weight_high=at.weight_high,
            coverage_high=at.coverage_high,
            alpha=CURVE_ALPHA,
            drawn_alpha=ZONE_SHARE * at.alpha,
            resolution=ZONE_OCTAVES,
            time=np.inf,  # or else what is drawn would depend on the machine
            seed=at.seed,
            device=at.device,
            memory=at.memory,
        )

    @cached_property
    def near_copies(self) -> NearCopies:
        """Near copies among the training images, and of them among the held-out ones."""
        return near_copies(
            self.listed, self.test, device=self.settings.device, memory=self.settings.memory
        )

    @cached_property
    def half_copied(self) -> Crossing:
        """Where half of the empirical optimum's one-step outputs on held-out images are copies.

        Counted at the levels of the curves from where distances force half of them, or from
        half of the zone's possible start, to the zone's possible end.
        """
        at, zone, levels = self.settings, self.zone, self.curves.sigmas
        low = zone.half_copied or zone.possible.start / 2
        within = np.flatnonzero((levels >= low) & (levels <= zone.possible.end))
        sigmas = np.sort(levels[within])
        if not len(sigmas):
            return Crossing(np.inf, np.nan, np.nan)
        queries = COPYING_QUERIES if self.all_pairs else FEWER_QUERIES
        counts = memorization_by_level(
            EmpiricalDenoiser(self.listed, at.device),
            self.test,
            self.train,
            sigmas,
            queries,
            at.seed,
            stream="study/half copied",
            device=at.device,
        )
        shares = proportion(counts, queries, CURVE_ALPHA / len(sigmas))
        return crossing(sigmas, shares, 0.5, rising=False)

    @property
    def danger_by_copying(self) -> Regime:
        """The danger zone where copies of half of the outputs, not the weight, decide its end."""
        (danger,) = (regime for regime in self.regimes if regime.name == "danger")
        return regime_between(
            "danger, by copying", danger.start, self.half_copied, self.value_range
        )

    @property
    def eigenvalues(self) -> Array:
        """Eigenvalues of the covariance of the training images, the largest first."""
        return self.zone.eigenvalues

    def mean_over_images(
        self,
        bound: Callable[[Array, ArrayLike], Array],
        *,
        top: float | Array = 1.0,
        alpha: float = CURVE_ALPHA,
    ) -> Array:
        """``bound`` of all training images, for a mean over the images, some of them at a time.

        ``bound`` takes the distances (R, G - 1) from R images to all others and their
        :func:`~wildmiddle.theory.copies.log_ratios`, 0 where all have one prior. Where not all
        pairs are taken, the result is a lower confidence limit: of each image the bound lies in [0,
        ``top``], and ``alpha`` is the error rate of all values together.
        """
        at, prior = self.settings, self.prior
        if not self.all_pairs:

            def shares(numbers: NDArray[np.int64]) -> Array:
                def value(k: int, row: Array) -> Array:
                    ratios = 0.0 if prior is None else log_ratios(prior, slice(k, k + 1))
                    return np.clip(bound(row[None], ratios) / top, 0, 1)

                values: list[Array] = []
                with ThreadPoolExecutor(torch.get_num_threads()) as pool:
                    for part in distances_to_others(self.train, at.device, at.memory, numbers):
                        values += pool.map(value, numbers[len(values) :].tolist(), part)
                return np.array(values)

            values = map_rows(shares, np.split(self._drawn, DRAWN // BLOCK))
            return np.asarray(bounded_mean(values, alpha / values[0].size).low * top)
        counts = self.distinct.counts
        total, start = np.zeros(()), 0
        for part in distances_to_others(self.train, at.device, at.memory):
            rows = slice(start, start + len(part))
            ratios = 0.0 if prior is None else log_ratios(prior, rows)
            total = total + counts[rows].sum() * bound(part, ratios)
            start = rows.stop
        return np.asarray(total / counts.sum())

    @cached_property
    def _extremes(self) -> Array:
        at = self.settings
        return extreme_distances(self.train, at.device, at.memory, self.examined)

    @property
    def nearest(self) -> Array:
        """``d_min`` of the examined training images, to the nearest that differs, (R,)."""
        return self._extremes[:, 0]

    @property
    def farthest(self) -> Array:
        """``d_max`` of the examined training images, (R,)."""
        return self._extremes[:, 1]

    def extremes_of(self, number: int) -> tuple[float, float]:
        """``d_min`` and ``d_max`` of one of the examined training images."""
        d_min, d_max = self._extremes[np.searchsorted(self.examined, number)].tolist()
        return d_min, d_max

    @cached_property
    def diameter(self) -> float:
        """Largest distance between two training images; where not all pairs are taken, no less."""
        if self.all_pairs:
            return float(self.farthest.max())
        mean = self.train.mean(0)
        return 2 * max(float(np.linalg.norm(image - mean)) for image in self.train)
