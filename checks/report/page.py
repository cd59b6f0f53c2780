"""The page ``report.html``: one file that needs no network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from latex2mathml.converter import convert
from markupsafe import Markup

from wildmiddle.checks.records import Record, Verdict
from wildmiddle.checks.report.drawing import Drawing
from wildmiddle.checks.report.figures import figures
from wildmiddle.checks.report.formatting import (
    answer_sentence,
    copying_sentence,
    format_number,
    format_slack,
    format_truth,
    regime_cells,
    repeat_command,
    size_cells,
    tightest_record,
    verdict_sentence,
    zone_cells,
    zone_sentence,
)
from wildmiddle.checks.report.template import load_template
from wildmiddle.checks.settings import texts
from wildmiddle.checks.verify import Result
from wildmiddle.theory.claims import CLAIMS, Claim


@dataclass(frozen=True)
class ClaimRow:
    """A claim as the page shows it."""

    claim: Claim
    verdict: Verdict
    records: tuple[Record, ...]

    @property
    def statement(self) -> Markup:
        """The claim's formula."""
        return mathml(self.claim.statement)

    @property
    def tightest(self) -> Record | None:
        """The comparison that the table shows."""
        return tightest_record(self.records)

    def count(self, verdict: Verdict) -> int:
        """Number of comparisons with a verdict."""
        return sum(record.verdict == verdict for record in self.records)

    @property
    def sampled(self) -> tuple[Record, ...]:
        """Comparisons that rest on random draws, which alone may err."""
        return tuple(record for record in self.records if record.alpha > 0)

    @property
    def alpha(self) -> float:
        """Share of the error rate that this claim spends."""
        return math.fsum(record.alpha for record in self.records)

    @property
    def error_rate(self) -> tuple[str, ...]:
        """Its line in the table of error rates."""
        drawn = [record.alpha for record in self.sampled]
        spent = format_number(max(drawn)) if drawn else "–"
        whole = format_number(self.alpha) if drawn else "none spent"
        computed = len(self.records) - len(drawn)
        return self.claim.number, str(len(drawn)), str(computed), spent, whole


def to_html(result: Result, drawings: Mapping[str, Drawing] | None = None) -> str:
    """The page as text; the same run gives the same bytes. Without ``drawings`` they are drawn."""
    rows = [ClaimRow(claim, result.verdict(claim), result.of(claim)) for claim in result.claims]
    return load_template("report.html", slack=format_slack, truth=format_truth).render(
        result=result,
        rows=rows,
        unchecked=[
            claim.id.replace("eq.", "Eq. ") for claim in CLAIMS if claim not in result.claims
        ],
        numbers={claim.id: claim.number for claim in CLAIMS},
        answer=answer_sentence(result),
        sentence=verdict_sentence(result),
        drawings=figures(result) if drawings is None else drawings,
        regimes=_regime_rows(result),
        zone_sentence=zone_sentence(result),
        copying_sentence=copying_sentence(result),
        sizes=size_cells(result),
        command=repeat_command(result),
        settings=texts(result.study.settings),
        error_rates=[row.error_rate for row in rows],
        spent=math.fsum(row.alpha for row in rows),
    )


def _regime_rows(result: Result) -> list[tuple[str, ...]]:
    # The regimes, and after the danger zone what copying and the distances say of it.
    rows: list[tuple[str, ...]] = [
        (regime.name, *regime_cells(regime)) for regime in result.study.regimes
    ]
    parts = result.study.zone.parts.items()
    predicted = [
        (f"predicted, {name}", *zone_cells(zone, result.data.value_range)) for name, zone in parts
    ]
    by_copying = result.study.danger_by_copying
    after = 1 + next(k for k, row in enumerate(rows) if row[0] == "danger")
    rows[after:after] = [(by_copying.name, *regime_cells(by_copying)), *predicted]
    return rows


def mathml(latex: str) -> Markup:
    r"""A formula as MathML, one element for each part between ``\quad`` so that lines may break.

    The claims of ``theory`` are trusted: nothing else is rendered so.
    """
    parts = (f"<span>{_math(part)}</span>" for part in latex.split(r"\quad"))
    return Markup(" ".join(parts))  # noqa: S704, see above


def _math(latex: str) -> str:
    rendered = convert(latex.strip())
    # The converter takes the arrow of an implication for a letter, which has no space around it,
    # and the bars of a norm for operators, which have.
    rendered = rendered.replace("<mi>&#x027F9;</mi>", "<mo>&#x027F9;</mo>")
    rendered = rendered.replace('<mo stretchy="false">&#x0007C;</mo>', "<mi>&#x0007C;</mi>")
    return rendered.replace("<math ", '<math displaystyle="true" ', 1)
