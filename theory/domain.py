"""Guards for the stated domains: an argument outside of one is named with its value."""

import numpy as np
from numpy.typing import ArrayLike


def require(ok: ArrayLike, name: str, value: ArrayLike, remedy: str) -> None:
    """Raise ``ValueError`` unless ``ok`` holds everywhere, naming the first offending value.

    ``ok`` and ``value`` broadcast against each other; ``remedy`` says what the argument must be.
    """
    ok = np.asarray(ok)
    if ok.all():
        return
    ok, value = np.broadcast_arrays(ok, np.asarray(value))
    offender = value[~ok].flat[0]
    raise ValueError(f"{name} = {offender} {remedy}")


def require_positive(name: str, value: ArrayLike) -> None:
    """Raise ``ValueError`` unless ``value`` is finite and above zero everywhere."""
    value = np.asarray(value)
    require((value > 0) & np.isfinite(value), name, value, "must be finite and above 0")


def require_distance(name: str, value: ArrayLike) -> None:
    """Raise ``ValueError`` unless ``value`` is finite and not negative everywhere."""
    value = np.asarray(value)
    require(
        (value >= 0) & np.isfinite(value), name, value, "must be a distance: finite, not below 0"
    )
