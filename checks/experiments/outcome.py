"""What an experiment found: verdicts, a table and a figure, written side by side."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from checks.records import Record, overall
from empirical.neighbours import Memorization
from models.trajectory import write_samples

Row = Sequence[str | float | int]


@dataclass(frozen=True)
class Outcome:
    """One experiment's result."""

    name: str
    paper: str
    """What the paper reports, in a sentence."""
    records: tuple[Record, ...]
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    draw: Callable[[Figure], None]
    size: tuple[float, float] = (8, 4)
    """Width and height of the figure, in inches."""
    samples: Mapping[str, Memorization] = field(default_factory=dict)
    """The samples that the table counts, by condition: a line for each in ``NAME-samples.csv``."""


def write(outcome: Outcome, folder: Path) -> Path:
    """Write ``NAME.csv``, ``NAME.json``, ``NAME.png`` and ``NAME.md``; returns the last.

    And ``NAME-samples.csv`` where samples were drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / outcome.name
    with stem.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(outcome.header)
        lines.writerows(outcome.rows)
    if outcome.samples:
        write_samples(folder / f"{outcome.name}-samples.csv", outcome.samples)
    found = [asdict(record) | {"verdict": record.verdict} for record in outcome.records]
    stem.with_suffix(".json").write_text(
        json.dumps({"name": outcome.name, "paper": outcome.paper, "records": found}, indent=1),
        encoding="utf-8",
    )
    figure = Figure(figsize=outcome.size, layout="constrained")
    outcome.draw(figure)
    figure.savefig(stem.with_suffix(".png"), dpi=150)
    page = stem.with_suffix(".md")
    page.write_text(summary(outcome), encoding="utf-8")
    return page


def summary(outcome: Outcome) -> str:
    """The verdicts, where there are any, and the figure as Markdown."""
    figure = f"![{outcome.name}]({outcome.name}.png)"
    if not outcome.records:
        lines = [f"# {outcome.name}: no verdict", "", f"The paper: {outcome.paper}"]
        return "\n".join([*lines, "", figure, ""])
    verdict = overall(record.verdict for record in outcome.records)
    lines = [f"# {outcome.name}: {verdict}", "", f"The paper: {outcome.paper}", ""]
    lines += ["| here | claimed | found | interval | verdict |", "|---|---|---:|---|---|"]
    lines += [
        f"| {r.instance}: {r.quantity} | {r.relation} {r.bound:g} | {r.estimate:.3g} "
        f"| {r.low:.3g} to {r.high:.3g} | {r.verdict} |"
        for r in outcome.records
    ]
    return "\n".join([*lines, "", figure, ""])
