"""How large an experiment is: data, models and numbers of draws, read from a TOML file.

The tables [data], [models], [training] and [measures] serve all experiments. A table named after a
group of them, such as [gaps.data], holds what is different there.
"""

import hashlib
import json
import os.path
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from wildmiddle.checks.options import EXPERIMENTS
from wildmiddle.checks.plain_values import read_toml, require_fit
from wildmiddle.empirical.data import load
from wildmiddle.models.networks import NETWORKS
from wildmiddle.models.settings import Training

SCALES = ("laptop", "faces", "cars", "paper")

Method = Literal["heun", "euler", "ddpm", "ddim"]


@dataclass(frozen=True)
class Scale:
    """One scale for one group of experiments; laptop.toml says what each value is."""

    name: str
    group: str
    """The group whose own values are in it, or nothing."""
    data: Mapping[str, Any]
    memorizing: int
    generalizing: int
    training: Mapping[str, Any]
    samples: int
    outputs: int
    steps: int
    window: int
    checkpoints: int
    method: Method = "euler"
    """Euler's unless said otherwise, as in the paper (E.7)."""
    timestep_gaps: tuple[tuple[int, int], ...] = ()
    """Gaps of Figures 5 and 9, in timesteps; by the zone of the images where none are given."""

    def __post_init__(self) -> None:
        if not 2 <= self.memorizing < self.generalizing:
            raise ValueError(
                f"memorizing = {self.memorizing}, generalizing = {self.generalizing}; "
                "need 2 <= memorizing < generalizing"
            )
        # One sample or output shows no spread.
        for name, least in (("samples", 2), ("outputs", 2), ("window", 1), ("checkpoints", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least {least}")
        if self.window >= self.steps:
            raise ValueError(f"window = {self.window} must be below steps = {self.steps}")
        if self.method not in get_args(Method):
            raise ValueError(f"method = {self.method!r}; give one of {', '.join(get_args(Method))}")
        if "seed" in self.training:
            raise ValueError(f"[training] has seed = {self.training['seed']}; give --seed for it")
        training = self.training_settings()
        timesteps, every = training.timesteps, training.checkpoint_every
        if every * (self.checkpoints - 1) >= training.steps:
            raise ValueError(
                f"checkpoints = {self.checkpoints} with checkpoint_every = {every} do not fit into "
                f"steps = {training.steps}"
            )
        if self.method in ("ddpm", "ddim") and timesteps % self.steps:
            raise ValueError(
                f"steps = {self.steps} of {self.method!r} must divide timesteps = {timesteps}"
            )
        gaps = tuple(tuple(gap) for gap in self.timestep_gaps)
        if any(len(gap) != 2 or not 0 <= gap[0] < gap[1] <= timesteps for gap in gaps):
            raise ValueError(
                f"timestep_gaps = {self.timestep_gaps}: give pairs [first, end] up to {timesteps}"
            )
        if len(set(gaps)) < len(gaps):
            raise ValueError(f"timestep_gaps = {self.timestep_gaps}: give each pair once")
        for gap in gaps:
            self.training_settings(objective="ddpm", gap=(gap,))  # refuses one that leaves nothing
        object.__setattr__(self, "timestep_gaps", gaps)

    @property
    def sha256(self) -> str:
        """Of all values but the place of the images: results of one hash may stand together."""
        values = asdict(self) | {"data": {k: v for k, v in self.data.items() if k != "source"}}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def training_settings(self, **changes: Any) -> Training:
        """The scale's training with some ``changes``."""
        values = {**self.training, **changes}
        if isinstance(values.get("network"), str):
            values["network"] = NETWORKS[values["network"]]
        steps = values.get("steps", Training.steps)
        values.setdefault("checkpoint_every", max(1, steps // self.checkpoints))
        return Training(**values)


_MODELS = ("memorizing", "generalizing")
_SCALE = get_type_hints(Scale)
_TABLES: dict[str, dict[str, Any]] = {
    "data": {k: v for k, v in get_type_hints(load).items() if k not in ("return", "progress")},
    "models": {name: _SCALE[name] for name in _MODELS},
    "training": get_type_hints(Training) | {"network": Literal[tuple(NETWORKS)]},
    "measures": {
        name: hint
        for name, hint in _SCALE.items()
        if name not in ("name", "group", "data", "training", *_MODELS)
    },
}
"""What each table may hold, and of which type."""


def read_scale(wanted: str | Path, group: str = "", source: str | Path | None = None) -> Scale:
    """A scale of this package by name, or one from a TOML file of the same form.

    ``source`` takes the place of the data's own. Raises ValueError for a file that is not of this
    form, and where neither names a source.
    """
    path = files(__package__).joinpath(f"{wanted}.toml") if wanted in SCALES else Path(wanted)
    try:
        return _scale(read_toml(path), str(wanted), group, source)
    except FileNotFoundError:
        raise ValueError(
            f"--scale {wanted}: no such file; give {', '.join(SCALES)} or a TOML file"
        ) from None
    except ValueError as error:
        raise ValueError(f"--scale {wanted}: {error}") from None


def _scale(found: dict[str, Any], wanted: str, group: str, source: str | Path | None) -> Scale:
    groups = [name for name in dict.fromkeys(EXPERIMENTS.values()) if name]
    require_fit(found, {"about": str} | dict.fromkeys((*_TABLES, *groups), dict), "the file")
    for name in groups:
        require_fit(found.get(name, {}), dict.fromkeys(_TABLES, dict), f"[{name}]")
    for title, hints in _TABLES.items():
        if title not in found:
            raise ValueError(f"the table [{title}] is missing")
        require_fit(found[title], hints, f"[{title}]")
        for name in groups:
            require_fit(found.get(name, {}).get(title, {}), hints, f"[{name}.{title}]")
    own = found.get(group, {})
    data, models, training, measures = ({**found[t], **own.get(t, {})} for t in _TABLES)
    if source is not None:
        data["source"] = source
    if "source" not in data:
        about = found.get("about", "a folder of images, an .npy or .npz file or CIFAR-10")
        raise ValueError(f"give --data; {about}")
    data["source"] = os.path.expanduser(data["source"])
    values = {
        "name": Path(wanted).stem,
        "group": group if own else "",
        "data": data,
        "training": training,
        **models,
        **measures,
    }
    for field in fields(Scale):
        if field.name not in values and field.default is MISSING:
            raise ValueError(f"{field.name} is missing; see laptop.toml in checks/experiments")
    return Scale(**values)
