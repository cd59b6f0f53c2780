"""Denoisers: callables ``denoiser(x, sigma) -> x_hat``, the optimal ones and their switching."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike

from wildmiddle.empirical.data.conventions import require_same_shape
from wildmiddle.empirical.kernels.device import as_rows, resolve_device
from wildmiddle.empirical.posterior import posterior_mean


class Denoiser(Protocol):
    """Anything that turns noisy images into an estimate of the clean ones.

    ``x`` (B, ...) is a batch at noise ``sigma``, a number or one per image (B,), in the units of
    the data; the result has the shape of ``x``.
    """

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        """Estimate the clean images behind ``x`` (B, ...) at noise ``sigma``."""
        ...


def per_image(
    sigma: torch.Tensor | float, x: torch.Tensor, *, finite: bool = False
) -> torch.Tensor:
    """Sigma as one value per image, (B,), on the device and in the precision of ``x``.

    At sigma = inf the exact denoisers have a limit, the mean of the images; ``finite`` refuses it.
    Raises ValueError unless sigma > 0 and is a number or has B entries.
    """
    levels = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1)
    if len(levels) not in (1, len(x)):
        raise ValueError(f"sigma has {len(levels)} entries for {len(x)} images; give 1 or one each")
    valid = (levels > 0) & (levels < math.inf) if finite else levels > 0
    if not torch.compiler.is_compiling() and not valid.all():
        need = "above 0 and finite" if finite else "above 0"
        raise ValueError(f"sigma = {float(levels[~valid][0])} must be {need}")
    return levels.expand(len(x))


class EmpiricalDenoiser:
    """The empirical optimal denoiser ``m_sigma^D`` of a training set (Eq. 2 and 3)."""

    def __init__(self, train: ArrayLike | torch.Tensor, device: str | torch.device = "auto"):
        """Keep the training images, (N, d) or (N, ...), as rows in float64."""
        self.points = as_rows(train, resolve_device(device))
        self.shape = tuple(np.shape(train)[1:])
        origin = self.points.mean(0)
        norms = self.points.new_empty(len(self.points))
        for part, own in zip(self.points.split(1024), norms.split(1024), strict=True):
            torch.sum((part - origin).square(), 1, out=own)
        self._about = origin, norms

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        """Posterior mean of the training images given ``x`` (B, ...), computed in float64.

        Raises ValueError where ``x`` has another shape or order of the axes than the training
        images.
        """
        require_same_shape(x.shape[1:], self.shape, "x", "the denoiser")
        y = x.reshape(len(x), -1).to(self.points)
        mean = posterior_mean(y, self.points, per_image(sigma, y), self._about)
        return mean.reshape(x.shape).to(x)


class GaussianDenoiser:
    """The linear denoiser of a Gaussian, ``mu + S (S + sigma^2 I)^-1 (y - mu)`` (Eq. 7)."""

    def __init__(self, mean: torch.Tensor, covariance: torch.Tensor):
        """Keep the mean, (d,) or an image, and the eigenvectors of the covariance (d, d).

        The covariance may be () where d = 1. With a mean of an image's shape other orders of the
        axes are refused.
        """
        self.shape, self.mean = tuple(mean.shape), mean.reshape(-1)
        self.eigenvalues, self.basis = torch.linalg.eigh(torch.atleast_2d(covariance))

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        """Posterior mean of the Gaussian given ``x`` (B, ...)."""
        if len(self.shape) > 1:
            require_same_shape(x.shape[1:], self.shape, "x", "the denoiser")
        else:  # a flat mean says nothing of the order: rows are taken as they come
            require_same_shape((x[0].numel(),), self.shape, "x", "the denoiser")
        y = x.reshape(len(x), -1).to(self.mean) - self.mean
        gain = self.eigenvalues / (self.eigenvalues + per_image(sigma, y)[:, None] ** 2)
        return (self.mean + (y @ self.basis * gain) @ self.basis.T).reshape(x.shape).to(x)


class Piecewise:
    """Several denoisers, each for an interval of sigma, as in the swaps of Table 1.

    ``denoisers[k]`` answers where ``edges[k - 1] <= sigma < edges[k]``, the first below all edges
    and the last from the last edge on; each image by its own sigma. Raises ValueError unless the
    edges are positive, finite, rise, and are one fewer than the denoisers.
    """

    def __init__(self, edges: Sequence[float], denoisers: Sequence[Denoiser]) -> None:
        if len(edges) != len(denoisers) - 1:
            raise ValueError(
                f"{len(edges)} edges for {len(denoisers)} denoisers; give one fewer than denoisers"
            )
        if not all(a < b for a, b in pairwise([0.0, *edges, math.inf])):
            raise ValueError(f"edges {list(edges)} must be above 0 and rise, all finite")
        self.edges = tuple(map(float, edges))
        self.denoisers = tuple(denoisers)

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        """Estimate the clean images behind ``x`` (B, ...) at noise ``sigma``."""
        per_image(sigma, x)  # refuses what no denoiser takes
        exact = sigma.dtype if isinstance(sigma, torch.Tensor) else torch.float64
        levels = torch.as_tensor(sigma, dtype=exact).reshape(-1)
        # Edges in the precision of sigma: a sigma that is an edge, rounded, still is that edge.
        edges = torch.tensor(self.edges, dtype=levels.dtype, device=levels.device)
        pieces = torch.bucketize(levels, edges, right=True)
        if (pieces == pieces[0]).all():
            return self.denoisers[int(pieces[0])](x, sigma)
        result = torch.empty_like(x)
        for k in pieces.unique().tolist():
            rows = pieces == k
            result[rows] = self.denoisers[k](x[rows], levels[rows])
        return result
