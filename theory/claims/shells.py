"""Equation 6, Lemma 4.5 and Lemma B.1: the Gaussian shells."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from wildmiddle.theory import shells
from wildmiddle.theory.claims.claim import Assumption, Claim

DIMENSION = Assumption("d >= 1", lambda d: d >= 1)
WIDTH = Assumption("0 < c <= d/4", lambda d, c: (c > 0) & (4 * c <= d))
NOISE = Assumption("sigma > 0", lambda sigma: sigma > 0)
DISTANCE = Assumption("r >= 0", lambda r: r >= 0)
LEVEL = Assumption("t > 0", lambda t: t > 0)


def _proved(name: str) -> Callable[[], Any]:
    # Builds the expression when it is asked for: importing the claims must not import sympy.
    return lambda: getattr(import_module("wildmiddle.theory.proofs.shells"), name)


CLAIMS = (
    Claim(
        id="4.5",
        number="Lemma 4.5",
        title="A normal vector lies in a thin shell",
        statement=r"P(r_{\mathrm{in}} \le |Z| \le r_{\mathrm{out}}) \ge 1 - 2 e^{-c},"
        r" \quad r_{\mathrm{in}}^2 = d - 2\sqrt{cd},"
        r" \quad r_{\mathrm{out}}^2 = d + 2\sqrt{cd} + 2c",
        assumptions=(DIMENSION, WIDTH),
        expression=_proved("lemma_4_5"),
        evaluate={
            "r_in": lambda d, c=5.0: shells.radii(d, c)[0],
            "r_out": lambda d, c=5.0: shells.radii(d, c)[1],
            "bound": lambda c=5.0: shells.shell_bound(c),
            "exact": lambda d, c=5.0: shells.shell_probability(d, c),
        },
        tight="none: Chernoff's bound exceeds every tail it bounds",
        sharper="the exact value, a chi-square CDF difference: theory.shells.shell_probability",
        module="shells",
    ),
    Claim(
        id="eq.6",
        number="Equation 6",
        title="The shell of a training point",
        statement=r"S_\sigma(x) = \{ y : \sigma r_{\mathrm{in}} \le |y - x|"
        r" \le \sigma r_{\mathrm{out}} \}",
        assumptions=(DIMENSION, WIDTH, NOISE, DISTANCE),
        expression=_proved("shell"),
        evaluate={
            "inner radius": lambda sigma, d, c=5.0: sigma * shells.radii(d, c)[0],
            "outer radius": lambda sigma, d, c=5.0: sigma * shells.radii(d, c)[1],
            "inside": lambda r, sigma, d, c=5.0: shells.inside(r, sigma, d, c),
        },
        tight="both ends: a point at sigma r_in or at sigma r_out belongs to the shell",
        sharper="none: a definition; its probability is known exactly, see Lemma 4.5",
        module="shells",
    ),
    Claim(
        id="B.1",
        number="Lemma B.1",
        title="Laurent and Massart's chi-square tails",
        statement=r"P(U - d \ge 2\sqrt{dt} + 2t) \le e^{-t}, \quad"
        r" P(d - U \ge 2\sqrt{dt}) \le e^{-t}, \quad U \sim \chi^2_d",
        assumptions=(DIMENSION, LEVEL),
        expression=_proved("lemma_b1"),
        evaluate={
            "lower threshold": lambda d, t: shells.tail_bounds(d, t)[0],
            "upper threshold": lambda d, t: shells.tail_bounds(d, t)[1],
            "bound": lambda d, t: shells.tail_bounds(d, t)[2],
            "exact lower tail": lambda d, t: shells.tails(d, t)[0],
            "exact upper tail": lambda d, t: shells.tails(d, t)[1],
        },
        tight="none, being Chernoff's; for large d, then large t, the exponent -t is right",
        sharper="the exact tails, incomplete gamma functions: theory.shells.tails",
        module="shells",
    ),
)
