"""The quantities that ``wildmiddle.theory`` bounds, estimated on data sets or computed exactly.

Each subject is a module with the name of its counterpart in ``theory``. ``data`` reads and splits
the images, ``kernels`` holds the numerical work that the subjects share, and ``intervals`` and
``noise`` the statistics: an estimate has an interval that is valid at its sample size, and every
draw comes from a stream of its own, so that results do not depend on batch size, threads or the
order of blocks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildmiddle.empirical.neighbours import Memorization, memorization
    from wildmiddle.empirical.two_curves import Curves, curves

__all__ = ["Curves", "Memorization", "curves", "memorization"]

_HOMES = {"neighbours": {"Memorization", "memorization"}, "two_curves": {"Curves", "curves"}}


def __getattr__(name: str) -> Any:
    # Data sets are read without torch, which takes a second to import, and reading them imports
    # this package: so the estimates are imported when they are first asked for.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
