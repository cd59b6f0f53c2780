"""Slips in Theorems 4.10 and D.4."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wildmiddle.checks.mutants.mutant import Mutant, slips
from wildmiddle.theory import locality


def _bound(
    formula: Callable[..., Any] = lambda v, d, r: v / (2 * d * np.sin(np.pi * r / d)),
    variation: Callable[[Any, Any], Any] = locality.total_variation,
) -> Callable[[Any], Any]:
    # formula(TV, d, rho) in place of the bound, TV by variation(eigenvalues, sigma).
    def bound(eigenvalues: Any, sigma: Any, rho: Any) -> Any:
        d = np.asarray(eigenvalues).shape[-1]
        return formula(variation(eigenvalues, sigma), d, np.asarray(rho))

    return lambda _: bound


def _response(formula: Callable[..., Any]) -> Callable[[Any], Any]:
    # The total variation of formula(eigenvalues, sigma) in place of mu.
    def variation(eigenvalues: Any, sigma: Any) -> Any:
        mu = formula(np.asarray(eigenvalues), sigma)
        return np.abs(np.roll(mu, -1, -1) - mu).sum(-1)

    return _bound(variation=variation)


def _variation(total: Callable[[Any], Any]) -> Callable[[Any], Any]:
    # total(mu) in place of the total variation.
    return _bound(
        variation=lambda eigenvalues, sigma: total(locality.shrinkage(eigenvalues, sigma))
    )


MUTANTS = (
    *slips(
        "4.10",
        "sensitivity_bound",
        {
            "4d for 2d": _bound(lambda v, d, r: v / (4 * d * np.sin(np.pi * r / d))),
            "2 pi for pi": _bound(lambda v, d, r: v / (2 * d * np.sin(np.pi * r / 2 / d))),
            "no d": _bound(lambda v, d, r: v / (2 * np.sin(np.pi * r / d))),
            "no sine": _bound(lambda v, d, r: v / (2 * d) + 0 * r),
            "sigma for sigma^2": _response(lambda e, s: e / (e + s)),
            "2 sigma^2 for sigma^2": _response(lambda e, s: e / (e + 2 * s**2) / 2),
            "TV without its cyclic term": _variation(
                lambda mu: np.abs(np.diff(mu, axis=-1)).sum(-1)
            ),
            "largest step for TV": _variation(lambda mu: np.abs(np.roll(mu, -1, -1) - mu).max(-1)),
            "signed steps": _variation(lambda mu: (np.roll(mu, -1, -1) - mu).sum(-1)),
        },
    ),
    Mutant(
        "4.10",
        "1 - mu for mu",
        "sensitivity_bound",
        _response(lambda e, s: s**2 / (e + s**2)),
        true_because="1 - mu has the total variation of mu: the same bound",
    ),
    *slips(
        "4.10",
        "harmonic_bound",
        {
            "8 rho for 4 rho": _bound(lambda v, d, r: v / (8 * r)),
            "rho^2 for rho": _bound(lambda v, d, r: v / (4 * r**2)),
            "d - rho for rho": _bound(lambda v, d, r: v / (4 * (d - r))),
        },
    ),
)


def _range(formula: Callable[..., Any]) -> Callable[[Any], Any]:
    # formula(mu_min, mu_max, sine, d, p) in place of the bound from the range
    def wrong(_: Any) -> Any:
        def bound(low: Any, high: Any, sigma: Any, rho: Any, d: Any, peaks: Any) -> Any:
            ends = (value / (value + sigma**2) for value in (low, high))
            return formula(*ends, np.sin(np.pi * rho / d), d, peaks)

        return bound

    return wrong


MUTANTS += (
    *slips(
        "4.10b",
        "range_bound",
        {
            "one peak for p": _range(lambda low, high, sine, d, p: (high - low) / (d * sine)),
            "2d for d": _range(lambda low, high, sine, d, p: p * (high - low) / (2 * d * sine)),
            "mu_max alone": _range(lambda low, high, sine, d, p: p * high / (d * sine)),
            "no d": _range(lambda low, high, sine, d, p: p * (high - low) / sine),
            "sigma for sigma^2": lambda f: (
                lambda low, high, sigma, *rest: f(low, high, np.sqrt(sigma), *rest)
            ),
            "eigenvalues for mu": lambda f: (
                lambda low, high, sigma, rho, d, p: p * (high - low) / (d * np.sin(np.pi * rho / d))
            ),
        },
    ),
    *slips(
        "4.10b",
        "single_frequency",
        {
            "mu_0 for mu_0/d": lambda f: lambda eigenvalue, sigma, d: d * f(eigenvalue, sigma, d),
            "1/sigma^2 for mu": lambda f: lambda eigenvalue, sigma, d: 1 / (sigma**2 * d),
            "a decay": lambda f: lambda eigenvalue, sigma, d: f(eigenvalue, sigma, d) / 2,
        },
    ),
    *slips(
        "4.10b",
        "autoregressive_decay",
        {
            "a for q": lambda f: lambda a, sigma: a,
            "sigma for sigma^2 in q": lambda f: lambda a, sigma: f(a, np.sqrt(sigma)),
            "faster for more concentrated": lambda f: lambda a, sigma: f(1 - a, sigma),
        },
    ),
)

NO_CHECK = {
    "D.1": "an identity; Theorem 4.10 is checked against automatic derivatives",
    "D.3": "an identity, proved step by step; Theorem 4.10 is checked on dense covariances",
}
"""Why these claims have no check of their own."""
