"""The paper's proofs, step by step, each step checked by a machine.

One subject a module; ``leading_term`` and ``remainder`` belong to large noise, ``alignment`` to
flow matching, ``torus`` to locality, ``noncentral`` and ``second_order`` to coverage, and
``sharper_posterior`` to the posterior. Importing this package imports
sympy and collects all steps.
"""

from wildmiddle.theory.proofs import (
    alignment,
    coverage,
    denoising,
    flow_matching,
    large_noise,
    leading_term,
    locality,
    noncentral,
    posterior,
    regimes,
    remainder,
    schedules,
    second_order,
    sharper_posterior,
    shells,
    small_noise,
    torus,
)
from wildmiddle.theory.proofs.step import STEPS, Step

__all__ = [
    "STEPS",
    "Step",
    "alignment",
    "coverage",
    "denoising",
    "flow_matching",
    "large_noise",
    "leading_term",
    "locality",
    "noncentral",
    "posterior",
    "regimes",
    "remainder",
    "schedules",
    "second_order",
    "sharper_posterior",
    "shells",
    "small_noise",
    "torus",
]
