"""The settings of a training run, in one value that a checkpoint can hold."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, fields
from functools import partial
from operator import index
from typing import Any, Literal, get_args

from wildmiddle.models.networks import LAPTOP, Network
from wildmiddle.models.objectives import (
    Gaps,
    ddpm_share,
    edm_share,
    flow_share,
    merge_gaps,
    require_some_left,
)

Objective = Literal["edm", "ddpm", "flow"]
Decay = Literal["none", "linear", "cosine"]
Precision = Literal["no", "bf16"]
GapMode = Literal["redraw", "drop"]


@dataclass(frozen=True)
class Training:
    """How a denoiser is trained.

    ``batch_size`` is that of all processes together. The learning rate rises over the first
    ``warmup`` steps; ``decay`` brings it down to 0 at the last. ``ema`` is the half-life, in steps,
    of the averaged weights, at most a twentieth of the steps so far (Karras et al. 2022); 0 keeps
    the last weights. ``gap`` holds intervals ``low <= level < high`` left out of training, sigmas
    for "edm" and "flow", timesteps for "ddpm"; ``gap_mode`` draws such a level again, or
    drops it, so that nothing else is trained more. ``flips`` mirrors each image with probability
    1/2.
    Above ``once_noised``, a sigma, training sees an image only with noise of that deviation, drawn
    once for each (Shah et al. 2025); 0 is without it. ``dummy`` adds as many images of noise as
    there are images, as a class of their own (Yoon et al. 2023). Raises ValueError for values that
    cannot be used, among them a gap that leaves nothing.
    """

    network: Network = LAPTOP
    objective: Objective = "edm"
    steps: int = 6000
    batch_size: int = 96
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: Decay = "none"
    ema: float = 200.0
    gap: Gaps = ()
    gap_mode: GapMode = "redraw"
    flips: bool = False
    dummy: bool = False
    once_noised: float = 0.0
    seed: int = 0
    checkpoint_every: int = 1000
    mixed_precision: Precision = "no"
    log_sigma_mean: float = -1.2
    log_sigma_std: float = 1.2
    timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _as_type_of(field, getattr(self, field.name)))
        for name, kind in _CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"{name} = {getattr(self, name)!r}; give one of {', '.join(get_args(kind))}"
                )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{field.name} = {value} must be finite")
        for name in ("steps", "batch_size", "checkpoint_every", "timesteps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1")
        for name in ("learning_rate", "log_sigma_std"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0")
        for name in ("warmup", "ema", "once_noised", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)} must not be below 0")
        object.__setattr__(self, "gap", merge_gaps(self.gap))
        require_some_left(self.gap, self.share(), _LEVELS[self.objective])

    def share(self) -> Callable[[float, float], float]:
        """The probability of an interval of levels under this objective, before the gap."""
        if self.objective == "edm":
            return partial(edm_share, mean=self.log_sigma_mean, std=self.log_sigma_std)
        if self.objective == "ddpm":
            return partial(ddpm_share, timesteps=self.timesteps)
        return flow_share


_CHOICES = {
    "objective": Objective,
    "decay": Decay,
    "gap_mode": GapMode,
    "mixed_precision": Precision,
}
_LEVELS = {"edm": "sigma", "ddpm": "the timestep", "flow": "sigma"}


def training_from(values: Mapping[str, Any]) -> Training:
    """The settings that ``dataclasses.asdict`` and JSON made ``values`` of.

    Older versions wrote no ``gap_mode``, where levels in a gap were drawn again, and no
    ``once_noised``. Raises ValueError for names that are missing or unknown, and values that cannot
    be used.
    """
    if isinstance(values, Mapping):
        values = {"gap_mode": "redraw", "once_noised": 0.0, **values}
    require_names(values, [field.name for field in fields(Training)])
    require_names(values["network"], [field.name for field in fields(Network)])
    network: dict[str, Any] = {}
    for field in fields(Network):
        value, default = values["network"][field.name], field.default
        if isinstance(default, tuple):
            if not isinstance(value, list) or any(type(v) is not type(default[0]) for v in value):
                raise ValueError(f"{field.name} = {value!r} must be like {list(default)}")
            value = tuple(value)
        network[field.name] = _as_type_of(field, value)
    return Training(**{**values, "network": Network(**network)})


def require_names(values: Any, names: Iterable[str]) -> None:
    """Raise ValueError unless ``values`` is a mapping of just these names."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{str(values)[:60]} stands where named values are wanted")
    for what, which in (
        ("unknown", set(values) - set(names)),
        ("missing", set(names) - set(values)),
    ):
        if which:
            raise ValueError(f"{', '.join(sorted(map(repr, which)))[:60]} {what}")


def _as_type_of(field: Field[Any], value: Any) -> Any:
    # The type of the default, so that what JSON gives back is what was written.
    if type(field.default) is int:
        try:
            return index(value)
        except TypeError:
            raise ValueError(f"{field.name} = {value!r} must be an integer") from None
    if type(field.default) is float:
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{field.name} = {value!r} must be a number") from None
    if not isinstance(value, type(field.default)) and field.name != "gap":
        raise ValueError(f"{field.name} = {value!r} must be a {type(field.default).__name__}")
    return value
