"""Audit of a model: at which noise levels it copies, and which of them decide.

Its samples are audited as any samples are. Beside them stand its one-step outputs, level by level,
on noised held-out images and on the samples under way, with the danger zone that the distances
between the images give; and, given a second model that does not copy, the samples with one part of
the schedule exchanged.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wildmiddle.checks.audit.functions import (
    SCRIPTED,
    checked_denoiser,
    exported_program,
    named_denoiser,
    scripted_program,
)
from wildmiddle.checks.audit.samples import leak_doubt
from wildmiddle.checks.experiments.figure2 import LARGE_PORTION
from wildmiddle.checks.experiments.samples import mcnemar
from wildmiddle.checks.experiments.table1 import parts_of_zone, swap
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.data import Images
from wildmiddle.empirical.data.conventions import DEFAULT_RANGE, compare_units, extremes
from wildmiddle.empirical.data.pickles import names_in_pickle
from wildmiddle.empirical.intervals import Estimate, proportion, share_above
from wildmiddle.empirical.kernels.device import resolve_device
from wildmiddle.empirical.neighbours import memorization
from wildmiddle.empirical.noise import generator
from wildmiddle.models import checkpoints
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.models.diffusers_folders import PIXEL_RANGE, is_diffusers_folder, load_diffusers
from wildmiddle.models.images import to_channels_first
from wildmiddle.models.one_step import memorization_by_level, nested_copies
from wildmiddle.models.sampling import sample
from wildmiddle.theory.constants import COPY_RATIO
from wildmiddle.theory.regimes import PredictedZone
from wildmiddle.theory.schedules import edm_sigmas

_log = logging.getLogger(__name__)

Array = NDArray[np.float64]

STEPS = 18
"""Of EDM's schedule, for samples (by Euler's method, as in the paper) and for noise levels."""
POINTS, NOISES = 50, 20
"""Held-out images and noises of each, for the nested rate."""
EXPORTED, PICKLED = ".pt2", (".pkl", ".pickle")
_ROUNDING = 1e-3
"""Relative difference of standard deviations that rounding to bytes may make: digits, with their 17
levels, come to less than half of it."""
_NAMED = 5
"""Names in a refused pickle that are told, but for those that any network's has."""
_HARMLESS = ("_codecs", "collections", "numpy", "torch")


@dataclass(frozen=True)
class Model:
    """A denoiser, with what its folder says of its training."""

    name: str
    denoiser: Denoiser
    value_range: tuple[float, float] | None = None
    """Range of the pixels that it works on; None where nothing says it."""
    mirrored: bool = False
    """Whether its training is known to have mirrored images."""
    trained_on: tuple[int, float] | None = None
    """Number and standard deviation of the images that it was trained on; None where nothing says
    them."""


@dataclass(frozen=True)
class Exchange:
    """The samples where a reference model takes over one part of the schedule."""

    part: str
    low: float
    high: float
    copies: Estimate
    lost: int
    gained: int
    p_value: float
    """McNemar's exact test against the model alone, sample by sample."""


@dataclass(frozen=True, eq=False)
class ModelAudit:
    """What a model does at each noise level."""

    name: str
    samples: NDArray[np.float32]
    """(S, C, H, W)."""
    sigmas: Array
    """Noise levels, falling, (K,)."""
    outputs: Estimate
    """Share of one-step outputs on noised held-out images that are copies, (K,)."""
    images: Estimate
    """Share of held-out images nine tenths of whose outputs are copies (Section 3), (K,)."""
    under_way: Estimate
    """Share of samples whose one-step output at this level of their own trajectory is a copy, (K,);
    at the last level it is the sample."""
    settled: float
    """Noise level from which on the outputs of half of the copied samples are copies; NaN where
    no sample is one."""
    zone: PredictedZone
    exchanges: tuple[Exchange, ...]


def is_model(text: str) -> bool:
    """Whether a text names a model, by its kind, and not images."""
    path = Path(text)
    if path.is_dir():
        return is_diffusers_folder(path) or any(path.glob(f"step-*/{checkpoints.JSON}"))
    if path.exists():
        return path.suffix in (EXPORTED, *SCRIPTED, *PICKLED)
    return ":" in text and not path.parent.joinpath(path.name.partition(":")[0]).is_dir()


