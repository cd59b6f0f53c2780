"""Equation 6, Lemma 4.5 and Lemma B.1: the Gaussian shells."""

from operator import itemgetter

from wildmiddle.theory import shells
from wildmiddle.theory.claims.assumptions import DIMENSION, DISTANCE, NOISE, WIDTH
from wildmiddle.theory.claims.claim import Assumption, Claim, then
from wildmiddle.theory.constants import SHELL_WIDTH

LEVEL = Assumption("t > 0", lambda t: t > 0)

CLAIMS = (
    Claim(
        id="4.5",
        number="Lemma 4.5",
        title="A normal vector lies in a thin shell",
        statement=r"P(r_{\mathrm{in}} \le |Z| \le r_{\mathrm{out}}) \ge 1 - 2 e^{-c},"
        r" \quad r_{\mathrm{in}}^2 = \max(0, d - 2\sqrt{cd}),"
        r" \quad r_{\mathrm{out}}^2 = d + 2\sqrt{cd} + 2c",
        assumptions=(DIMENSION, WIDTH),
        expression="shells:lemma_4_5",
        evaluate={
            "r_in": then(shells.radii, itemgetter(0)),
            "r_out": then(shells.radii, itemgetter(1)),
            "bound": shells.shell_bound,
            "exact": shells.shell_probability,
        },
        tight="none: Chernoff's bound exceeds every tail it bounds",
        sharper="the exact value, a chi-square CDF difference:"
        " wildmiddle.theory.shells.shell_probability",
        module="shells",
    ),
    Claim(
        id="eq.6",
        number="Equation 6",
        title="The shell of a training point",
        statement=r"S_\sigma(x) = \{ y : \sigma r_{\mathrm{in}} \le |y - x|"
        r" \le \sigma r_{\mathrm{out}} \}",
        assumptions=(DIMENSION, WIDTH, NOISE, DISTANCE),
        expression="shells:shell",
        evaluate={
            "inner radius": lambda sigma, d, c=SHELL_WIDTH: sigma * shells.radii(d, c)[0],
            "outer radius": lambda sigma, d, c=SHELL_WIDTH: sigma * shells.radii(d, c)[1],
            "inside": shells.inside,
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
        expression="shells:lemma_b1",
        evaluate={
            "lower threshold": then(shells.tail_bounds, itemgetter(0)),
            "upper threshold": then(shells.tail_bounds, itemgetter(1)),
            "bound": then(shells.tail_bounds, itemgetter(2)),
            "exact lower tail": then(shells.tails, itemgetter(0)),
            "exact upper tail": then(shells.tails, itemgetter(1)),
        },
        tight="none, being Chernoff's; for large d, then large t, the exponent -t is right",
        sharper="the exact tails, incomplete gamma functions: wildmiddle.theory.shells.tails",
        module="shells",
    ),
)
