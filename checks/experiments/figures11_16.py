"""Figures 11 to 16: single steps at six noise levels, with the nearest training images.

The same held-out images at every level, the first ones, each with its own noise. The rates are
figure2's, of its noised images, which are many more.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.samples import is_copy, pixels
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.report.image_grids import Strip, draw_strips, vstack_pairs
from wildmiddle.empirical.noise import blocks
from wildmiddle.models import one_step

LEVELS = 6
"""Noise levels: evenly spaced indices of the schedule, both ends among them."""

IMAGES = 8
"""Held-out images, the first ones."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Denoise some held-out images in one step; no verdict, figure2 has it."""
    denoisers = study.denoisers
    device, few = study.torch_device, study.few
    test = study.fresh.to(device)
    clean = test[:IMAGES]
    (block,) = blocks(study.settings.seed, one_step.STREAM, len(clean), clean[0].numel())
    noise = torch.as_tensor(block.noise[: len(clean)]).to(clean).reshape(clean.shape)
    n = study.scale.outputs
    rows: list[TableRow] = []
    panels: dict[str, list[Strip]] = {}
    for k in np.linspace(0, len(study.sigmas) - 1, LEVELS).round().astype(int).tolist():
        sigma = float(study.sigmas[k])
        noisy = clean + sigma * noise
        strips = [
            Strip(pixels(study, clean), label="held-out image"),
            Strip(pixels(study, noisy), label="with noise"),
        ]
        for name, denoiser in denoisers.items():
            with torch.no_grad():
                output = denoiser(noisy, sigma).cpu()
            found = study.compare(output)
            pair = vstack_pairs(pixels(study, output), pixels(study, few[found.nearest]))
            stream = f"{one_step.STREAM}/{k}"  # figure2's
            count = one_step.count_copies(
                denoiser,
                test,
                few,
                sigma,
                n,
                study.settings.seed,
                stream=stream,
                device=device,
                mirrored=study.mirrored,
            )
            label = f"{name},\nnearest of training"
            strips.append(Strip(pair, is_copy(found), label, f"{100 * count / n:.1f}%"))
            columns = found.nearest.tolist(), found.ratio.tolist(), is_copy(found).tolist()
            rows += [
                (k, sigma, image, name, nearest, ratio, int(copy), count, n)
                for image, (nearest, ratio, copy) in enumerate(zip(*columns, strict=True))
            ]
        panels[f"step {k}, σ = {sigma:.3g}"] = strips

    def draw(figure: Figure) -> None:
        grid = figure.subplots(3, LEVELS // 3)
        for at, (axes, (title, strips)) in enumerate(zip(grid.flat, panels.items(), strict=True)):
            draw_strips(axes, strips, title)
            if at % (LEVELS // 3):
                axes.set_yticks([])  # the labels of the first in the row

    return ExperimentResult(
        "figures11-16",
        "single steps of the three denoisers beside the nearest training images, from the largest "
        "noise to the smallest: the pictures to figure2.",
        (),
        (
            "step",
            "sigma",
            "image",
            "denoiser",
            "nearest",
            "ratio",
            "memorized",
            "memorized of the level",
            "outputs of the level",
        ),
        tuple(rows),
        draw,
        height=9,
        shows_images=True,
    )
