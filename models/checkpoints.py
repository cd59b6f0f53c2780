"""Checkpoints: safetensors and one JSON in a folder that appears whole or not at all.

``<folder>/step-00006000/`` holds ``weights``, ``ema`` and ``optimizer`` (``.safetensors``),
``checkpoint.json`` (the whole configuration, sigma_data, hashes and indices of the data, versions)
and ``SHA256SUMS``, the checksums of these four, in the form of ``sha256sum``. A file that no longer
has its checksum is refused. Reading runs no code from them.
"""

import hashlib
import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
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
    require_label,
)
from wildmiddle.models.settings import Training, require_names, training_from

Tensors = Mapping[str, Mapping[str, Tensor]]
PARTS = ("weights", "ema", "optimizer")
JSON, SUMS = "checkpoint.json", "SHA256SUMS"
FORMAT = 2
WITHOUT_SUMS = 1
"""The format before checksums: it is read, with a warning."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: one line that names the file and says what to do."""


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
    """Write a checkpoint under a temporary name, then rename it; one that is there stays.

    Raises OSError where it cannot be written; what has been written is removed then. ValueError for
    values that are not finite, which could not be loaded.
    """
    for part in PARTS:
        for name, tensor in tensors[part].items():
            if not tensor.isfinite().all():
                raise ValueError(f"{name} ({part}) is not finite at step {checkpoint.step}")
    final = _path(folder, checkpoint.step)
    if _is_whole(final):
        return final
    temporary = folder / f".{final.name}.{os.getpid()}"
    text = json.dumps({"format": FORMAT, **asdict(checkpoint)}, indent=1) + "\n"
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        sums = [_write(temporary / JSON, text.encode())]
        for part in PARTS:
            content = tensors_to_bytes({k: v.contiguous() for k, v in tensors[part].items()})
            sums.append(_write(_file(temporary, part), content))
        _write(temporary / SUMS, "".join(sums).encode())
        _sync(temporary)
        remove(final)  # a damaged one
        temporary.rename(final)
        _sync(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def remove(path: Path) -> None:
    """Remove a checkpoint's folder, if it is there; it is never seen in parts."""
    if path.exists():
        hidden = path.with_name(f".{path.name}.removed")
        shutil.rmtree(hidden, ignore_errors=True)
        path.rename(hidden)
        shutil.rmtree(hidden)


def drop_unscheduled(folder: Path, step: int, every: int) -> None:
    """Remove the checkpoints before ``step`` that a run stopped by hand has left.

    One that was due when it was written stays, whatever ``every`` is now.
    """
    for earlier in _present(folder):
        if earlier < step and earlier % every:
            with suppress(CheckpointError):  # a damaged one is left aside
                then = _read_json(_path(folder, earlier), check=False).training
                if earlier % then.checkpoint_every and earlier != then.steps:
                    remove(_path(folder, earlier))


def drop_temporaries(folder: Path) -> None:
    """Remove what killed runs have left half written; for the one who holds the folder."""
    for path in folder.glob(".step-*"):
        shutil.rmtree(path, ignore_errors=True)


def steps(folder: str | Path) -> list[int]:
    """The steps of which ``folder`` holds a whole checkpoint, rising; reads all their files."""
    return sorted(step for step in _present(Path(folder)) if _warned_whole(Path(folder), step))


def newest_whole(folder: Path) -> int:
    """The last step whose checkpoint is as it was written, 0 where there is none.

    Damaged ones after it are left aside, with a warning.
    """
    return next((step for step in reversed(_present(folder)) if _warned_whole(folder, step)), 0)


def read(folder: str | Path, step: int | None = None) -> Checkpoint:
    """What the JSON of a checkpoint says; the newest where no step is named.

    Raises CheckpointError, a ValueError, where there is none, or it is not as it was written.
    """
    folder = Path(folder)
    present = _present(folder)
    if not present and step is None:
        raise CheckpointError(f"{folder}: no checkpoint in it; give a folder that was trained into")
    if step is not None and step not in present:
        raise CheckpointError(f"{folder}: no checkpoint of step {step}; has {present}")
    return _read_json(_path(folder, present[-1] if step is None else step))


def read_tensors(folder: str | Path, step: int, part: str) -> dict[str, Tensor]:
    """One of a checkpoint's ``PARTS``, on the CPU.

    Raises CheckpointError where it is not as it was written, or holds a NaN or an infinite value.
    """
    path = _file(_path(Path(folder), step), part)
    content = _read_file(path)
    try:
        tensors = tensors_from_bytes(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a file of safetensors: {_line(error)}") from error
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            raise CheckpointError(f"{path}: {name} is of {tensor.dtype}; a run writes float32")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{path}: {name} holds NaN or infinite values; train again")
    return tensors


def require_fit(
    folder: Path, step: int, part: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    """Raise CheckpointError unless ``found``, a part, has the names and shapes of ``wanted``."""
    path = _file(_path(folder, step), part)
    wrapped = "module."
    if found and all(name.startswith(wrapped) for name in found):
        raise CheckpointError(
            f"{path}: all names begin with {wrapped!r}, as those of a model wrapped for several "
            "processes; save the state_dict of model.module"
        )
    for what, names in (
        ("unknown", found.keys() - wanted.keys()),
        ("missing", wanted.keys() - found.keys()),
    ):
        if names:
            raise CheckpointError(
                f"{path}: {len(names)} names {what}, the first {min(names)!r}; it is of another "
                "network or program"
            )
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(found[name].shape)}, not {tuple(tensor.shape)}; "
                "it is of another network"
            )


def load(
    folder: str | Path,
    step: int | None = None,
    ema: bool = True,
    device: str | torch.device = "auto",
    label: int | None = None,
) -> NetworkDenoiser:
    """The denoiser of a checkpoint, the newest where no step is named, ready to be called.

    ``ema`` takes the averaged weights instead of the last ones; ``label`` is the class that counts
    where none is given, in the place of the run's own. Raises CheckpointError, a ValueError, where
    there is no such checkpoint, or it is not as it was written; ValueError for a label that the
    network does not have.
    """
    checkpoint = read(folder, step)
    part = "ema" if ema else "weights"
    try:
        with torch.device("meta"):  # no first weights, which would be drawn in vain
            denoiser = denoiser_for(checkpoint)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        path = _path(Path(folder), checkpoint.step) / JSON
        raise CheckpointError(f"{path}: no such network: {_line(error)}") from error
    if label is not None:
        require_label(denoiser.network, label)
        denoiser.label = label
    weights = read_tensors(folder, checkpoint.step, part)
    require_fit(Path(folder), checkpoint.step, part, weights, denoiser.network.state_dict())
    denoiser.network.load_state_dict(weights, assign=True)
    return denoiser.requires_grad_(False).eval().to(resolve_device(device))


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def _present(folder: Path) -> list[int]:
    found = (re.fullmatch(r"step-(\d{8,})", path.name) for path in folder.glob("step-*"))
    return sorted(int(match[1]) for match in found if match)


def _file(path: Path, part: str) -> Path:
    return path / f"{part}.safetensors"


def _write(path: Path, content: bytes) -> str:
    """Write a file, onto the disk itself; its line of ``SHA256SUMS``."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"


def _read_file(path: Path, check: bool = True) -> bytes:
    """The content of a checkpoint's file, compared with its checksum where there are checksums."""
    try:
        content = path.read_bytes()
        sums = path.with_name(SUMS)
        lines = sums.read_bytes().split(b"\n") if check and sums.exists() else None
    except OSError as error:
        raise CheckpointError(f"{path.parent}: cannot be read: {_line(error)}") from error
    if lines is not None:
        line = f"{hashlib.sha256(content).hexdigest()}  {path.name}".encode()
        if line not in lines:
            raise CheckpointError(
                f"{path}: not what was written, by its checksum in {SUMS}; bring it back from a "
                f"copy, or delete {path.parent.name} and train again"
            )
    return content


def _read_json(path: Path, check: bool = True) -> Checkpoint:
    file = path / JSON
    try:
        values = json.loads(_read_file(file, check).decode("utf-8"))
    except CheckpointError:
        raise
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not JSON in UTF-8: {_line(error)}") from error
    found = values.pop("format", None) if isinstance(values, dict) else None
    if found not in (FORMAT, WITHOUT_SUMS):
        raise CheckpointError(
            f"{file}: of another format than {FORMAT}; load it with the version that wrote it"
        )
    if check and not (path / SUMS).exists():
        if found != WITHOUT_SUMS:
            raise CheckpointError(
                f"{path / SUMS} is missing; bring it back, or delete {path.name} and train again"
            )
        warnings.warn(
            f"{path}: written before checkpoints had checksums; changes of it would not be seen",
            stacklevel=3,
        )
    try:
        return _checkpoint_from(values, int(path.name.removeprefix("step-")))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{file}: {_line(error)}") from error


def _checkpoint_from(values: dict[str, Any], step: int) -> Checkpoint:
    require_names(values, [field.name for field in fields(Checkpoint)])
    shape, sigma_data, label = (values[name] for name in ("image_shape", "sigma_data", "label"))
    wrong = {
        "step": type(values["step"]) is not int or values["step"] != step,
        "image_shape": not isinstance(shape, list)
        or len(shape) not in (2, 3)
        or any(type(size) is not int or size < 1 for size in shape),
        "sigma_data": type(sigma_data) not in (int, float) or not 0 < sigma_data < math.inf,
        "label": label is not None and type(label) is not int,
        "images": not isinstance(values["images"], dict),
        "data": not isinstance(values["data"], dict | None),
        "versions": not isinstance(values["versions"], dict),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"{name} = {str(values[name])[:60]} is not what a run writes")
    training = training_from(values["training"])
    return Checkpoint(**{**values, "training": training, "image_shape": tuple(shape)})


def _require_whole(path: Path) -> None:
    """Raise CheckpointError unless all files of a checkpoint are as they were written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the older format: said where it is read
        checkpoint = _read_json(path)
    for part in PARTS:
        read_tensors(path.parent, checkpoint.step, part)


def _is_whole(path: Path) -> bool:
    with suppress(CheckpointError):
        _require_whole(path)
        return True
    return False


def _warned_whole(folder: Path, step: int) -> bool:
    try:
        _require_whole(_path(folder, step))
    except CheckpointError as error:
        warnings.warn(f"a damaged checkpoint, left aside: {error}", stacklevel=4)
        return False
    return True


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _sync(path: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
