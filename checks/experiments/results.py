"""The result of an experiment: verdicts, tables and a figure, and the files they are written to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wildmiddle.checks.layout import MARKDOWN, Layout
from wildmiddle.checks.output import replace_files, write_csv, write_text
from wildmiddle.checks.records import Record, overall
from wildmiddle.checks.report.drawing import Draw, draw_figure
from wildmiddle.checks.report.files import to_plain
from wildmiddle.checks.report.formatting import format_instance
from wildmiddle.empirical.neighbours import Memorization
from wildmiddle.models.trajectory import write_samples

TableRow = Sequence[str | float | int]


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
    sizes: str = ""
    """Hash of the scale's values; empty where an older version, which did not say it, wrote it."""
    seeds: int = 1
    """Number of seeds that stand behind the verdicts, from that of the settings on."""


@dataclass(frozen=True)
class ExperimentResult:
    """What one experiment found."""

    name: str
    paper: str
    """What the paper reports, in a sentence."""
    records: tuple[Record, ...]
    header: tuple[str, ...]
    rows: tuple[TableRow, ...]
    draw: Draw
    height: float = 3.6
    """Height of the figure in inches."""
    shows_images: bool = False
    """Whether the figure shows images, whose colours a page must leave as they are."""
    samples: Mapping[str, Memorization] = field(default_factory=dict)
    """The samples that the table counts, by condition: a line for each in ``NAME-samples.csv``."""
    tables: Mapping[str, tuple[tuple[str, ...], tuple[TableRow, ...]]] = field(default_factory=dict)
    """Further tables, header and rows: each in ``NAME-KEY.csv``."""


def write(result: ExperimentResult, folder: Path, run: Run | None = None) -> Path:
    """Write ``NAME.csv``, ``NAME.json``, ``NAME.md`` and the figure; returns the path of the third.

    And ``NAME-samples.csv`` where samples were drawn, ``NAME-KEY.csv`` for each further table. They
    take the place of older ones together.
    """
    with replace_files(folder) as new:
        write_files(result, new, run)
    return folder / f"{result.name}.md"


def write_files(result: ExperimentResult, folder: Path, run: Run | None = None) -> None:
    """Write the files of :func:`write`, one after the other, into a folder that is there."""
    tables = {result.name: (result.header, result.rows)}
    tables |= {f"{result.name}-{key}": table for key, table in result.tables.items()}
    for name, (header, rows) in tables.items():
        write_csv(folder / f"{name}.csv", header, rows)
    files = [f"{name}.csv" for name in tables]
    if result.samples:
        files.append(f"{result.name}-samples.csv")
        write_samples(folder / files[-1], result.samples)
    found = {
        "name": result.name,
        "paper": result.paper,
        "records": [asdict(each) | {"verdict": each.verdict} for each in result.records],
        "tables": files,
        "shows_images": result.shows_images,
        "run": None if run is None else asdict(run),
    }
    text = json.dumps(to_plain(found), indent=1, allow_nan=False)
    # Not by with_suffix: a name such as remark4.3 has a dot of its own.
    write_text(folder / f"{result.name}.json", text)
    draw_figure(result.draw, result.height).write(folder, result.name)
    figure = f"![{result.name}]({result.name}.svg)"
    write_text(folder / f"{result.name}.md", f"{summary(result, MARKDOWN)}\n\n{figure}\n")


def summary(result: ExperimentResult, layout: Layout) -> str:
    """What the paper says, and the verdicts where there are any."""
    verdict = "no verdict"
    paragraphs = [layout.prose(f"The paper: {result.paper}")]
    if result.records:
        verdict = overall(record.verdict for record in result.records)
        rows = [
            (
                f"{format_instance(r)}: {r.quantity}",
                f"{r.relation} {r.bound:g}",
                "unknown" if r.unknown else f"{r.estimate:.3g}",
                f"{r.low:.3g} to {r.high:.3g}",
                r.verdict,
            )
            for r in result.records
        ]
        header = ("here", "claimed", "found", "interval", "verdict")
        paragraphs.append(layout.table(header, rows, (2,)))
    return "\n\n".join([layout.heading(f"{result.name}: {verdict}"), *paragraphs])