def load_model(
    text: str, label: int | None = None, device: str = "auto", *, trusted: bool = False
) -> Model:
    """A model from a run's folder, a diffusers folder, an exported program or a function.

    Exported (``.pt2``) and scripted (``.ts``) programs are called as ``program(x, sigma)``, x (B,
    C, H, W) and sigma (B,); a function ``MODULE:FUNCTION`` is called once and returns
    ``denoiser(x, sigma)``. An exported program can run anything as it is loaded, which has to be
    ``trusted``. ``label`` is the class, of a network with classes. Raises ValueError, in one line,
    for what cannot be read, for pickles, and for runs on images less their mean; and the denoiser
    of a program or function does for answers that are no images.
    """
    path, where = Path(text), resolve_device(device)
    if path.is_dir() and is_diffusers_folder(path):
        return Model(text, load_diffusers(path, label).to(where), PIXEL_RANGE)
    if path.is_dir():
        run = checkpoints.read(path)
        data = run.data or {}
        if data.get("centred"):
            raise ValueError(
                f"{text} was trained on images less their mean, which its folder does not hold; "
                "give MODULE:FUNCTION, a function that returns denoiser(x - mean, sigma) + mean"
            )
        low_high = data.get("value_range")
        return Model(
            text,
            checkpoints.load(path, label=label, device=device),
            None if low_high is None else (float(low_high[0]), float(low_high[1])),
            run.training.flips,
            (count, run.sigma_data) if isinstance(count := run.images.get("count"), int) else None,
        )
    if not path.exists():
        return Model(text, named_denoiser(text))
    if path.suffix in PICKLED:
        names = [n for n in names_in_pickle(path) if n.split(".")[0] not in _HARMLESS]
        asks = f"; this one asks for {', '.join(names[:_NAMED])}" if names else ""
        raise ValueError(
            f"{path}: a pickle is refused, since opening it can run code{asks}. Save images as "
            ".npz; of a network, as EDM of NVlabs saves it with its source code, give a "
            "MODULE:FUNCTION that loads it"
        )
    if path.suffix == EXPORTED and not trusted:
        raise ValueError(
            f"{path}: torch.export.load unpickles what is in the file, which can run code; give "
            "--trust-program where you trust it, or save the program as TorchScript (.ts)"
        )
    program = (exported_program if path.suffix == EXPORTED else scripted_program)(path, where)

    def call(x: torch.Tensor, sigma: torch.Tensor | float) -> Any:
        levels = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1).expand(len(x))
        return program(x, levels)

    return Model(text, checked_denoiser(call, f"the model {text}"))


def common_range(
    models: Sequence[Model], given: tuple[float, float] | None
) -> tuple[float, float] | None:
    """The range of pixels that all models work in, or the one ``given`` where nothing says theirs.

    None for the usual one, unless it is given: images that look to be in another one are doubted
    then. Raises ValueError where two of them differ.
    """
    known = {model.name: model.value_range for model in models if model.value_range is not None}
    for name, (low, high) in known.items():
        if given not in (None, (low, high)):
            raise ValueError(
                f"--range {given[0]:g},{given[1]:g}, but the model {name} works in [{low:g}, "
                f"{high:g}]; leave --range out, and bring images of floats to that range"
            )
    if len(set(known.values())) > 1:
        ranges = " and ".join(f"{name} in [{a:g}, {b:g}]" for name, (a, b) in known.items())
        raise ValueError(f"the models work in different ranges, {ranges}; give two of one range")
    return given or next((each for each in known.values() if each != DEFAULT_RANGE), None)


def training_doubt(model: Model, train: Images) -> str | None:
    """Where a model was trained on other images than these, as far as its folder says; or None."""
    if model.trained_on is None:
        return None
    count, deviation = model.trained_on
    here = float(train.pixels.std())
    if count == len(train.pixels) and math.isclose(here, deviation, rel_tol=_ROUNDING):
        return None
    return (
        f"{model.name} was trained on {count} images of standard deviation {deviation:.4g}, and "
        f"{train.title} has {len(train.pixels)} of {here:.4g}: copies of images that are not among "
        "these pass unseen; give the images that it was trained on with --train"
    )


def draw_samples(
    denoiser: Denoiser, train: Images, count: int, *, seed: int, device: str, progress: bool
) -> torch.Tensor:
    """The first samples of a denoiser, in the shape of the training images, (count, C, H, W)."""
    shape = tuple(to_channels_first(train.pixels[:1]).shape[1:])
    return sample(
        denoiser,
        shape,
        range(count),
        sigmas=edm_sigmas(STEPS),
        method="euler",
        seed=seed,
        device=device,
        progress=progress,
    )


