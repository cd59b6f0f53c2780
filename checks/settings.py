"""All that a run may be told, once: each constant with its default, unit, domain and help text.

The options of the command line and of the pytest plugin, the report's record of a run and the
command that repeats it are made from the fields. Imports nothing heavy: ``--help`` must not wait.
"""

from argparse import ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

from wildmiddle.theory.constants import (
    DEFAULT_MEMORY,
    SHELL_WIDTH,
    Thresholds,
    constant,
    inside_unit,
)

_STRICT = "must lie strictly between 0 and 1"
_CLAIMS = {"group": "claims and their constants"}
_SAMPLING = {"group": "sampling"}
_COMPUTING = {"group": "computing"}
_DEVICES = ("auto", "cpu", "cuda", "mps")
_UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30}


def parse_bytes(text: str) -> int:
    """A size such as ``500MB`` or ``2GB``, or a plain number of bytes; refuses any other text."""
    number, unit = (text[:-2], text[-2:].upper()) if text[-2:].isalpha() else (text, "")
    try:
        size = int(float(number) * (_UNITS[unit] if unit else 1))
    except (KeyError, ValueError, OverflowError):
        size = 0
    if size <= 0:
        raise ArgumentTypeError(f"{text!r} is no size such as 500MB or 2GB")
    return size


def format_bytes(size: int) -> str:
    """A number of bytes in the largest unit that divides it: ``1GB``."""
    unit = next((unit for unit in reversed(_UNITS) if size % _UNITS[unit] == 0), "")
    return f"{size // _UNITS[unit]}{unit}" if unit else str(size)


@dataclass(frozen=True)
class Settings(Thresholds):
    """The constants, thresholds, seed and limits of one run.

    Raises ValueError for a value outside of its domain. Where the data decide as well, as for ``w``
    above 1/N, :class:`~wildmiddle.checks.study.Study` does.
    """

    c: float = constant(
        SHELL_WIDTH,
        "shell width (Lemma 4.5)",
        lambda c: c > 0 and isfinite(c),
        "must be above 0",
        **_CLAIMS,
    )
    w: float = constant(0.95, "high weight (Theorem 4.2)", inside_unit, _STRICT, **_CLAIMS)
    copies_within: float = constant(
        0.0,
        "training images within this distance of one another, in the units of sigma, count as one "
        "image; those that are equal always do",
        lambda distance: distance >= 0 and isfinite(distance),
        "must be a distance: finite, not below 0",
        **_CLAIMS,
    )
    delta: float = constant(
        0.05, "failure probability (Theorem 4.2)", inside_unit, _STRICT, **_CLAIMS
    )
    seed: int = constant(
        0, "seed of all that is drawn", lambda seed: seed >= 0, "must not be below 0", **_SAMPLING
    )
    samples: int = constant(
        20_000,
        "most draws of a comparison on the data; cheap ones may take ten times as many",
        lambda samples: samples >= 100,
        "is too few to say anything; use at least 100",
        **_SAMPLING,
    )
    alpha: float = constant(
        1e-6,
        "probability that a run, or an experiment, over true claims reports any violation",
        inside_unit,
        _STRICT,
        **_SAMPLING,
    )
    device: str = constant(
        "auto",
        "where to compute",
        lambda device: device.partition(":")[0] in _DEVICES,
        f"is unknown; give one of {', '.join(_DEVICES)}",
        choices=_DEVICES,
        **_COMPUTING,
    )
    memory: int = constant(
        DEFAULT_MEMORY,
        "most that the buffers of one estimate may take, such as 500MB or 2GB",
        lambda memory: memory > 0,
        "must be above 0 bytes",
        parse=parse_bytes,
        show=format_bytes,
        metavar="SIZE",
        **_COMPUTING,
    )


def option(name: str) -> str:
    """A field's name as the command line writes it: ``--weight-high``."""
    return "--" + name.replace("_", "-")


def texts(settings: Settings) -> dict[str, str]:
    """Every value as the command line takes it, by field name."""
    return {
        each.name: each.metadata.get("show", str)(getattr(settings, each.name))
        for each in fields(settings)
    }


def recorded_texts(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Those of the values that a report has recorded, by name."""
    return {name: text for name, text in texts(Settings(**recorded)).items() if name in recorded}


def arguments(name: str, default: Any = None) -> dict[str, Any]:
    """What ``add_argument`` takes for the field of that name, of argparse and of pytest alike."""
    each = next(each for each in fields(Settings) if each.name == name)
    more = {key: each.metadata[key] for key in ("choices", "metavar") if key in each.metadata}
    shown = each.metadata.get("show", lambda value: value)  # a text is parsed as an option is
    return {
        "type": each.metadata.get("parse", type(each.default)),
        "default": shown(each.default) if default is None else default,
        "help": each.metadata["text"],
        **more,
    }
