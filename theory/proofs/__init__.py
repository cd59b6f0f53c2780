"""The paper's proofs, step by step, each step checked by a machine.

One subject a module; ``leading_term`` and ``remainder`` belong to large noise, ``alignment`` to
flow matching, ``torus`` to locality, ``noncentral`` and ``second_order`` to coverage, and
``sharper_posterior`` to the posterior. Importing this package imports sympy and all its modules,
which enter their steps into ``STEPS``.
"""

from importlib import import_module
from pkgutil import iter_modules

from wildmiddle.theory.proofs.step import STEPS, Step

__all__ = ["STEPS", "Step"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
