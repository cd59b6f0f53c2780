"""Lemmas D.1 and D.3, Theorems 4.10 and D.4: how far apart pixels talk at small noise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildmiddle.theory import locality
from wildmiddle.theory.claims.assumptions import NOISE
from wildmiddle.theory.claims.claim import Assumption, Claim

Array = NDArray[np.float64]


def _is_symmetric(covariance: Array) -> Any:
    return np.abs(covariance - covariance.T).max() <= 1e-12 * np.abs(covariance).max()


def _is_even(spectrum: Array) -> Any:
    mirrored = np.roll(spectrum[..., ::-1], 1, axis=-1)
    return np.abs(spectrum - mirrored).max() <= 1e-12 * np.abs(spectrum).max()


CLAIMS = (
    Claim(
        id="D.1",
        number="Lemma D.1",
        title="The Gaussian denoiser's Jacobian is the identity less a resolvent",
        statement=r"J_\sigma = S (S + \sigma^2 I)^{-1} = I - \sigma^2 (S + \sigma^2 I)^{-1},"
        r" \quad J_{ij} = -\sigma^2 [(S + \sigma^2 I)^{-1}]_{ij} \; (i \ne j)",
        assumptions=(
            NOISE,
            Assumption("S is symmetric", _is_symmetric),
            Assumption(
                "S has no eigenvalue below 0, up to rounding",
                lambda covariance: (
                    np.linalg.eigvalsh(covariance) >= -1e-12 * np.abs(covariance).max()
                ),
            ),
        ),
        expression="locality:jacobian",
        evaluate={"J": locality.gaussian_jacobian},
        tight="an identity",
        sharper="none needed; for any data the Jacobian is the posterior covariance over sigma^2",
        module="locality",
    ),
    Claim(
        id="D.3",
        number="Definition D.2 and Lemma D.3",
        title="Circulant matrices are diagonal in the Fourier basis, and so are functions of them",
        statement=r"S_{ij} = c_{(j - i) \bmod d} \implies S v_k = \lambda_k v_k,"
        r" \quad v_k = (e^{2 \pi \mathrm{i} jk/d})_j,"
        r" \quad \lambda_k = \sum_r c_r e^{2 \pi \mathrm{i} rk/d}",
        assumptions=(
            Assumption(
                "c_r = c_{d-r}, as for every covariance", lambda first_row: _is_even(first_row)
            ),
        ),
        expression="locality:eigenvalue",
        evaluate={
            "eigenvalues": locality.circulant_eigenvalues,
            "torus_eigenvalues": locality.torus_eigenvalues,
        },
        tight="an identity",
        sharper="none needed; without the symmetry entries depend on j - i, not on the distance",
        module="locality",
    ),
    Claim(
        id="4.10",
        number="Theorems 4.10 and D.4",
        title="Sensitivity between pixels decays with their distance",
        statement=r"|J_{ij}| \le \frac{TV_\sigma}{2 d \sin(\pi \rho / d)}"
        r" \le \frac{TV_\sigma}{4 \rho}, \quad TV_\sigma = \sum_k |\mu_{k+1} - \mu_k|,"
        r" \quad \mu_k = \frac{\lambda_k}{\lambda_k + \sigma^2},"
        r" \quad \rho = \min(|i - j|, d - |i - j|)",
        assumptions=(
            NOISE,
            Assumption("lambda_k >= 0", lambda eigenvalues: eigenvalues >= 0),
            Assumption(
                "lambda_k = lambda_{d-k}: S is symmetric", lambda eigenvalues: _is_even(eigenvalues)
            ),
            Assumption(
                "1 <= rho <= d/2",
                lambda rho, eigenvalues: (rho >= 1) & (2 * rho <= eigenvalues.shape[-1]),
            ),
        ),
        expression="locality:sensitivity_bound",
        evaluate={
            "sensitivity": locality.sensitivity,
            "bound": locality.sensitivity_bound,
            "harmonic_bound": locality.harmonic_bound,
            "total_variation": locality.total_variation,
            "torus_bound": lambda torus_eigenvalues, sigma, rho1, rho2: (
                locality.torus_sensitivity_bound(torus_eigenvalues, sigma, rho1, rho2)
            ),
        },
        tight="d even, mu alternating between two values, rho = d/2: both bounds are equalities,"
        " 1/2 for the values 0 and 1",
        sharper="wildmiddle.theory.locality.sensitivity is exact, one Fourier sum;"
        " wildmiddle.theory.locality.torus_sensitivity_bound is the form for images",
        module="locality",
    ),
    Claim(
        id="4.10b",
        number="Theorem 4.10, second sentence",
        title="Eigenvalues in a narrower range lower the bound; fewer frequencies do not",
        statement=r"|J_{ij}| \le \frac{p\, (\mu_{\max} - \mu_{\min})}{d \sin(\pi \rho / d)},"
        r" \quad \mu_k = \frac{\lambda_k}{\lambda_k + \sigma^2},"
        r" \quad p \text{ the number of times that } \lambda_k \text{ rises and falls};"
        r" \quad \lambda_k = 0 \; (k \ne 0) \implies |J_{ij}| = \frac{\mu_0}{d}",
        assumptions=(
            NOISE,
            Assumption(
                "0 <= lambda_min <= lambda_max",
                lambda lowest, highest: (lowest >= 0) & (lowest <= highest),
            ),
            Assumption("1 <= rho <= d/2", lambda rho, d: (rho >= 1) & (2 * rho <= d)),
            Assumption("1 <= p <= d/2", lambda peaks, d: (peaks >= 1) & (2 * peaks <= d)),
        ),
        expression="locality:range_bound",
        evaluate={
            "peaks": lambda eigenvalues: locality.count_peaks(eigenvalues),
            "range_bound": locality.range_bound,
            "one frequency": locality.single_frequency,
            "decay of an autoregressive row": locality.autoregressive_decay,
        },
        tight="d even, two alternating eigenvalues, p = d/2, rho = d/2: an equality; and one"
        " frequency alone, where |J_ij| is mu_0/d at every distance",
        sharper="the total variation itself, wildmiddle.theory.locality.sensitivity_bound; the"
        " paper's sentence states no order: it is true of the bound for a narrower range of"
        " eigenvalues, and false for energy on fewer frequencies, where |J_ij| decays"
        " more slowly: wildmiddle.theory.locality.single_frequency,"
        " wildmiddle.theory.locality.autoregressive_decay",
        module="locality",
    ),
)
