"""Theorems 4.10 and D.4: the denoiser's Jacobian against its bounds, for stationary Gaussian data.

The covariance is that of image rows, made cyclic. The Jacobian is taken from the denoiser itself
by automatic derivatives, so nothing of the Fourier argument enters it.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from wildmiddle.checks.records import Comparison, Parameters, Record, Relation
from wildmiddle.checks.statistics import from_exact
from wildmiddle.checks.study import Study
from wildmiddle.empirical.locality import jacobian, sensitivity_by_distance
from wildmiddle.models import GaussianDenoiser
from wildmiddle.theory import locality

Array = NDArray[np.float64]

ROUNDING = 1e-9
WIDEST = 256
RELATIVE_SIGMAS = (0.1, 0.5, 2.0)
"""Noise levels, in units of the square root of the largest eigenvalue of the covariance."""


def image_rows(images: Array) -> Array:
    """All rows of pixels of the images, one channel each, as (rows, width).

    Flat data (N, d) are taken as rows of d pixels, of which the first 256 are used.
    """
    if images.ndim >= 3:
        across = np.moveaxis(images, 2, -1)  # the width last
        return across.reshape(-1, across.shape[-1])[:, :WIDEST]
    return images[:, :WIDEST]


def sensitivity(first_row: Array, sigma: float) -> Array:
    """Largest ``|J_ij|`` of the Gaussian denoiser at each wrap-around distance, measured."""
    width = len(first_row)
    wrapped = (np.arange(width)[None, :] - np.arange(width)[:, None]) % width
    covariance = torch.as_tensor(first_row[wrapped])
    denoiser = GaussianDenoiser(torch.zeros(width, dtype=torch.float64), covariance)
    measured = jacobian(denoiser, torch.zeros(width, dtype=torch.float64), sigma)
    return sensitivity_by_distance(measured)


def theorem_4_10(study: Study, alpha: float) -> Iterator[Record]:
    """``|J_ij|`` is at most the bound at every distance; equality where the spectrum alternates."""
    first_row = locality.cyclic_covariance(image_rows(study.images))
    eigenvalues = np.maximum(locality.circulant_eigenvalues(first_row), 0)
    rho = np.arange(1.0, len(first_row) // 2 + 1)
    for relative in RELATIVE_SIGMAS if len(rho) and eigenvalues.any() else ():
        sigma = relative * float(np.sqrt(eigenvalues.max()))
        measured = sensitivity(first_row, sigma)[1:]
        for name, bound in _bounds(eigenvalues, sigma, rho):
            worst = int(np.argmax(measured / bound))
            yield _compare(
                f"image rows at sigma = {sigma:.3g}, tightest at distance {rho[worst]:g}",
                name,
                "<=",
                float(bound[worst]),
                float(measured[worst]),
                {"sigma": sigma, "d": len(first_row), "rho": int(rho[worst])},
            )
    yield from _alternating()


def _bounds(eigenvalues: Array, sigma: float, rho: Array) -> list[tuple[str, Array]]:
    return [
        ("TV / (2 d sin(pi rho/d))", locality.sensitivity_bound(eigenvalues, sigma, rho)),
        ("TV / (4 rho)", locality.harmonic_bound(eigenvalues, sigma, rho)),
    ]


def _compare(
    instance: str,
    name: str,
    relation: Relation,
    bound: float,
    measured: float,
    parameters: Parameters,
) -> Record:
    comparison = Comparison(
        claim="4.10",
        instance=instance,
        quantity=f"|J_ij| against {name}",
        relation=relation,
        bound=bound,
        rounding=ROUNDING,
        parameters=parameters,
    )
    return from_exact(comparison, measured)


def _alternating() -> Iterator[Record]:
    # The covariance lives on every second frequency; at sigma = 2 the others have mu = 3/4.
    d, sigma = 8, 2.0
    eigenvalues = np.tile([0.0, 12.0], d // 2)
    first_row = np.fft.ifft(eigenvalues).real
    first_row = (first_row + np.roll(first_row[::-1], 1)) / 2
    measured = float(sensitivity(first_row, sigma)[d // 2])
    for name, bound in _bounds(eigenvalues, sigma, np.array(d // 2)):
        yield _compare(
            "alternating spectrum, opposite pixels, where the bound is an equality",
            name,
            "==",
            float(bound),
            measured,
            {"sigma": sigma, "d": d, "rho": d // 2},
        )
