"""Assumptions that several claims share."""

from wildmiddle.theory.claims.claim import Assumption

POINTS = Assumption("N >= 1", lambda n: n >= 1)
ENOUGH = Assumption("N >= 2", lambda n: n >= 2)
WEIGHT = Assumption("1/N < w < 1", lambda n, w: (n * w > 1) & (w < 1))
NOISE = Assumption("sigma > 0", lambda sigma: sigma > 0)
TIME = Assumption("0 < t < 1", lambda t: (t > 0) & (t < 1))
DIMENSION = Assumption("d >= 1", lambda d: d >= 1)
WIDTH = Assumption("c > 0; from c = d/4 on the shell is a ball", lambda c: c > 0)
DISTANCE = Assumption("r >= 0", lambda distance: distance >= 0)
DISTANCES = Assumption("distances >= 0", lambda distances: distances >= 0)
