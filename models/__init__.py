"""Denoisers behind one call, ``denoiser(x, sigma) -> x_hat``."""

from models.denoisers import Denoiser, EmpiricalDenoiser, GaussianDenoiser, Piecewise

__all__ = ["Denoiser", "EmpiricalDenoiser", "GaussianDenoiser", "Piecewise"]
