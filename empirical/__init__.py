"""The quantities that ``wildmiddle.theory`` bounds, estimated on data sets or computed exactly.

Each subject is a module with the name of its counterpart in ``theory``. ``data`` reads and splits
the images, ``kernels`` holds the numerical work that the subjects share, and ``intervals`` and
``noise`` the statistics: an estimate has an interval that is valid at its sample size, but for
Student's where nothing bounds the draws, and every draw comes from a stream of its own, so that
results do not depend on batch size, threads or the order of blocks.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildmiddle.empirical.neighbours import Memorization, memorization
    from wildmiddle.empirical.two_curves import Curves, curves

__all__ = ["Curves", "Memorization", "curves", "memorization"]

_PLACES = {
    "Curves": "two_curves:Curves",
    "Memorization": "neighbours:Memorization",
    "curves": "two_curves:curves",
    "memorization": "neighbours:memorization",
}


def __getattr__(name: str) -> Any:
    # Data sets are read without torch, which takes a second to import, and reading them imports
    # this package: so the estimates are imported when they are first asked for.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve_name(f"{__name__}.{_PLACES[name]}")
