"""Where along the noise schedule a diffusion model copies its training images.

What is used most stands here; each name is imported when it is first asked for, so that ``import
wildmiddle`` needs neither torch nor time. The parts are ``wildmiddle.theory`` (bounds and their
proofs), ``wildmiddle.empirical`` (the same quantities measured, and data sets),
``wildmiddle.models`` (denoisers, training, samplers) and ``wildmiddle.checks`` (claims against
measurements).
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wildmiddle.checks.settings import Settings
    from wildmiddle.checks.verify import verify
    from wildmiddle.empirical.danger_zone import zone_of as zone
    from wildmiddle.empirical.data import DataSet, load
    from wildmiddle.empirical.neighbours import memorization
    from wildmiddle.empirical.two_curves import curves
    from wildmiddle.models.denoisers import EmpiricalDenoiser
    from wildmiddle.models.gap import Gap
    from wildmiddle.models.images import to_channels_first
    from wildmiddle.models.sampling import sample
    from wildmiddle.models.settings import Training
    from wildmiddle.models.training import train

__all__ = [
    "DataSet",
    "EmpiricalDenoiser",
    "Gap",
    "Settings",
    "Training",
    "curves",
    "load",
    "memorization",
    "sample",
    "to_channels_first",
    "train",
    "verify",
    "zone",
]

_PLACES = {
    "DataSet": "empirical.data:DataSet",
    "EmpiricalDenoiser": "models.denoisers:EmpiricalDenoiser",
    "Settings": "checks.settings:Settings",
    "Training": "models.settings:Training",
    "Gap": "models.gap:Gap",
    "curves": "empirical.two_curves:curves",
    "load": "empirical.data:load",
    "memorization": "empirical.neighbours:memorization",
    "sample": "models.sampling:sample",
    "to_channels_first": "models.images:to_channels_first",
    "train": "models.training:train",
    "verify": "checks.verify:verify",
    "zone": "empirical.danger_zone:zone_of",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve_name(f"{__name__}.{_PLACES[name]}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
