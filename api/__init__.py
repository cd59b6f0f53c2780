"""Where along the noise schedule a diffusion model copies its training images.

What is used most stands here; each name is imported when it is first asked for, so that ``import
wildmiddle`` needs neither torch nor time. The parts are ``wildmiddle.theory`` (bounds and their
proofs), ``wildmiddle.empirical`` (the same quantities measured, and data sets),
``wildmiddle.models`` (denoisers, training, samplers) and ``wildmiddle.checks`` (claims against
measurements).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildmiddle.checks.verify import verify
    from wildmiddle.empirical.danger_zone import zone_of
    from wildmiddle.empirical.data import DataSet, load
    from wildmiddle.empirical.neighbours import memorization
    from wildmiddle.empirical.two_curves import curves
    from wildmiddle.models.denoisers import EmpiricalDenoiser
    from wildmiddle.models.sampling import sample
    from wildmiddle.models.settings import Training
    from wildmiddle.models.training import train

__all__ = [
    "DataSet",
    "EmpiricalDenoiser",
    "Training",
    "curves",
    "load",
    "memorization",
    "sample",
    "train",
    "verify",
    "zone_of",
]

_HOMES = {
    "checks.verify": {"verify"},
    "empirical.danger_zone": {"zone_of"},
    "empirical.data": {"DataSet", "load"},
    "empirical.neighbours": {"memorization"},
    "empirical.two_curves": {"curves"},
    "models.denoisers": {"EmpiricalDenoiser"},
    "models.sampling": {"sample"},
    "models.settings": {"Training"},
    "models.training": {"train"},
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
