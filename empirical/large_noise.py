"""How far the empirical optimal denoiser is from the Gaussian one at large noise (Theorem 4.11)."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.kernels.device import as_rows
from wildmiddle.empirical.posterior import posterior_mean

Array = NDArray[np.float64]


def deviation(
    train: ArrayLike | torch.Tensor, y: ArrayLike, sigma: float, device: str | torch.device = "auto"
) -> Array:
    """``m_sigma(y) - m^G_sigma(y)`` of the training points, their moments given to the Gaussian.

    ``train`` (N, ...), ``y`` (B, d); returns (B, d) float64. Both denoisers are computed about the
    mean, where their difference loses the fewest digits. Source: Eq. 2, Eq. 7.
    """
    points = as_rows(train, device)
    mean = points.mean(0)
    centred = points - mean
    shifted = torch.as_tensor(np.asarray(y)).to(points) - mean
    levels = torch.full((len(shifted),), sigma, dtype=points.dtype, device=points.device)
    empirical = posterior_mean(shifted, centred, levels)
    # By eigenvectors of S, where `theory` takes singular vectors of the points: a check of both.
    eigenvalues, basis = torch.linalg.eigh(centred.T @ centred / len(centred))
    gain = eigenvalues / (eigenvalues + sigma**2)
    gaussian = (shifted @ basis * gain) @ basis.T
    return (empirical - gaussian).double().cpu().numpy()
