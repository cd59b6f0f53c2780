"""Monte-Carlo and exact finite-sample estimates of the quantities that ``theory`` bounds.

The modules bear the names of their counterparts in ``theory``. Every estimate has an interval that
is valid at its sample size, and every draw comes from a counter-based stream, so that results do
not depend on batch size, threads or the order of blocks.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildmiddle.empirical.neighbours import Memorization, memorization
    from wildmiddle.empirical.two_curves import Curves, curves

__all__ = ["Curves", "Memorization", "curves", "memorization"]


def __getattr__(name: str) -> Any:
    # torch takes a second to import: pay for it only when an estimate is asked for.
    import importlib

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "two_curves" if name.lower() == "curves" else "neighbours"
    return getattr(importlib.import_module(f"wildmiddle.empirical.{home}"), name)
