"""Audit of samples: how many are copies of training images, of which, and what explains it.

Beside the rate of copies stands what no copying at all would give: the share of held-out images
that pass the same test, and whether samples are nearer to the training images than held-out ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from wildmiddle.checks.audit.functions import (
    SCRIPTED,
    code_of,
    named_function,
    scripted_program,
)
from wildmiddle.empirical.data import Images
from wildmiddle.empirical.data.conventions import compare_units, extremes
from wildmiddle.empirical.data.dataset import digests, leaked_sentence
from wildmiddle.empirical.distinct import distinct
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.empirical.kernels.device import training_rows
from wildmiddle.empirical.neighbours import Memorization, memorization
from wildmiddle.empirical.three_samples import ThreeSamples, three_sample_test
from wildmiddle.models.extractors import inception
from wildmiddle.models.images import to_channels_first
from wildmiddle.models.quality import FrechetDistance, KernelDistance, distances_of_features
from wildmiddle.models.trajectory import rate_by_threshold
from wildmiddle.theory.constants import COPY_RATIO, DEFAULT_MEMORY

Features = Callable[[torch.Tensor], torch.Tensor]
"""From images (B, C, H, W), float32 in [0, 1], to features (B, F)."""

Sides = list[torch.Tensor]
"""Images or features (N, ...), and, where mirrored copies count, those of the mirrored images."""

THRESHOLDS = np.linspace(0.1, 0.9, 17)
"""Other thresholds, whose rates are told too."""
WEIGHTS = (".safetensors", ".pth")
"""Files of the weights of FID's Inception network."""
_BATCH = 256


@dataclass(frozen=True, eq=False)
class SpaceAudit:
    """The copying test in one space: of the pixels, or of features."""

    name: str
    samples: Memorization
    held_out: Memorization | None
    """The same test of held-out images: what no copying explains."""
    p_value: float | None
    """Of Fisher's exact one-sided test: do samples pass no more often than held-out images?"""
    nearer: ThreeSamples | None
    """The test of Meehan, Chaudhuri and Dasgupta 2020."""

    @property
    def copies(self) -> NDArray[np.bool_]:
        """Which samples are copies, (S,)."""
        return self.samples.ratio < COPY_RATIO

    def times_copied(self, count: int) -> NDArray[np.int64]:
        """How often each of ``count`` training images is copied, (count,)."""
        return np.bincount(self.samples.nearest[self.copies], minlength=count)


@dataclass(frozen=True, eq=False)
class SampleAudit:
    """What an audit of samples found."""

    samples: Images
    train: Images
    held_out: Images | None
    alpha: float
    """Error rate of every interval; those of all thresholds hold together."""
    pixels: SpaceAudit
    features: SpaceAudit | None
    quality: tuple[FrechetDistance, KernelDistance] | None
    """Distances of the features from those of held-out images, or else of training images."""
    doubts: tuple[str, ...]
    """Where sets look to be in different units, how many training images are copies, and how many
    held-out images are training images."""
    mirrored: bool
    """Whether mirrored copies count."""

    @property
    def spaces(self) -> tuple[SpaceAudit, ...]:
        """The pixels, and the features where there are some."""
        return (self.pixels,) if self.features is None else (self.pixels, self.features)

    def sweep(self, found: Memorization) -> Estimate:
        """Rates at all :data:`THRESHOLDS`, with intervals that hold together."""
        return rate_by_threshold(found.ratio, THRESHOLDS, self.alpha / len(THRESHOLDS))


