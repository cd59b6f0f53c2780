"""Denoisers behind one call, ``denoiser(x, sigma) -> x_hat``."""

from wildmiddle.models.denoisers import Denoiser, EmpiricalDenoiser, GaussianDenoiser, Piecewise

__all__ = ["Denoiser", "EmpiricalDenoiser", "GaussianDenoiser", "Piecewise"]
