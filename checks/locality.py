"""Theorems 4.10 and D.4: the denoiser's Jacobian against its bounds, for stationary Gaussian data.

The covariance is that of image rows, made cyclic. The Jacobian is taken from the denoiser itself
by automatic derivatives, so nothing of the Fourier argument enters it.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from wildmiddle.checks.records import Comparison, Parameters, Record, Relation
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.sharper import Sharper, Truth, sharper_form
from wildmiddle.checks.statistics import from_exact
from wildmiddle.checks.study import Study
from wildmiddle.empirical.locality import jacobian, sensitivity_by_distance
from wildmiddle.models import GaussianDenoiser
from wildmiddle.theory import locality

Array = NDArray[np.float64]

ROUNDING = 1e-9
WIDEST = 256
MOST_IMAGES = 4096
RELATIVE_SIGMAS = (0.1, 0.5, 2.0)
"""Noise levels, in units of the square root of the largest eigenvalue of the covariance."""
SQUEEZED = (1.0, 0.5, 0.1)
"""How far eigenvalues stay from their mean, as shares of where they are."""
RELATIVE_SIGMA = 0.5
"""The one at which the sharper forms are compared."""


def image_rows(images: Array) -> Array:
    """All rows of pixels of the first 4,096 images, one channel each, as (rows, width).

    Flat data (N, d) are taken as rows of d pixels, of which the first 256 are used.
    """
    images = images[:MOST_IMAGES]
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


def theorem_4_10(
    study: Study,
    alpha: float,
    *,
    sensitivity_bound: Formula = locality.sensitivity_bound,
    harmonic_bound: Formula = locality.harmonic_bound,
) -> Iterator[Record]:
    """``|J_ij|`` is at most the bound at every distance; equality where the spectrum alternates."""
    bounds = {"TV / (2 d sin(pi rho/d))": sensitivity_bound, "TV / (4 rho)": harmonic_bound}
    first_row, eigenvalues = _spectrum(study)
    rho = np.arange(1.0, len(first_row) // 2 + 1)
    for relative in RELATIVE_SIGMAS if len(rho) and eigenvalues.any() else ():
        sigma = relative * float(np.sqrt(eigenvalues.max()))
        measured = sensitivity(first_row, sigma)[1:]
        for name, formula in bounds.items():
            bound = formula(eigenvalues, sigma, rho)
            worst = int(np.argmax(measured / bound))
            yield _compare(
                f"image rows at sigma = {sigma:.3g}, tightest at distance {rho[worst]:g}",
                name,
                "<=",
                float(bound[worst]),
                float(measured[worst]),
                {"sigma": sigma, "d": len(first_row), "rho": int(rho[worst])},
            )
    yield from _alternating_spectrum(bounds)


def second_sentence_of_4_10(
    study: Study,
    alpha: float,
    *,
    range_bound: Formula = locality.range_bound,
    single_frequency: Formula = locality.single_frequency,
    autoregressive_decay: Formula = locality.autoregressive_decay,
) -> Iterator[Record]:
    """A narrower range of eigenvalues lowers the bound; fewer frequencies make no faster decay."""
    first_row, eigenvalues = _spectrum(study)
    width = len(first_row)
    rho = np.arange(1.0, width // 2 + 1)
    for share in SQUEEZED if len(rho) and eigenvalues.any() else ():
        # Eigenvalues drawn towards their mean, in the same order: concentrated in a narrower range.
        values = eigenvalues.mean() + share * (eigenvalues - eigenvalues.mean())
        row = np.fft.ifft(values).real
        sigma = RELATIVE_SIGMA * float(np.sqrt(eigenvalues.max()))
        measured = sensitivity((row + np.roll(row[::-1], 1)) / 2, sigma)[1:]
        peaks = int(locality.count_peaks(values))
        bound = range_bound(values.min(), values.max(), sigma, rho, width, peaks)
        worst = int(np.argmax(measured / bound))
        yield _compare(
            f"image rows, eigenvalues at {share:g} of their distance from the mean,"
            f" tightest at distance {rho[worst]:g}",
            "p (mu_max - mu_min) / (d sin(pi rho/d))",
            "<=",
            float(bound[worst]),
            float(measured[worst]),
            {"sigma": sigma, "d": width, "rho": int(rho[worst]), "peaks": peaks},
            "4.10b",
        )
    sigma, d = 2.0, 64
    for lowest, highest, peaks in ((0.0, 12.0, d // 2), (3.0, 8.0, d // 2)):
        row = np.fft.ifft(np.tile([lowest, highest], d // 2)).real
        yield _compare(
            f"eigenvalues {lowest:g} and {highest:g} in turn, where the bound is an equality",
            "p (mu_max - mu_min) / (d sin(pi rho/d))",
            "==",
            float(range_bound(lowest, highest, sigma, d / 2, d, peaks)),
            float(sensitivity((row + np.roll(row[::-1], 1)) / 2, sigma)[d // 2]),
            {"sigma": sigma, "d": d, "rho": d // 2, "peaks": peaks},
            "4.10b",
        )
    for distance in (1, d // 2):
        yield _compare(
            f"one frequency alone, pixels {distance} apart: no decay",
            "mu_0 / d",
            "==",
            float(single_frequency(float(d), sigma, d)),
            float(sensitivity(np.ones(d), sigma)[distance]),
            {"sigma": sigma, "d": d, "rho": distance},
            "4.10b",
        )
    for correlation in (0.3, 0.6):
        distances = np.arange(d)
        row = correlation ** np.minimum(distances, d - distances)
        kernel = sensitivity(row, sigma)
        yield _compare(
            f"autoregressive rows of correlation {correlation:g}: ten pixels farther",
            "q^10",
            "==",
            float(autoregressive_decay(correlation, sigma)) ** 10,
            float(kernel[11] / kernel[1]),
            {"sigma": sigma, "d": d, "a": correlation},
            "4.10b",
        )


CHECKS: dict[str, Check] = {"4.10": theorem_4_10, "4.10b": second_sentence_of_4_10}


def _spectrum(study: Study) -> tuple[Array, Array]:
    # First row and eigenvalues of the cyclic covariance of the image rows.
    first_row = locality.cyclic_covariance(image_rows(study.images))
    return first_row, np.maximum(locality.circulant_eigenvalues(first_row), 0)


def _compare(
    instance: str,
    name: str,
    relation: Relation,
    bound: float,
    measured: float,
    parameters: Parameters,
    claim: str = "4.10",
) -> Record:
    comparison = Comparison(
        claim=claim,
        instance=instance,
        quantity=f"|J_ij| against {name}",
        relation=relation,
        bound=bound,
        rounding=ROUNDING,
        parameters=parameters,
    )
    return from_exact(comparison, measured)


def _alternating_spectrum(bounds: dict[str, Formula]) -> Iterator[Record]:
    # The covariance lives on every second frequency; at sigma = 2 the others have mu = 3/4.
    d, sigma = 8, 2.0
    eigenvalues = np.tile([0.0, 12.0], d // 2)
    first_row = np.fft.ifft(eigenvalues).real
    first_row = (first_row + np.roll(first_row[::-1], 1)) / 2
    measured = float(sensitivity(first_row, sigma)[d // 2])
    for name, formula in bounds.items():
        yield _compare(
            "alternating spectrum, opposite pixels, where the bound is an equality",
            name,
            "==",
            float(formula(eigenvalues, sigma, np.array(d // 2))),
            measured,
            {"sigma": sigma, "d": d, "rho": d // 2},
        )


def sharper(study: Study) -> Iterator[Sharper]:
    """The sine in the place of the distance on rows of pixels, and the torus on whole images."""
    yield from _sharper_cycle(study)
    yield from _sharper_torus(study)


def _sharper_cycle(study: Study) -> Iterator[Sharper]:
    first_row, eigenvalues = _spectrum(study)
    width, top = len(first_row), float(eigenvalues.max())
    if width < 2 or top == 0:
        return
    sigma, rho = RELATIVE_SIGMA * float(np.sqrt(top)), max(1, width // 4)
    paper, ours, exact = (
        float(form(eigenvalues, sigma, rho))
        for form in (locality.harmonic_bound, locality.sensitivity_bound, locality.sensitivity)
    )
    name = f"|J| {rho} apart on rows of {width} pixels, σ = {sigma:.3g}, by the sine"
    yield sharper_form("4.10", name, "smaller", paper, ours, Truth.exact(exact))


def _sharper_torus(study: Study) -> Iterator[Sharper]:
    images = study.images[:MOST_IMAGES]
    images = images if images.ndim == 3 else images.mean(axis=-1)
    if images.ndim != 3 or min(images.shape[1:]) < 2:
        return
    eigenvalues = np.maximum(locality.torus_eigenvalues(locality.torus_covariance(images)), 0)
    if eigenvalues.max() == 0:
        return
    sigma = RELATIVE_SIGMA * float(np.sqrt(eigenvalues.max()))
    down, across = (max(1, side // 4) for side in images.shape[1:])
    # The paper's argument along one axis at a time, for each frequency of the other.
    paper = min(
        float(locality.total_variation(table, sigma).mean()) / (4 * rho)
        for table, rho in ((eigenvalues.T, down), (eigenvalues, across))
    )
    ours = float(locality.torus_sensitivity_bound(eigenvalues, sigma, down, across))
    kernel = np.abs(np.fft.ifft2(eigenvalues / (eigenvalues + sigma**2)).real)
    exact = float(max(kernel[down, across], kernel[down, -across]))
    name = f"|J| {down} down and {across} across on whole images, σ = {sigma:.3g}, on a torus"
    yield sharper_form("4.10", name, "smaller", paper, ours, Truth.exact(exact))
