"""How large an experiment is: data, models and numbers of draws, read from a TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

SCALES = ("laptop",)


@dataclass(frozen=True)
class Scale:
    """One scale: what is loaded, trained and drawn; laptop.toml says what each value is."""

    name: str
    data: Mapping[str, Any]
    memorizing: int
    generalizing: int
    training: Mapping[str, Any]
    samples: int
    outputs: int
    steps: int
    window: int

    def __post_init__(self) -> None:
        if not 2 <= self.memorizing < self.generalizing:
            raise ValueError(
                f"memorizing = {self.memorizing}, generalizing = {self.generalizing}; "
                "need 2 <= memorizing < generalizing"
            )
        for name in ("samples", "outputs", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.window >= self.steps:
            raise ValueError(f"window = {self.window} must be below steps = {self.steps}")


def read_scale(wanted: str | Path) -> Scale:
    """A scale of this package by name, or one from a TOML file of the same form.

    Raises ValueError for a file that is not of this form.
    """
    path = files(__package__).joinpath(f"{wanted}.toml") if wanted in SCALES else Path(wanted)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        measures = found["measures"]
        return Scale(
            name=Path(str(wanted)).stem,
            data=found["data"],
            training=found["training"],
            **found["models"],
            **measures,
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{wanted}: no scale of an experiment: {error}") from None
    except FileNotFoundError:
        raise ValueError(
            f"--scale {wanted}: no such file; give {', '.join(SCALES)} or a TOML file"
        ) from None
