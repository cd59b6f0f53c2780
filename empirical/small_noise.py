"""The shell-only training objective, estimated for any denoiser (Theorem B.6)."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from wildmiddle.empirical.kernels.processes import map_rows
from wildmiddle.empirical.noise import Block, blocks
from wildmiddle.theory.constants import SHELL_WIDTH
from wildmiddle.theory.shells import radii

Array = NDArray[np.float64]


def shell_noise(noise: torch.Tensor, volume: torch.Tensor, c: float = SHELL_WIDTH) -> torch.Tensor:
    """Points uniform on the unit shell: direction by ``noise`` (B, d), radius by ``volume``.

    ``volume`` (B,), uniform on [0, 1], is the share of the shell inside the point.
    """
    d = noise.shape[1]
    r_in, r_out = (float(r) for r in radii(d, c))
    radius = r_out * (volume + (1 - volume) * (r_in / r_out) ** d) ** (1 / d)
    return noise * (radius / torch.linalg.vector_norm(noise, dim=1))[:, None]


def shell_losses(
    denoiser: Callable[[torch.Tensor, float], torch.Tensor],
    points: torch.Tensor,
    sigma: float,
    *,
    queries: int,
    c: float = SHELL_WIDTH,
    seed: int = 0,
    stream: str = "shell-loss",
) -> Array:
    """``|f(x_i + sigma U) - x_i|^2`` of uniformly drawn training points i, U uniform on the shell.

    ``points`` (N, d); returns (queries,). N times the mean is the objective of Theorem B.6.
    """

    def losses(block: Block) -> Array:
        z = torch.as_tensor(block.draw()).to(points)
        x = points[torch.as_tensor(block.indices).to(points.device)]
        noisy = x + sigma * shell_noise(z[:, 1:], torch.special.ndtr(z[:, 0]), c)
        return (denoiser(noisy, sigma) - x).square().sum(1).double().cpu().numpy()

    # One more normal than dimensions: its distribution function is the uniform for the radius.
    drawn = blocks(seed, stream, queries, points.shape[1] + 1, len(points))
    return map_rows(losses, list(drawn))[:queries]
