"""The constants that a user may choose: defaults, meaning, and the values that they may take.

Imports nothing heavy, since the command line reads its options off these fields.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

SHELL_WIDTH = 5.0
"""Width c of the Gaussian shells (Lemma 4.5)."""

ZONE_ALPHA = 0.05
"""Probability that a predicted zone of the population is wrong, over the held-out images."""

ZONE_RESOLUTION = 0.1
ZONE_TIME = 240.0
"""Octaves of sigma to which the zone's ends are to be known, and seconds after which they are taken
as known so far, where training images are drawn in the place of all pairs."""

COPY_RATIO = 1 / 3
"""A sample is a copy where ``d_(1) < COPY_RATIO d_(2)`` (Section 3, after Yoon et al. 2023)."""

DEFAULT_MEMORY = 2**30
"""Bytes that the buffers of one estimate may take."""


def constant(
    default: Any, text: str, valid: Callable[[Any], bool], rule: str, **options: Any
) -> Any:
    """A field of a class of constants: what it is, which values it takes, and the rule in words.

    ``options`` are what the command line needs besides: ``group``, ``metavar``, ``choices``,
    ``parse`` (from text) and ``show`` (to text).
    """
    metadata = {"text": text, "valid": valid, "rule": rule, **options}
    return field(default=default, metadata=metadata)


def require_valid(constants: Any) -> None:
    """Raise ValueError for the first field whose value is not one that it takes."""
    for each in fields(constants):
        value = getattr(constants, each.name)
        if not each.metadata["valid"](value):
            raise ValueError(f"{each.name} = {value} {each.metadata['rule']}")


def inside_unit(value: float) -> bool:
    """Whether a number lies strictly between 0 and 1."""
    return 0 < value < 1


_STRICT = "must lie strictly between 0 and 1"
_LEVELS = {"group": "regimes: what counts as high and low"}


@dataclass(frozen=True)
class Thresholds:
    """When the posterior weight and the coverage count as high or low.

    ``weight_high`` is 3/4 since that is where the paper's memorization test turns on: on two points
    the output ``w x_1 + (1 - w) x_2`` has ``d_(1) < d_(2) / 3`` exactly when w > 3/4. With more
    points a copy takes more weight: on 1,000 images of CIFAR-10 only 18% of the empirical optimum's
    outputs on held-out images are copies where W is 3/4, and half are where it is 0.98;
    :mod:`wildmiddle.theory.copying` has a bound on their share. Coverage counts as high once most
    queries are covered. Raises ValueError unless 0 < low < high < 1.
    """

    weight_high: float = constant(
        0.75,
        "high posterior weight: 3/4 is where two points give a copy; more points take more weight",
        inside_unit,
        _STRICT,
        **_LEVELS,
    )
    weight_low: float = constant(0.1, "low posterior weight", inside_unit, _STRICT, **_LEVELS)
    coverage_high: float = constant(0.5, "high coverage", inside_unit, _STRICT, **_LEVELS)
    coverage_low: float = constant(0.1, "low coverage", inside_unit, _STRICT, **_LEVELS)

    def __post_init__(self) -> None:
        require_valid(self)
        for low, high in (("weight_low", "weight_high"), ("coverage_low", "coverage_high")):
            if not getattr(self, low) < getattr(self, high):
                raise ValueError(
                    f"{low} = {getattr(self, low)}, {high} = {getattr(self, high)}; "
                    "need 0 < low < high < 1"
                )
