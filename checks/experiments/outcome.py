"""What an experiment found: verdicts, a table and a figure, written side by side."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from wildmiddle.checks.records import Record, overall
from wildmiddle.checks.report.files import plain, write_whole
from wildmiddle.empirical.neighbours import Memorization
from wildmiddle.models.trajectory import write_samples

Row = Sequence[str | float | int]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What an experiment was run with: all that its result depends on, and its error rate."""

    scale: str
    data: str
    """Title of the data."""
    train_size: int
    test_size: int
    image_shape: tuple[int, ...]
    value_range: tuple[float, float]
    centred: bool
    sha256: str
    memorizing: int
    generalizing: int
    settings: Mapping[str, str | float]
    """Of :class:`~wildmiddle.checks.settings.Settings`, by name."""
    versions: Mapping[str, str]


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
    tables: Mapping[str, tuple[tuple[str, ...], tuple[Row, ...]]] = field(default_factory=dict)
    """Further tables, header and rows: each in ``NAME-KEY.csv``."""


def write(outcome: Outcome, folder: Path, run: Run | None = None) -> Path:
    """Write ``NAME.csv``, ``NAME.json``, ``NAME.png`` and ``NAME.md``; returns the last.

    And ``NAME-samples.csv`` where samples were drawn, ``NAME-KEY.csv`` for each further table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / outcome.name
    tables = {outcome.name: (outcome.header, outcome.rows)}
    tables |= {f"{outcome.name}-{key}": table for key, table in outcome.tables.items()}
    for name, (header, rows) in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
    files = [f"{name}.csv" for name in tables]
    if outcome.samples:
        files.append(f"{outcome.name}-samples.csv")
        write_samples(folder / files[-1], outcome.samples)
    found = {
        "name": outcome.name,
        "paper": outcome.paper,
        "records": [asdict(each) | {"verdict": each.verdict} for each in outcome.records],
        "tables": files,
        "run": None if run is None else asdict(run),
    }
    write_whole(stem.with_suffix(".json"), json.dumps(plain(found), indent=1, allow_nan=False))
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
