"""One comparison of a bound with what was measured, and the verdict that follows from it.

The grammar of a comparison: a quantity is claimed to be ``<=``, ``>=`` or ``==`` a bound. What is
known of the quantity is an interval that misses it with probability at most ``alpha``.

- ``violated``: the whole interval contradicts the claim. A true claim gets this verdict with
  probability at most ``alpha``; a false one that is off by ``detectable`` or more gets it with
  probability at least 0.99.
- ``holds``: the whole interval agrees with the claim to within ``margin``, a margin that is
  fixed before anything is drawn.
- ``inconclusive``: neither; the interval is too wide to say.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil, inf, isfinite, isnan
from typing import Literal

Relation = Literal["<=", ">=", "=="]
Verdict = Literal["holds", "violated", "inconclusive"]
Parameters = dict[str, float | int | str]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is claimed of one instance, fixed before anything is measured."""

    claim: str
    """Identifier of the claim in ``wildmiddle.theory.claims``, such as ``4.2.1``."""
    instance: str
    """What it is evaluated on, in words."""
    quantity: str
    """What is estimated, in words or a formula."""
    relation: Relation
    bound: float
    margin: float = 0.0
    """Margin within which the interval must agree for ``holds``, in units of the quantity."""
    rounding: float = 0.0
    """How far floating point may push the comparison; 0 where sampling noise dwarfs it."""
    parameters: Parameters = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isnan(self.bound):
            # No interval agrees with it, and a claim would be called violated for nothing.
            raise ArithmeticError(f"{self.claim}, {self.instance}: the bound is no number")


@dataclass(frozen=True, kw_only=True)
class Record(Comparison):
    """A comparison with what was found: estimate, interval, and how they were come by.

    ``n`` is 0 and ``low == estimate == high`` where nothing is drawn. Where nothing is known, the
    estimate is nan and the interval has no ends.
    """

    estimate: float
    low: float
    high: float
    method: str
    alpha: float
    detectable: float
    """Smallest violation that is reported with probability at least 0.99."""
    n: int
    seed: int | None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isnan(self.estimate) and not self.unknown:
            raise ArithmeticError(f"{self.claim}, {self.instance}: the estimate is no number")

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of the quantity."""
        return isnan(self.estimate) and (self.low, self.high) == (-inf, inf)

    @property
    def slack(self) -> float:
        """How far the estimate keeps from the bound on the side that is claimed; below 0 across it.

        For an equality: minus the distance between the two.
        """
        if self.relation == "==":
            return -abs(self.estimate - self.bound)
        gap = self.bound - self.estimate
        return gap if self.relation == "<=" else -gap

    @property
    def verdict(self) -> Verdict:
        """The verdict by the grammar of this module."""
        above = self.low > self.bound + self.rounding
        below = self.high < self.bound - self.rounding
        margin = self.margin + self.rounding
        not_above = self.high <= self.bound + margin
        not_below = self.low >= self.bound - margin
        if self.relation == "<=":
            refuted, agrees = above, not_above
        elif self.relation == ">=":
            refuted, agrees = below, not_below
        else:
            refuted, agrees = above or below, not_above and not_below
        if refuted:
            return "violated"
        return "holds" if agrees else "inconclusive"

    @property
    def wanted(self) -> int | None:
        """About how many draws would settle an inconclusive comparison, None for any other.

        An interval as wide as twice the margin does; its width falls with the root of n. None too
        where an end of the interval is infinite: nothing says then how soon that changes.
        """
        if self.verdict != "inconclusive" or not self.n or not self.margin:
            return None
        times = (self.high - self.low) / (2 * self.margin)
        draws = self.n * times * times
        return ceil(draws) if isfinite(draws) else None

    def __str__(self) -> str:
        """Everything that a failure must say, in one line."""
        more = f"; about {self.wanted} draws would settle it" if self.wanted else ""
        return (
            f"{self.claim}, {self.instance}: {self.verdict}: {self.quantity} {self.relation} "
            f"{self.bound:.6g}, found {self.estimate:.6g} in [{self.low:.6g}, {self.high:.6g}] "
            f"({self.method}, alpha = {self.alpha:.2g}, n = {self.n}, seed = {self.seed}, "
            f"minimum detectable effect {self.detectable:.2g}{more})"
        )


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a claim from those on its instances: the worst of them.

    Raises ValueError for none: a check that compares nothing must not pass.
    """
    found = set(verdicts)
    if not found:
        raise ValueError("no comparison was made; a check must yield at least one record")
    if "violated" in found:
        return "violated"
    return "inconclusive" if "inconclusive" in found else "holds"