def watch_samples(
    denoiser: Denoiser,
    train: Images,
    count: int,
    *,
    mirrored: bool = False,
    seed: int,
    device: str,
    progress: bool,
) -> tuple[torch.Tensor, NDArray[np.bool_]]:
    """As :func:`draw_samples`, and whether the output of each step is a copy, (count, STEPS)."""
    few, copied = to_channels_first(train.pixels).float(), []

    def watched(x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        output = denoiser(x, sigma)
        found = memorization(output, few, device=device, units=False, mirrored=mirrored)
        copied.append(found.ratio < COPY_RATIO)
        return output

    samples = draw_samples(watched, train, count, seed=seed, device=device, progress=progress)
    # Euler's method calls once a step, for one batch after the other, the last one filled up.
    batches = np.array(copied).reshape(-1, STEPS, len(copied[0]))
    return samples, batches.swapaxes(1, 2).reshape(-1, STEPS)[:count]


def audit_model(
    name: str,
    denoiser: Denoiser,
    train: Images,
    held_out: Images,
    *,
    reference: Denoiser | None = None,
    count: int = 256,
    outputs: int = 500,
    mirrored: bool = False,
    alpha: float = 0.05,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> ModelAudit:
    """Where a denoiser copies: one-step outputs by noise level, and exchanges with a ``reference``.

    ``count`` samples are drawn; an exchanged one starts from the same noise. ``mirrored`` counts
    mirrored copies too. The intervals of one share hold at all levels together, and so do those of
    all exchanges. Raises ValueError where samples look to be in other units than the training
    images, where all held-out images are training images, and where the middle that a reference
    takes over holds no noise level.
    """
    leak_doubt(train, held_out)
    where = resolve_device(device)
    few = to_channels_first(train.pixels).float()
    fresh = to_channels_first(held_out.pixels).float().to(where)
    sigmas = edm_sigmas(STEPS)
    drawing: dict[str, Any] = {"seed": seed, "device": device, "progress": progress}
    counting: dict[str, Any] = {"device": device, "mirrored": mirrored}
    zone = zone_of(train.pixels, held_out.pixels, device=device)
    parts = {} if reference is None else _parts(zone, sigmas)
    samples, under_way = watch_samples(denoiser, train, count, mirrored=mirrored, **drawing)
    _require_units(samples, train, f"the set of samples of {name}")
    _log.info("%s: %d samples, %d of them copies", name, count, under_way[:, -1].sum())
    counts = memorization_by_level(denoiser, fresh, few, sigmas, outputs, seed, **counting)
    # The interval is for images drawn at random; a source may list them by class.
    chosen = generator(seed, "audit/held-out images").permutation(len(fresh))[:POINTS]
    nested = nested_copies(denoiser, fresh[chosen], few, sigmas, NOISES, seed, **counting)
    _log.info("one-step outputs at %d noise levels on held-out images", len(sigmas))
    exchanges = []
    if reference is not None:
        for part, (low, high) in parts.items():
            mixed = draw_samples(swap(denoiser, reference, low, high), train, count, **drawing)
            _require_units(mixed, train, f"the set of samples with the reference at {part} noise")
            after = memorization(mixed, few, units=False, **counting).ratio < COPY_RATIO
            _log.info("the reference at %s noise: %d copies", part, after.sum())
            rate = proportion(int(after.sum()), len(after), alpha / len(parts))
            exchanges.append(Exchange(part, low, high, rate, *mcnemar(under_way[:, -1], after)))
    share = alpha / len(sigmas)
    # Of each copied sample the steps at its end that all give copies.
    steps = np.cumprod(under_way[under_way[:, -1], ::-1], axis=1).sum(1)
    first = len(sigmas) - np.sort(steps)[len(steps) // 2] if len(steps) else None
    return ModelAudit(
        name=name,
        samples=samples.numpy(),
        sigmas=sigmas,
        outputs=proportion(counts, outputs, share),
        images=share_above(nested, NOISES, LARGE_PORTION, share),
        under_way=proportion(under_way.sum(0), len(under_way), share),
        settled=np.nan if first is None else float(sigmas[first]),
        zone=zone,
        exchanges=tuple(exchanges),
    )


def _parts(zone: PredictedZone, sigmas: Array) -> dict[str, tuple[float, float]]:
    parts = parts_of_zone(zone.certain.start)
    low, high = parts["middle"]
    if not ((sigmas >= low) & (sigmas < high)).any():
        raise ValueError(
            f"--reference would take over sigma {low:.3g} to {high:.3g}, the middle by the start "
            f"of the certain zone, where none of the {len(sigmas)} noise levels from "
            f"{sigmas[0]:g} to {sigmas[-1]:g} lies; bring images and models to a range such as "
            "[-1, 1]"
        )
    return parts


def _require_units(samples: torch.Tensor, train: Images, name: str) -> None:
    # Before anything is clipped to the range of the images.
    doubt = compare_units(extremes(samples.numpy()), extremes(train.pixels), name, raw=True)
    if doubt is not None:
        raise ValueError(
            f"{doubt}: --range is that of the pixels that the model works on. A model that has "
            "learnt little yet may give such samples too"
        )
