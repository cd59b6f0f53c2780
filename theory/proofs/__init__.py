"""The paper's proofs, step by step, each step checked by a machine.

One subject a module; ``leading_term`` and ``remainder`` belong to large noise, ``alignment`` to
flow matching, ``torus`` to locality, ``noncentral`` and ``second_order`` to coverage, and
``sharper_posterior`` to the posterior; ``any_size`` serves all. Importing this package imports
sympy and all its modules, which enter their steps into ``STEPS``.
"""

from importlib import import_module
from pkgutil import iter_modules

from wildmiddle.theory.proofs.step import KINDS, STEPS, Step

__all__ = ["KINDS", "STEPS", "Step", "counts"]


def counts(claim: str) -> str:
    """How many steps of each kind a claim has, such as ``"5 proof, 1 instance"``."""
    kinds = [step.kind for step in STEPS if step.claim == claim]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds)


for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