def audit_samples(
    samples: Images,
    train: Images,
    held_out: Images | None = None,
    *,
    features: tuple[str, Features] | None = None,
    mirrored: bool = False,
    alpha: float = 0.05,
    seed: int = 0,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
    within: float = 0.0,
    gate: bool = False,
) -> SampleAudit:
    """Look for copies of training images among samples, in pixels and in features.

    The sets are those of :func:`wildmiddle.empirical.data.load_images`, in one range. ``features``
    is a function with its name; ``mirrored`` takes the mirror image of a training image for one as
    well; ``seed`` is that of the three-sample test's cells. Training images that are equal count as
    one; near copies were made equal up to the distance ``within``. Samples in units that look to be
    others are doubted, and refused where the audit is a ``gate``. Raises ValueError for images of
    different shapes, fewer than two training images that differ, held-out images that all are
    training images, and features that are not (B, F) and finite.
    """
    copies = distinct(training_rows(train.pixels, "cpu"))
    places = tuple(train.places[k] for k in copies.first)
    train = replace(train, pixels=train.pixels[copies.first], places=places)
    doubts: list[str | None] = list(copies.sentences(within))
    for each, name in ((samples, "samples"), (held_out, "held-out images")):
        if each is not None:
            _require_shape(each, name, train)
            doubt = compare_units(extremes(each.pixels), extremes(train.pixels), name)
            if gate and doubt is not None and each is samples:
                raise ValueError(f"--fail-above is for samples in the units of the images: {doubt}")
            doubts.append(doubt)
    if held_out is not None:
        doubts.append(leak_doubt(train, held_out))

    def look(name: str, drawn: Sides, points: Sides, others: Sides | None) -> SpaceAudit:
        def find(queries: Sides) -> Memorization:
            return memorization(
                queries[0],
                points[0],
                COPY_RATIO,
                alpha=alpha,
                device=device,
                memory=memory,
                units=False,
                # Mirror images are known of pixels, and given of features.
                mirrored=mirrored and (queries[0].ndim > 2 or queries[1]),
            )

        found = find(drawn)
        if others is None:
            return SpaceAudit(name, found, None, None, None)
        null = find(others)
        nearer = three_sample_test(
            drawn[0],
            torch.cat(points) if mirrored else points[0],
            others[0],
            alpha=alpha,
            seed=seed,
            device=device,
            memory=memory,
        )
        table = [
            [int((each.ratio < COPY_RATIO).sum()), int((each.ratio >= COPY_RATIO).sum())]
            for each in (found, null)
        ]
        p_value = float(fisher_exact(table, alternative="greater").pvalue)
        return SpaceAudit(name, found, null, p_value, nearer)

    drawn, points = (_sides(each, mirrored) for each in (samples, train))
    others = None if held_out is None else _sides(held_out, mirrored)
    in_features, quality = None, None
    if features is not None:
        low, high = train.value_range
        name, function = features

        def map_to_features(sides: Sides) -> Sides:
            return [_features_of((each - low) / (high - low), function, name) for each in sides]

        rows, train_rows = map_to_features(drawn), map_to_features(points)
        other_rows = None if others is None else map_to_features(others)
        in_features = look(name, rows, train_rows, other_rows)
        quality = distances_of_features(
            rows[0],
            (train_rows if other_rows is None else other_rows)[0],
            name=name,
            reference_name="training images" if other_rows is None else "held-out images",
        )
    return SampleAudit(
        samples=samples,
        train=train,
        held_out=held_out,
        alpha=alpha,
        pixels=look("pixels", drawn, points, others),
        features=in_features,
        quality=quality,
        doubts=tuple(doubt for doubt in doubts if doubt is not None),
        mirrored=mirrored,
    )


def leak_doubt(train: Images, held_out: Images) -> str | None:
    """How many held-out images are training images; None where none is.

    Raises ValueError where all are: they tell nothing of new images.
    """
    known = set(digests(to_channels_first(train.pixels).numpy()))
    total = len(held_out.pixels)
    leaked = sum(each in known for each in digests(to_channels_first(held_out.pixels).numpy()))
    if leaked == total:
        raise ValueError(
            f"all {total} held-out images, {held_out.title}, are training images as well; give "
            "images with --test that the model was not trained on"
        )
    said = f"{leaked_sentence(leaked, total)}; they pass for copies, as hardly any new image does"
    return said if leaked else None


def read_features(text: str) -> tuple[str, Features]:
    """What a text names, beside what it is called in the report.

    A function, ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION``; a program of TorchScript, called with
    the images; or FID's Inception network by its weights, as
    :func:`wildmiddle.models.extractors.inception` reads them. Raises ValueError, in one line, for
    what is none of these.
    """
    path = Path(text)
    if path.suffix in SCRIPTED:
        return path.name, scripted_program(path, torch.device("cpu"))
    if path.suffix in WEIGHTS:
        found = inception(path, value_range=(0, 1))
        return found.name, found.network
    return text, named_function(text, "--features")


def _sides(images: Images, mirrored: bool) -> Sides:
    pixels = to_channels_first(images.pixels)
    return [pixels, pixels.flip(-1)] if mirrored else [pixels]


def _require_shape(images: Images, name: str, train: Images) -> None:
    shape, wanted = (tuple(to_channels_first(s.pixels[:1]).shape[1:]) for s in (images, train))
    if shape != wanted:
        raise ValueError(
            f"the {name}, {images.title}, have shape {shape}, the training images {wanted}; bring "
            "all to one with --size S, and --grayscale where some are in colour"
        )


def _features_of(images: torch.Tensor, function: Features, name: str) -> torch.Tensor:
    rows = []
    with torch.no_grad():
        for batch in images.float().split(_BATCH):
            with code_of(f"--features {name}", f"it is called with images {tuple(batch.shape)}"):
                found = function(batch)
            if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(batch):
                given = tuple(found.shape) if isinstance(found, torch.Tensor) else repr(type(found))
                raise ValueError(
                    f"--features {name}: gave {given} for images {tuple(batch.shape)}; it must "
                    "give a tensor (B, F), a row of features for each image"
                )
            rows.append(found.detach().cpu().double())
    features = torch.cat(rows)
    if not torch.isfinite(features).all():
        raise ValueError(f"--features {name}: gave features that are NaN or infinite")
    return features
