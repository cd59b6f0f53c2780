"""How large an experiment is: data, models and numbers of draws, read from a TOML file.

The tables [data], [models], [training] and [measures] serve all experiments. A table named after a
group of them, such as [gaps.data], holds what is different there.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

SCALES = ("laptop", "small", "paper")

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
        for name in ("samples", "outputs", "window", "checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.window >= self.steps:
            raise ValueError(f"window = {self.window} must be below steps = {self.steps}")
        if self.method not in get_args(Method):
            raise ValueError(f"method = {self.method!r}; give one of {', '.join(get_args(Method))}")
        gaps = tuple(tuple(gap) for gap in self.timestep_gaps)
        if any(len(gap) != 2 or not 0 <= gap[0] < gap[1] for gap in gaps):
            raise ValueError(f"timestep_gaps = {self.timestep_gaps}: give pairs [first, end]")
        object.__setattr__(self, "timestep_gaps", gaps)


def read_scale(wanted: str | Path, group: str = "", source: str | Path | None = None) -> Scale:
    """A scale of this package by name, or one from a TOML file of the same form.

    ``source`` takes the place of the data's own. Raises ValueError for a file that is not of this
    form, and where neither names a source.
    """
    path = files(__package__).joinpath(f"{wanted}.toml") if wanted in SCALES else Path(wanted)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        own = found.get(group, {})
        tables = ("data", "models", "training", "measures")
        data, models, training, measures = ({**found[t], **own.get(t, {})} for t in tables)
        if source is not None:
            data["source"] = source
        if "source" not in data:
            raise ValueError(f"--scale {wanted}: give --data; {found['about']}")
        return Scale(
            name=Path(str(wanted)).stem,
            group=group if own else "",
            data=data,
            training=training,
            **models,
            **measures,
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{wanted}: no scale of an experiment: {error}") from None
    except FileNotFoundError:
        raise ValueError(
            f"--scale {wanted}: no such file; give {', '.join(SCALES)} or a TOML file"
        ) from None
