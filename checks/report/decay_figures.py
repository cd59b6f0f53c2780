"""The two figures of decay: with the noise level (Theorem 4.11), with distance (Theorem 4.10)."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wildmiddle.checks.large_noise import coordinates_in_span
from wildmiddle.checks.locality import RELATIVE_SIGMAS, image_rows, sensitivity
from wildmiddle.checks.report.svg import (
    COVERAGE,
    INK,
    MUTED,
    WEIGHT,
    Drawing,
    Key,
    drawing,
    over_sigma,
    panels,
    plain_log,
)
from wildmiddle.checks.study import Study
from wildmiddle.empirical.large_noise import deviation
from wildmiddle.empirical.noise import generator
from wildmiddle.theory import large_noise, locality

Array = NDArray[np.float64]


def large_noise_order(study: Study) -> Drawing:
    """The deviation from the Gaussian denoiser, its leading term and its remainder."""
    images = coordinates_in_span(study.train)
    points: Array = images - images.mean(0)
    z = generator(study.settings.seed, "figure of 4.11").standard_normal(points.shape[1:])
    sigmas = np.geomspace(10, 1e6, 16)
    leading = large_noise.leading_term(points, z)
    order = float(np.linalg.norm(leading)) / sigmas**2
    gap, left, bound = (np.empty(len(sigmas)) for _ in range(3))
    for k, sigma in enumerate(sigmas.tolist()):
        difference = deviation(points, sigma * z[None], sigma, "cpu")[0]
        gap[k] = np.linalg.norm(difference)
        left[k] = np.linalg.norm(difference - leading / sigma**2)
        bound[k] = large_noise.remainder_bound(points, sigma * z, sigma)
    left[left < 1e-14 * np.linalg.norm(points, axis=1).max()] = np.nan  # rounding is all it is

    def draw(figure: Figure, roomy: bool) -> None:
        (axes,) = panels(figure, left=44)
        over_sigma(axes, 8, 1.3e6)
        axes.set_yscale("log")
        axes.plot(sigmas, bound, color=COVERAGE, linestyle=(0, (5, 2)))
        axes.plot(sigmas, left, "s", color=COVERAGE)
        axes.plot(sigmas, order, color=WEIGHT)
        axes.plot(sigmas, gap, "o", color=WEIGHT)
        guide = np.array([3e3, 3e5])
        height = order[0] * (guide / sigmas[0]) ** -2 * 60
        axes.plot(guide, height, color=MUTED, linewidth=1)
        axes.text(3.6e4, float(np.sqrt(height.prod())) * 2, "slope −2", color=INK)
        axes.set_ylabel("distance of the denoisers")
        plain_log(axes, "y")

    return drawing(
        "large-noise",
        draw,
        title="Large noise: the empirical denoiser against the Gaussian one",
        caption=f"Along one random direction y = μ + σz, for the first {len(points)} training "
        "images. Theorem 4.11 holds where the blue points run along the blue line, which falls as "
        "σ⁻², and the orange points stay below their bound, which falls as σ⁻³. Nothing is drawn "
        "at random but z, so there are no intervals. Orange points that rounding would swamp are "
        "left out.",
        legend=(
            Key("|m − mᴳ|", WEIGHT, "points"),
            Key("leading term |T(z)|/σ²", WEIGHT, "line"),
            Key("|m − mᴳ − T(z)/σ²|", COVERAGE, "squares"),
            Key("remainder bound", COVERAGE, "dash"),
        ),
        wide=(7.6, 3.4),
        narrow=(3.7, 3.4),
    )


def sensitivity_decay(study: Study) -> Drawing | None:
    """Sensitivity between pixels by distance against Theorem 4.10's two bounds.

    None where the images' rows have a single pixel, and so no distances.
    """
    first_row = locality.cyclic_covariance(image_rows(study.images))
    if len(first_row) < 2:
        return None
    eigenvalues = np.maximum(locality.circulant_eigenvalues(first_row), 0)
    rho = np.arange(1, len(first_row) // 2 + 1)
    sigmas = [relative * float(np.sqrt(eigenvalues.max())) for relative in RELATIVE_SIGMAS]
    measured = [sensitivity(first_row, sigma)[1:] for sigma in sigmas]
    sharp = [locality.sensitivity_bound(eigenvalues, sigma, rho) for sigma in sigmas]
    harmonic = [locality.harmonic_bound(eigenvalues, sigma, rho) for sigma in sigmas]
    top = 2 * float(np.max(harmonic))
    floor = max(float(np.min(measured)) / 2, top * 1e-8)

    def draw(figure: Figure, roomy: bool) -> None:
        count = len(sigmas)
        grid = (count, 1) if roomy else (1, count)
        drawn = panels(figure, *grid, left=44, top=18, gap=14 if roomy else 30)
        for k, axes in enumerate(drawn):
            axes.plot(rho, harmonic[k], color=MUTED, linestyle=(0, (5, 2)))
            axes.plot(rho, sharp[k], color=MUTED)
            axes.plot(rho, np.maximum(measured[k], floor), "o", color=WEIGHT, markersize=4)
            axes.set_title(f"σ = {sigmas[k]:.3g}")
            axes.set_yscale("log")
            axes.set_ylim(floor, top)
            plain_log(axes, "y")
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
            if roomy and k:
                axes.tick_params(axis="y", which="both", left=False, labelleft=False)
            if not roomy and k < count - 1:
                axes.tick_params(axis="x", labelbottom=False)
        drawn[0 if roomy else 1].set_ylabel("sensitivity |J| at distance ρ")
        drawn[1 if roomy else 2].set_xlabel("wrap-around distance ρ in pixels")

    return drawing(
        "sensitivity",
        draw,
        title="Sensitivity between pixels decays with their distance",
        caption="The Gaussian denoiser of stationary data with the row covariance of these images, "
        "made cyclic. Theorem 4.10 holds where every point lies below both lines. Everything is "
        "computed and nothing drawn at random, so there are no intervals.",
        legend=(
            Key("largest |J| at distance ρ", WEIGHT, "points"),
            Key("TV / (2d sin(πρ/d))", MUTED, "line"),
            Key("TV / (4ρ)", MUTED, "dash"),
        ),
        wide=(7.6, 2.8),
        narrow=(3.7, 5.4),
    )
