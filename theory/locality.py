"""Locality: how far apart two pixels can be and still talk, for stationary Gaussian data.

First on a cycle of d pixels, as the paper has it; then on a torus of n1 x n2, as images are.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wildmiddle.theory.domain import require, require_positive

Array = NDArray[np.float64]


def circulant_eigenvalues(first_row: ArrayLike) -> Array:
    """Eigenvalues ``lambda_k`` of a symmetric circulant matrix in the order of its frequencies.

    ``first_row`` (..., d) with ``c_k = c_{d-k}``; returns (..., d). A Fourier transform: the error
    is 1e-15 of the row's absolute sum, so that eigenvalues which are 0 may come out just below it;
    clip them where none can be. Raises ValueError if the row is not symmetric. Source: Lemma D.3.
    """
    row = np.asarray(first_row, np.float64)
    mirrored = np.roll(row[..., ::-1], 1, axis=-1)
    scale = np.abs(row).max(initial=0)
    asymmetry = np.abs(row - mirrored).max(initial=0)
    require(asymmetry <= 1e-12 * scale, "asymmetry", asymmetry, "of first_row must be 0")
    return np.fft.fft(row, axis=-1).real


def shrinkage(eigenvalues: ArrayLike, sigma: ArrayLike) -> Array:
    """Spectral response ``mu_k = lambda_k / (lambda_k + sigma^2)`` of the Gaussian denoiser.

    ``eigenvalues`` (..., d), ``sigma`` (...,). Raises ValueError unless lambda_k >= 0 and
    sigma > 0. Source: Theorem D.4.
    """
    eigenvalues, noise = _spectrum_and_noise(eigenvalues, sigma)
    noise = noise[..., None]
    return eigenvalues / (eigenvalues + noise)


def _spectrum_and_noise(eigenvalues: ArrayLike, sigma: ArrayLike) -> tuple[Array, Array]:
    # The eigenvalues and sigma^2.
    eigenvalues, sigma = np.asarray(eigenvalues, np.float64), np.asarray(sigma, np.float64)
    inside = (eigenvalues >= 0) & np.isfinite(eigenvalues)
    require(inside, "eigenvalue", eigenvalues, "must be finite and not below 0")
    require_positive("sigma", sigma)
    return eigenvalues, sigma**2


def _steps(eigenvalues: Array, noise: Array, axis: int = -1) -> Array:
    # mu_{k+1} - mu_k. Not by subtraction: at small noise all mu agree in their first digits.
    following = np.roll(eigenvalues, -1, axis=axis)
    return noise / (following + noise) * ((following - eigenvalues) / (eigenvalues + noise))


def total_variation(eigenvalues: ArrayLike, sigma: ArrayLike) -> Array:
    """``TV_sigma = sum_k |mu_{k+1} - mu_k|`` around the cycle of frequencies.

    ``eigenvalues`` (..., d) in the order of their frequencies, ``sigma`` (...,). Raises as
    :func:`shrinkage`. Source: Theorem D.4.
    """
    eigenvalues, noise = _spectrum_and_noise(eigenvalues, sigma)
    return np.abs(_steps(eigenvalues, noise[..., None])).sum(-1)


def sensitivity(eigenvalues: ArrayLike, sigma: ArrayLike, rho: ArrayLike) -> Array:
    """Sensitivity ``|J_ij| = |sum_k mu_k cos(2 pi k rho / d)| / d`` of the denoiser, exactly.

    Arguments as in :func:`sensitivity_bound`, but any real rho. The error is 1e-15 of the mean of
    mu, which a far or a faint pixel may be below. Source: the kernel in the proof of
    Theorem D.4, for ``mu_k = mu_{d-k}``, which every symmetric covariance has.
    """
    mu, rho = shrinkage(eigenvalues, sigma), np.asarray(rho, np.float64)
    d = mu.shape[-1]
    turns = np.fmod(rho[..., None] * np.arange(d), d) / d  # whole turns would cost digits
    return np.abs((mu * np.cos(2 * np.pi * turns)).mean(-1))


def sensitivity_bound(eigenvalues: ArrayLike, sigma: ArrayLike, rho: ArrayLike) -> Array:
    """Bound ``TV_sigma / (2 d sin(pi rho / d))`` on the sensitivity ``|J_ij|`` of the denoiser.

    ``eigenvalues`` (..., d) of the circulant covariance in the order of their frequencies,
    ``sigma`` (...,), ``rho = min(|i-j|, d - |i-j|)`` broadcasts against (...,). Raises ValueError
    unless 1 <= rho <= d/2. Equality at d even, mu alternating between two values, rho = d/2.
    Source: Theorem D.4, the step before Eq. 36.
    """
    eigenvalues, rho = np.asarray(eigenvalues, np.float64), np.asarray(rho, np.float64)
    d = eigenvalues.shape[-1]
    require((rho >= 1) & (rho <= d / 2), "rho", rho, f"must lie in [1, d/2], d = {d}")
    return total_variation(eigenvalues, sigma) / (2 * d * np.sin(np.pi * rho / d))


def harmonic_bound(eigenvalues: ArrayLike, sigma: ArrayLike, rho: ArrayLike) -> Array:
    """The paper's final bound ``TV_sigma / (4 rho)``, never below :func:`sensitivity_bound`.

    Arguments as there. Source: Theorem D.4, Eq. 36, by ``sin(pi x) >= 2x`` on [0, 1/2].
    """
    eigenvalues, rho = np.asarray(eigenvalues, np.float64), np.asarray(rho, np.float64)
    d = eigenvalues.shape[-1]
    require((rho >= 1) & (rho <= d / 2), "rho", rho, f"must lie in [1, d/2], d = {d}")
    return total_variation(eigenvalues, sigma) / (4 * rho)


def count_peaks(values: ArrayLike) -> NDArray[np.int64]:
    """How often the values rise and fall again around their cycle, at least 1.

    ``values`` (..., d), such as eigenvalues in the order of their frequencies; returns (...,).
    """
    values = np.asarray(values, np.float64)
    steps = np.roll(values, -1, axis=-1) - values

    def turns(row: Array) -> int:
        signs = np.sign(row[row != 0])  # a plateau is part of the slope before it
        return int(((signs > 0) & (np.roll(signs, -1) < 0)).sum())

    return np.maximum(np.apply_along_axis(turns, -1, steps), 1)


def range_bound(
    lowest: ArrayLike,
    highest: ArrayLike,
    sigma: ArrayLike,
    rho: ArrayLike,
    d: ArrayLike,
    peaks: ArrayLike = 1,
) -> Array:
    """Bound ``p (mu_max - mu_min) / (d sin(pi rho/d))`` on ``|J_ij|`` from the eigenvalues' range.

    Eigenvalues from ``lowest`` to ``highest`` that rise and fall ``peaks`` times around the cycle
    of d frequencies have ``TV_sigma <= 2 p (mu_max - mu_min)``. It rises with the highest and falls
    with the lowest, so a spectrum concentrated in a narrower range of values lowers the bound at
    every distance and noise level: Theorem 4.10's second sentence, where it is true. It is not for
    one concentrated on fewer frequencies. With one alone ``|J_ij| = mu/d`` at every distance, and
    with all equal J_ij = 0; and for the rows of an autoregressive process, as its spectrum gathers
    at frequency 0, ``|J_ij|`` falls more slowly with distance. Equality for even d, two alternating
    values, p = d/2 and rho = d/2. Broadcasts. Raises ValueError unless 0 <= lowest <= highest,
    1 <= peaks <= d/2, 1 <= rho <= d/2 and sigma > 0. Source: ours, for Theorem 4.10.
    """
    lowest, highest = np.asarray(lowest, np.float64), np.asarray(highest, np.float64)
    rho, d, peaks = (np.asarray(each, np.float64) for each in (rho, d, peaks))
    sigma = np.asarray(sigma, np.float64)
    require_positive("sigma", sigma)
    require((lowest >= 0) & np.isfinite(lowest), "lowest", lowest, "must be finite, not below 0")
    require((highest >= lowest) & np.isfinite(highest), "highest", highest, "must not be below it")
    require((rho >= 1) & (rho <= d / 2), "rho", rho, "must lie in [1, d/2]")
    require((peaks >= 1) & (peaks <= d / 2), "peaks", peaks, "must lie in [1, d/2]")
    noise = sigma**2
    # mu_max - mu_min, not by subtraction: at small noise both are nearly 1.
    span = noise / (highest + noise) * ((highest - lowest) / (lowest + noise))
    return peaks * span / (d * np.sin(np.pi * rho / d))


def single_frequency(eigenvalue: ArrayLike, sigma: ArrayLike, d: ArrayLike) -> Array:
    """Sensitivity ``|J_ij| = mu_0 / d`` at every distance where only ``lambda_0`` is not 0.

    No decay at all, from the spectrum that is most concentrated by frequency. Broadcasts. Raises
    ValueError unless eigenvalue >= 0, sigma > 0 and d >= 1. Source: ours, for Theorem 4.10.
    """
    d = np.asarray(d, np.float64)
    require((d >= 1) & np.isfinite(d), "d", d, "must be at least 1 pixel")
    return shrinkage(np.asarray(eigenvalue)[..., None], sigma)[..., 0] / d


def autoregressive_decay(correlation: ArrayLike, sigma: ArrayLike) -> Array:
    """Factor q by which ``|J_ij|`` falls with every pixel, for rows of an autoregressive process.

    Pixels r apart are correlated by ``a^r``, ``correlation`` is a; on the infinite line ``|J_ij|``
    is ``q^rho`` times a constant, q below a the root of ``q + 1/q = b``, ``b = (1 - a^2 + sigma^2
    (1 + a^2)) / (sigma^2 a)``, for unit variance. It rises with a: the more the spectrum gathers at
    frequency 0, the more slowly the sensitivity decays. Broadcasts. Raises ValueError unless
    0 < a < 1 and sigma > 0. Source: ours, for Theorem 4.10.
    """
    a, sigma = np.asarray(correlation, np.float64), np.asarray(sigma, np.float64)
    require((a > 0) & (a < 1), "correlation", a, "must lie strictly between 0 and 1")
    require_positive("sigma", sigma)
    b = ((1 - a) * (1 + a) / sigma**2 + 1 + a**2) / a
    return 2 / (b + np.sqrt((b - 2) * (b + 2)))


def gaussian_jacobian(covariance: ArrayLike, sigma: float) -> Array:
    """Jacobian ``J = S (S + sigma^2 I)^-1`` of the Gaussian denoiser, dense.

    ``covariance`` (d, d); returns (d, d). The error is about 1e-16 ``|S| / sigma^2``: so much does
    rounding S alone change J. Raises ValueError unless sigma > 0. Source: Lemma D.1; off the
    diagonal it equals ``-sigma^2 (S + sigma^2 I)^-1``.
    """
    covariance = np.asarray(covariance, np.float64)
    require_positive("sigma", sigma)
    shifted = covariance + sigma**2 * np.eye(len(covariance))
    return np.linalg.solve(shifted, covariance)  # S and S + sigma^2 I commute


def cyclic_covariance(points: ArrayLike) -> Array:
    """First row of the circulant matrix nearest to the points' covariance.

    ``points`` (N, d); returns (d,): the mean over i of the covariance of pixels i and i + k. The
    project's stand-in for stationary data, since no finite set is exactly so. Source: Def D.2.
    """
    points = np.asarray(points, np.float64)
    spectrum = np.fft.fft(points - points.mean(0), axis=-1)
    row = np.fft.ifft((np.abs(spectrum) ** 2).mean(0)).real / points.shape[-1]
    return (row + np.roll(row[::-1], 1)) / 2  # exactly symmetric, past the transform's rounding


def torus_eigenvalues(first_block: ArrayLike) -> Array:
    """Eigenvalues (n1, n2) of a doubly circulant covariance in the order of its frequencies.

    ``first_block`` (..., n1, n2) holds the covariance of pixel (0, 0) with pixel (a, b), so that
    ``c[a, b] = c[-a, -b]``. Raises ValueError if it does not. Source: Lemma D.3 along both axes.
    """
    block = np.asarray(first_block, np.float64)
    asymmetry = np.abs(block - _opposite(block)).max(initial=0)
    scale = np.abs(block).max(initial=0)
    require(asymmetry <= 1e-12 * scale, "asymmetry", asymmetry, "of first_block must be 0")
    return np.fft.fft2(block).real


def torus_sensitivity_bound(
    eigenvalues: ArrayLike, sigma: ArrayLike, rho1: ArrayLike, rho2: ArrayLike
) -> Array:
    """Bound on the sensitivity ``|J_ij|`` between two pixels of an image, on the torus.

    ``eigenvalues`` (..., n1, n2) of the doubly circulant covariance, ``sigma`` (...,); ``rho1`` and
    ``rho2``, the wrap-around distances along the two axes, broadcast against (...,). With ``mu``
    as in Theorem D.4 and ``u = exp(2 pi i/n1)``, ``v = exp(2 pi i/n2)``, the Jacobian's kernel is
    ``J(r1, r2) = sum_kl mu_kl u^(k r1) v^(l r2) / (n1 n2)``. Summation by parts along axis 1 gives
    ``(1 - u^r1) n1 n2 J = sum_kl (mu_{k+1,l} - mu_kl) u^((k+1) r1) v^(l r2)``; along both,
    ``(1 - u^r1)(1 - v^r2) n1 n2 J`` has the mixed second differences in their place. By the
    triangle inequality, with ``TV1``, ``TV2`` and ``V`` the sums of the absolute first and mixed
    differences, ``|J|`` is at most the least of

    - ``TV1 / (2 n1 n2 sin(pi rho1/n1))`` where rho1 > 0,
    - ``TV2 / (2 n1 n2 sin(pi rho2/n2))`` where rho2 > 0,
    - ``V / (4 n1 n2 sin(pi rho1/n1) sin(pi rho2/n2))`` where both are.

    The last is below the first wherever rho2 = n2/2, since ``V <= 2 TV1``; at small distances
    either may win. Equality at n1 and n2 even, mu a checkerboard of two values, rho1 = n1/2 and
    rho2 = n2/2; at stripes, rho1 = n1/2 and rho2 = 0; and at ``mu_kl = f_k + g_l`` with rho1,
    rho2 > 0, where J = 0. Raises ValueError unless 0 <= rho1 <= n1/2, 0 <= rho2 <= n2/2, not both
    0, and as :func:`shrinkage`. Source: ours, after Theorem D.4.
    """
    eigenvalues = np.asarray(eigenvalues, np.float64)
    n1, n2 = eigenvalues.shape[-2:]
    rho1, rho2 = np.asarray(rho1, np.float64), np.asarray(rho2, np.float64)
    require((rho1 >= 0) & (rho1 <= n1 / 2), "rho1", rho1, f"must lie in [0, n1/2], n1 = {n1}")
    require((rho2 >= 0) & (rho2 <= n2 / 2), "rho2", rho2, f"must lie in [0, n2/2], n2 = {n2}")
    require(rho1 + rho2 > 0, "rho1 + rho2", rho1 + rho2, "must not be 0: two different pixels")
    eigenvalues, noise = _spectrum_and_noise(eigenvalues, sigma)
    noise = noise[..., None, None]
    down, across = _steps(eigenvalues, noise, axis=-2), _steps(eigenvalues, noise, axis=-1)
    mixed = np.roll(down, -1, axis=-1) - down
    variations = [np.abs(difference).mean((-2, -1)) for difference in (down, across, mixed)]
    # Where a distance is 0 its axis gives no bound; fmin passes over the nan.
    sine1 = np.where(rho1 > 0, 2 * np.sin(np.pi * rho1 / n1), np.nan)
    sine2 = np.where(rho2 > 0, 2 * np.sin(np.pi * rho2 / n2), np.nan)
    one_axis = np.fmin(variations[0] / sine1, variations[1] / sine2)
    return np.fmin(one_axis, variations[2] / (sine1 * sine2))


def torus_covariance(images: ArrayLike) -> Array:
    """First block of the doubly circulant matrix nearest to the images' covariance.

    ``images`` (N, H, W), one channel; returns (H, W): the mean over all positions of the covariance
    of the pixels a rows and b columns apart, wrapped around. The two-dimensional
    :func:`cyclic_covariance`. Raises ValueError unless images has three axes. Source: Def D.2.
    """
    images = np.asarray(images, np.float64)
    require(images.ndim == 3, "images.ndim", images.ndim, "must be 3: images as (N, H, W)")
    spectrum = np.fft.fft2(images - images.mean(0))
    block = np.fft.ifft2((np.abs(spectrum) ** 2).mean(0)).real / images[0].size
    return (block + _opposite(block)) / 2  # exactly symmetric, past the transform's rounding


def _opposite(block: Array) -> Array:
    # c[-a, -b] in the place of c[a, b]
    return np.roll(block[..., ::-1, ::-1], 1, axis=(-2, -1))
