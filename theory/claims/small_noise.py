"""Theorems 4.9 and B.6: at small noise the shells are disjoint and the objective leaves f free."""

from wildmiddle.theory import small_noise
from wildmiddle.theory.claims.assumptions import WIDTH
from wildmiddle.theory.claims.claim import Assumption, Claim

CLAIMS = (
    Claim(
        id="4.9",
        number="Theorems 4.9 and B.6",
        title="Disjoint shells leave the denoiser free outside of them",
        statement=r"S_i \cap S_j = \emptyset \; (i \ne j) \implies \min_f \sum_i"
        r" E|f(x_i + \sigma U) - x_i|^2 = 0, \; \text{attained iff } f = x_i"
        r" \text{ almost everywhere on } S_i; \quad \text{so it is when }"
        r" \sigma < \min_{i \ne j} d_{ij} / (2 r_{\mathrm{out}})",
        assumptions=(
            WIDTH,
            Assumption(
                "the shells are disjoint: sigma < d_min / (2 r_out)",
                lambda d_min, sigma, d, c: sigma < small_noise.disjoint_sigma(d_min, d, c),
            ),
        ),
        expression="small_noise:disjoint_sigma",
        evaluate={
            "disjoint_sigma": small_noise.disjoint_sigma,
            "shell_overlap": small_noise.shell_overlap,
            "two_point_minimum": small_noise.two_point_minimum,
        },
        tight="at sigma = min d_ij / (2 r_out) the two nearest shells touch in their midpoint;"
        " above it, for d >= 2, the minimum is positive",
        sharper="any law on the shells will do: uniform on them (the paper's U), on spheres of"
        " radius sqrt(d), or normal within them;"
        " wildmiddle.theory.small_noise.two_point_minimum: the minimum of two overlapping"
        " shells, r^2/2 times the share of a shell that they have in common",
        module="small_noise",
    ),
)
