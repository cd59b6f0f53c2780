"""Slips in Lemma A.1, Corollary A.2 and the time of flow matching."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtr

from wildmiddle.checks.mutants.mutant import Mutant, slips
from wildmiddle.theory import posterior
from wildmiddle.theory.flow_matching import CosineBound


def _failure(formula: Callable[..., Any]) -> Callable[[Any], Any]:
    # formula(d, sigma, N, L) in place of (N - 1)(1 - Phi(tau))
    def wrong(_: Any) -> Any:
        def failure(d: Any, sigma: Any, n: Any, w: Any) -> Any:
            return np.minimum(1, formula(d, sigma, n, posterior.log_odds(n, w)))

        return failure

    return wrong


def _cosine(change: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[[Any], Any]:
    # change((B-e)/(B+e), sqrt(1-(e/B)^2)) in place of the two cosines
    def wrong(f: Any) -> Any:
        def bound(*given: Any, **named: Any) -> CosineBound:
            right = f(*given, **named)
            cosine, sharp = change(right.cosine, right.sharp_cosine)
            return right._replace(cosine=cosine, sharp_cosine=sharp)

        return bound

    return wrong


def _length(formula: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda _: lambda norm, d, a, b: np.sqrt(np.maximum(formula(norm, d, a, b), 0))


MUTANTS = (
    *slips(
        "A.1",
        "concentration_failure",
        {
            "no N-1": _failure(lambda d, s, n, m: ndtr(-(d / (2 * s) - m * s / d))),
            "N for N-1": _failure(lambda d, s, n, m: n * ndtr(-(d / (2 * s) - m * s / d))),
            "d/sigma for d/(2 sigma)": _failure(
                lambda d, s, n, m: (n - 1) * ndtr(-(d / s - m * s / d))
            ),
            "plus for minus in tau": _failure(
                lambda d, s, n, m: (n - 1) * ndtr(-(d / (2 * s) + m * s / d))
            ),
            "sigma^2 for sigma in tau": _failure(
                lambda d, s, n, m: (n - 1) * ndtr(-(d / (2 * s) - m * s**2 / d))
            ),
            "Phi(tau) for 1 - Phi(tau)": _failure(
                lambda d, s, n, m: (n - 1) * ndtr(d / (2 * s) - m * s / d)
            ),
        },
    ),
    *slips(
        "A.1",
        "denoiser_reach",
        {
            "half the reach": lambda f: lambda w, diam: f(w, diam) / 2,
            "(1-w)^2 for 1-w": lambda f: lambda w, diam: (1 - w) * f(w, diam),
        },
    ),
    Mutant(
        "A.1",
        "w for 1-w",
        "denoiser_reach",
        lambda f: lambda w, diam: np.asarray(w) * diam,
        true_because="above w = 1/2, where the lemma is used, w diam only reaches farther; on two "
        "points at w = 0.9 it is nine times too far",
    ),
    *slips(
        "A.1",
        "flow_time",
        {
            "t = 1/(1 + sigma^2)": lambda f: lambda sigma: f(sigma**2),
            "t = sigma/(1 + sigma)": lambda f: lambda sigma: 1 - f(sigma),
        },
    ),
    *slips(
        "A.2",
        "cosine_bound",
        {
            "sign of e: a cosine above 1": _cosine(lambda p, s: (1 / p, s)),
            "1 - (e/B)^2 without the root": _cosine(lambda p, s: (p, s**2)),
            "plus under the root": _cosine(lambda p, s: (p, np.sqrt(2 - s**2))),
            "e/2 for e": _cosine(lambda p, s: (p, np.sqrt(1 - (1 - s**2) / 4))),
        },
    ),
    Mutant(
        "A.2",
        "(B-e)/B for (B-e)/(B+e)",
        "cosine_bound",
        _cosine(lambda p, s: (2 * p / (1 + p), s)),
        true_because="1 - e/B is below sqrt(1 - (e/B)^2) too: the paper's own proof can have it",
    ),
    *slips(
        "A.2",
        "shortest_target",
        {
            "a for 2a in B": _length(lambda x, d, a, b: x**2 - a * x + d - 2 * np.sqrt(d * b)),
            "plus 2a|x| in B": _length(
                lambda x, d, a, b: x**2 + 2 * a * x + d - 2 * np.sqrt(d * b)
            ),
            "plus 2 sqrt(db) in B": _length(
                lambda x, d, a, b: x**2 - 2 * a * x + d + 2 * np.sqrt(d * b)
            ),
        },
    ),
    *slips(
        "A.2",
        "shortfall",
        {
            "no e^-b": lambda f: lambda a, b: ndtr(-a),
            "no Phi(-a)": lambda f: lambda a, b: np.exp(-b),
            "Phi(-2a) for Phi(-a)": lambda f: lambda a, b: ndtr(-2 * a) + np.exp(-b),
        },
    ),
    *slips(
        "A.2",
        "exact_shortfall",
        {
            "|x| for |x|^2": lambda f: lambda length, norm, d: f(length, np.sqrt(norm), d),
            "|x|^2/2 for |x|^2": lambda f: lambda length, norm, d: f(length, norm / 2**0.5, d),
            "central for noncentral": lambda f: lambda length, norm, d: f(length, 0 * norm, d),
            "d - 1 for d": lambda f: lambda length, norm, d: f(length, norm, d - 1),
            "B for B^2": lambda f: lambda length, norm, d: f(np.sqrt(length), norm, d),
        },
    ),
)

NO_CHECK = {
    **dict.fromkeys(
        ("eq.20", "eq.21", "eq.22", "eq.23", "eq.24"),
        "an identity; Lemma A.1 is checked with the fields computed in flow time",
    ),
    "A.3": "an average of Corollary A.2, which is checked image by image",
}
"""Why these claims have no check of their own."""
