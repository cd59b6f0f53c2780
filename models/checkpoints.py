"""Checkpoints: safetensors and one JSON in a folder that appears whole or not at all.

``<folder>/step-00006000/`` holds ``weights``, ``ema`` and ``optimizer`` (``.safetensors``) and
``checkpoint.json``: the whole configuration, sigma_data, hashes and indices of the data, versions.
Reading runs no code from them.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from wildmiddle.empirical.data import DataSet
from wildmiddle.empirical.kernels.device import resolve_device
from wildmiddle.models.images import TrainingSet
from wildmiddle.models.networks import build
from wildmiddle.models.parameterizations import (
    DDPMDenoiser,
    EDMDenoiser,
    FlowDenoiser,
    NetworkDenoiser,
)
from wildmiddle.models.settings import Training, training_from

Tensors = Mapping[str, Mapping[str, Tensor]]
PARTS = ("weights", "ema", "optimizer")
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint's JSON says.

    ``sigma_data`` is the measured standard deviation of the training images' pixels, ``images``
    their number, shape and hash; ``data`` describes the data set they come from (its hash, the
    split's indices), where it was given.
    """

    step: int
    training: Training
    image_shape: tuple[int, ...]
    sigma_data: float
    label: int | None
    images: dict[str, Any]
    data: dict[str, Any] | None
    versions: dict[str, str]


def describe(training_set: TrainingSet, training: Training, data: DataSet | None) -> Checkpoint:
    """The checkpoint of step 0 of a run."""
    network = replace(training.network, classes=training_set.classes)
    images = {"count": training_set.count, "sha256": training_set.sha256}
    return Checkpoint(
        step=0,
        training=replace(training, network=network),
        image_shape=training_set.image_shape,
        sigma_data=training_set.sigma_data,
        label=training_set.label,
        images=images,
        data=None if data is None else _source(data),
        versions={name: version(name) for name in ("wildmiddle", "torch", "diffusers", "numpy")},
    )


def _source(data: DataSet) -> dict[str, Any]:
    return {
        "title": data.title,
        "sha256": data.sha256,
        "value_range": list(data.value_range),
        "centred": data.centred,
        "train_indices": data.train_indices.tolist(),
        "test_indices": data.test_indices.tolist(),
    }


def require_same_run(folder: Path, found: Checkpoint, run: Checkpoint) -> None:
    """Raise ValueError unless ``run`` may go on from ``found``: same settings, same images.

    The number of steps may differ where the learning rate does not depend on it.
    """
    may_differ = {"checkpoint_every"} | ({"steps"} if run.training.decay == "none" else set())
    for field in fields(Training):
        then, now = getattr(found.training, field.name), getattr(run.training, field.name)
        if then != now and field.name not in may_differ:
            raise ValueError(
                f"{folder} holds a run with {field.name} = {then}, not {now}; give another folder"
            )
    if found.images != run.images:
        raise ValueError(f"{folder} holds a run on other images or labels; give another folder")


def denoiser_for(run: Checkpoint) -> NetworkDenoiser:
    """A new denoiser as a checkpoint describes it, its weights from torch's random state."""
    training = run.training
    network = build(training.network, run.image_shape)
    if training.objective == "edm":
        return EDMDenoiser(network, run.sigma_data, run.label)
    if training.objective == "ddpm":
        ends = training.beta_start, training.beta_end
        return DDPMDenoiser(network, training.timesteps, *ends, run.label)
    return FlowDenoiser(network, run.label)


def save(folder: Path, checkpoint: Checkpoint, tensors: Tensors) -> Path:
    """Write a checkpoint under a temporary name, then rename it; one that is there stays."""
    final = _path(folder, checkpoint.step)
    if _is_whole(final):
        return final
    temporary = folder / f".{final.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for part in PARTS:
        save_file({k: v.contiguous() for k, v in tensors[part].items()}, _file(temporary, part))
    text = json.dumps({"format": FORMAT, **asdict(checkpoint)}, indent=1)
    (temporary / "checkpoint.json").write_text(text + "\n", encoding="utf-8")
    for path in (*temporary.iterdir(), temporary):  # on disk before it has its name
        _sync(path)
    shutil.rmtree(final, ignore_errors=True)  # a damaged one
    temporary.rename(final)
    _sync(folder)
    return final


def drop_unscheduled(folder: Path, step: int, every: int) -> None:
    """Remove the checkpoints before ``step`` that a run stopped by hand has left."""
    for earlier in steps(folder):
        if earlier < step and earlier % every:
            shutil.rmtree(_path(folder, earlier))


def steps(folder: str | Path) -> list[int]:
    """The steps of which ``folder`` holds a whole checkpoint, rising."""
    found = []
    for path in Path(folder).glob("step-*"):
        match = re.fullmatch(r"step-(\d+)", path.name)
        if match and _is_whole(path):
            found.append(int(match[1]))
        elif match:
            warnings.warn(f"{path}: a damaged checkpoint, left aside; delete it", stacklevel=2)
    return sorted(found)


def read(folder: str | Path, step: int | None = None) -> Checkpoint:
    """What the JSON of a checkpoint says; the newest where no step is named.

    Raises ValueError where there is none, or it was written by a newer version.
    """
    folder = Path(folder)
    if step is None:
        present = steps(folder)
        if not present:
            raise ValueError(f"{folder}: no checkpoint in it; give a folder that was trained into")
        step = present[-1]
    path = _path(folder, step) / "checkpoint.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder}: no checkpoint of step {step}; has {steps(folder)}") from None
    if found.pop("format") != FORMAT:
        raise ValueError(f"{path}: of another format; load it with the version that wrote it")
    found["training"] = training_from(found["training"])
    found["image_shape"] = tuple(found["image_shape"])
    return Checkpoint(**found)


def read_tensors(folder: str | Path, step: int, part: str) -> dict[str, Tensor]:
    """One of a checkpoint's ``PARTS``, on the CPU."""
    return load_file(_file(_path(Path(folder), step), part))


def load(
    folder: str | Path,
    step: int | None = None,
    ema: bool = True,
    device: str | torch.device = "auto",
) -> NetworkDenoiser:
    """The denoiser of a checkpoint, the newest where no step is named, ready to be called.

    ``ema`` takes the averaged weights instead of the last ones. Raises ValueError where there is no
    such checkpoint.
    """
    checkpoint = read(folder, step)
    with torch.device("meta"):  # no first weights, which would be drawn in vain
        denoiser = denoiser_for(checkpoint)
    weights = read_tensors(folder, checkpoint.step, "ema" if ema else "weights")
    denoiser.network.load_state_dict(weights, assign=True)
    return denoiser.requires_grad_(False).eval().to(resolve_device(device))


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def _file(path: Path, part: str) -> Path:
    return path / f"{part}.safetensors"


def _is_whole(path: Path) -> bool:
    try:
        json.loads((path / "checkpoint.json").read_bytes())
        for part in PARTS:
            with safe_open(_file(path, part), "pt"):  # checks the header against the file's length
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    return True


def _sync(path: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
