"""Slips in Theorem 4.11, its leading term and its remainder."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wildmiddle.checks.mutants.mutant import slips


def _term(along: float, cubic: float, power: int = 2, centred: bool = True) -> Callable[[Any], Any]:
    # along E[X <X, z>^2] + cubic E[X |X|^power]
    def wrong(_: Any) -> Any:
        def leading_term(points: Any, z: Any = None) -> Any:
            x = points - points.mean(0) if centred else np.asarray(points)
            size = np.linalg.norm(x, axis=1, keepdims=True)
            fixed = cubic * (x * size**power).mean(0)
            if z is None:
                return fixed
            return along * (np.asarray(z) @ x.T) ** 2 @ x / len(x) + fixed

        return leading_term

    return wrong


def _ball(half: float, power: int, less: float = 1.0, moment: int = 3) -> Callable[[Any], Any]:
    # half max(1, k^power - less) E|X|^moment, the rest of the bound as it is
    def wrong(f: Any) -> Any:
        def bound(points: Any, ball: Any, sigma: Any) -> Any:
            lengths = np.linalg.norm(points - points.mean(0), axis=1)
            reach = ball + np.linalg.norm(points.mean(0)) / sigma
            right = np.maximum(1, reach**2 - 1) * (lengths**3).mean() / 2
            slip = half * np.maximum(1, reach**power - less) * (lengths**moment).mean()
            return f(points, ball, sigma) - right + slip

        return bound

    return wrong


def _gaussian(gain: Callable[[Any, float], Any], mean: float = 1.0) -> Callable[[Any], Any]:
    # mean * mu + gain(S, sigma) (y - mu)
    def wrong(_: Any) -> Any:
        def denoiser(y: Any, points: Any, sigma: float) -> Any:
            mu = points.mean(0)
            covariance = np.cov(points.T, bias=True)
            return mean * mu + (np.asarray(y) - mu) @ gain(covariance, sigma)

        return denoiser

    return wrong


def _solve(covariance: Any, noise: float) -> Any:
    return np.linalg.solve(covariance + noise * np.eye(len(covariance)), covariance)


MUTANTS = (
    *slips(
        "4.11",
        "leading_term",
        {
            "the sign flipped": _term(-0.5, 0.5),
            "1 for 1/2": _term(1.0, -1.0),
            "no term in |X|^2": _term(0.5, 0.0),
            "no term in z": _term(0.0, -0.5),
            "the sign of the second term": _term(0.5, 0.5),
            "|X| for |X|^2": _term(0.5, -0.5, power=1),
            "points not centred": _term(0.5, -0.5, centred=False),
        },
    ),
    *slips(
        "4.11",
        "order",
        {
            "order 1 for 2": lambda order: 1,
            "order 3 for 2": lambda order: 3,
        },
    ),
    *slips(
        "4.11",
        "remainder_bound",
        {
            "remainder of order 4": lambda f: lambda points, y, sigma: f(points, y, sigma) / sigma,
            "remainder without constants": lambda f: lambda p, y, s: 1e-4 * f(p, y, s),
        },
    ),
    *slips(
        "4.11",
        "ball_bound",
        {
            "1/4 for 1/2": _ball(0.25, 2),
            "K for K^2": _ball(0.5, 1),
            "no 1/2": _ball(1.0, 2),
            "K^2 for K^2 - 1": _ball(0.5, 2, 0.0),
            "second for third moment": _ball(0.5, 2, moment=2),
            "1/sigma too many": lambda f: (
                lambda points, ball, sigma: f(points, ball, sigma) / sigma
            ),
        },
    ),
    *slips(
        "4.11",
        "gaussian_denoiser",
        {
            "sigma for sigma^2 in m^G": _gaussian(lambda S, s: _solve(S, s)),
            "m^G without the mean": _gaussian(lambda S, s: _solve(S, s**2), 0.0),
            "m^G of unit covariance": _gaussian(lambda S, s: np.eye(len(S)) / (1 + s**2)),
            "sample covariance, N - 1": _gaussian(lambda S, s: _solve(S * 1.25, s**2)),
        },
    ),
)

NO_CHECK = {
    "eq.7": "checked with Theorem 4.11, against a second encoding",
    "C.1": "a statement of smoothness, proved step by step",
    "C.2": "a statement of smoothness, proved step by step",
    "C.3": "an identity, proved step by step",
}
"""Why these claims have no check of their own."""
