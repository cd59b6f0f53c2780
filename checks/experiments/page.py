"""The page ``experiments.html`` of a folder: all that ran into it, beside the paper.

What an experiment found is read back from its ``NAME.json``, so that separate runs add up. The page
is one file that needs no network; figures are part of it, tables stand beside it.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from wildmiddle.checks.experiments.results import ExperimentResult, Run, write_files
from wildmiddle.checks.options import EXPERIMENTS
from wildmiddle.checks.output import EXPERIMENTS_PAGE, experiment, write_text
from wildmiddle.checks.plain_values import require_fit
from wildmiddle.checks.records import Record, Relation, Verdict, overall
from wildmiddle.checks.report.formatting import format_number
from wildmiddle.checks.report.index import DAMAGE, write_report
from wildmiddle.checks.report.template import load_template
from wildmiddle.checks.settings import Settings, recorded_texts

_RECORD, _RUN = get_type_hints(Record), get_type_hints(Run)

_BEFORE = {"table1": 2, "remark4.3": 2, "remarkA.3": 5.5, "timestep-grids": 19}
"""Figures that stand before the tables, remarks and sections in the paper."""


@dataclass(frozen=True)
class Experiment:
    """One experiment as read back from its files."""

    name: str
    paper: str
    records: tuple[Record, ...]
    tables: tuple[str, ...]
    """Names of CSV files in the same folder."""
    run: Run | None
    """None where an older version, which did not say it, wrote the files."""
    svg: str
    """The figure, empty where its file is missing."""
    figures: tuple[str, ...]
    """The kinds of file that the figure is there as."""
    shows_images: bool
    """Whether the figure shows images, whose colours stay as they are in dark mode."""

    @property
    def title(self) -> str:
        """Its name as the paper writes it."""
        return title(self.name)

    @property
    def verdict(self) -> Verdict | None:
        """The worst of its comparisons; None for a picture, which has none."""
        return overall(record.verdict for record in self.records) if self.records else None

    @property
    def settings(self) -> dict[str, str]:
        """The recorded settings as the command line takes them, by name."""
        return {} if self.run is None else recorded_texts(self.run.settings)

    @property
    def alpha(self) -> float:
        """Error rate of its comparisons together."""
        return math.fsum(record.alpha for record in self.records)

    @property
    def error_rate(self) -> tuple[str, ...]:
        """Its line in the table of error rates."""
        spent = format_number(self.alpha) if self.records else "none spent"
        given = "not recorded" if self.run is None else str(self.settings["alpha"])
        return self.title, str(len(self.records)), spent, given

    @property
    def has_paper_numbers(self) -> bool:
        """Whether the paper gives a number for any comparison: the parameter ``paper``."""
        return any("paper" in record.parameters for record in self.records)

    def count(self, verdict: str) -> int:
        """Number of its comparisons with a verdict."""
        return sum(record.verdict == verdict for record in self.records)


def write_with_page(result: ExperimentResult, folder: Path, run: Run) -> Path:
    """Write an experiment's files and the page with it, together; returns the page's path."""
    with write_report(folder, experiment(result.name)) as new:
        write_files(result, new, run)
        write_text(new / EXPERIMENTS_PAGE, to_html(folder, new))
    return folder / EXPERIMENTS_PAGE


def to_html(folder: Path, new: Path | None = None) -> str:
    """The page of a folder as text; the same files give the same bytes.

    The files of an experiment that stands in ``new`` are read from there.
    """

    def place_of(name: str) -> Path:
        return new if new is not None and (new / f"{name}.json").exists() else folder

    found, damaged, missing = [], {}, []
    for name in sorted(EXPERIMENTS, key=place):
        try:
            found.append(read(place_of(name), name))
        except FileNotFoundError:
            missing.append(name)
        except (OSError, ValueError) as error:
            damaged[name] = str(error)
    runs: dict[str, list[Experiment]] = {}
    for each in found:
        runs.setdefault(repr(each.run), []).append(each)
    every = [record for each in found for record in each.records]
    return load_template("experiments.html", title=title).render(
        found=found,
        damaged=damaged,
        missing=missing,
        runs=list(runs.values()),
        titles=sorted({each.run.data for each in found if each.run is not None}),
        counts={v: sum(r.verdict == v for r in every) for v in get_args(Verdict)},
        verdict=overall(record.verdict for record in every) if every else None,
        error_rates=[each.error_rate for each in found],
        alphas=math.fsum(
            float(each.run.settings["alpha"]) for each in found if each.run and each.records
        ),
    )


def read(folder: Path, name: str) -> Experiment:
    """An experiment from its files; ValueError where they are not what one writes."""
    try:
        content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        records = tuple(_record(entry) for entry in content["records"])
        tables = tuple(_table_name(folder, entry) for entry in content.get("tables", ()))
        run = content.get("run")
        figure = folder / f"{name}.svg"
        return Experiment(
            name,
            _text(content["paper"]),
            records,
            tables,
            None if run is None else _run(run),
            figure.read_text(encoding="utf-8") if figure.is_file() else "",
            tuple(kind for kind in ("svg", "png") if (folder / f"{name}.{kind}").is_file()),
            bool(content.get("shows_images", False)),
        )
    except DAMAGE as error:
        raise ValueError(
            f"{name}.json is not what an experiment writes ({type(error).__name__}: {error})"
        ) from error


def title(name: str) -> str:
    """``figures11-16`` as the paper writes it."""
    if name == "timestep-grids":
        return "Section\u00a0E.9"
    named = re.sub(r"^([a-z]+)(?=A?\.?\d)", lambda word: word[0].capitalize() + "\u00a0", name)
    return re.sub(r"(?<=\d)-(?=\d)", "–", named)


def place(name: str) -> tuple[float, str]:
    """Sorts experiments by their place in the paper."""
    first = re.search(r"\d+", name)
    return _BEFORE.get(name, int(first[0]) if first else math.inf), name


def _record(entry: dict[str, Any]) -> Record:
    values = {field.name: entry[field.name] for field in fields(Record) if field.name in entry}
    for name in ("bound", "margin", "rounding", "estimate", "low", "high", "alpha", "detectable"):
        values[name] = float(values[name])
    for name in ("claim", "instance", "quantity", "method"):
        _text(values[name])
    if values["relation"] not in get_args(Relation):
        raise ValueError(f"relation {values['relation']!r}")
    require_fit(values, _RECORD, "a record")
    return Record(**values)


def _run(entry: dict[str, Any]) -> Run:
    sizes: Sequence[Any] = entry["image_shape"]
    low, high = entry["value_range"]
    settings = {**entry["settings"], "alpha": float(entry["settings"]["alpha"])}
    Settings(**settings)  # refuses a name or a value that no run can have
    found = entry | {
        "image_shape": tuple(sizes),
        "value_range": (float(low), float(high)),
        "settings": settings,
    }
    require_fit(found, _RUN, "the run")
    return Run(**found)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # a half of a character, as JSON may hold, cannot be written
    return value


def _table_name(folder: Path, name: Any) -> str:
    # Nothing but a file of this folder becomes a link.
    if Path(_text(name)).name != name or not (folder / name).is_file():
        raise ValueError(f"{name!r} is not in the folder")
    return name
