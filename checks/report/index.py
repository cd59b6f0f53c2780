"""The page ``index.html`` of a folder: what each command found there, and the way to its page.

All is read back from the JSON files, so that separate runs add up.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from wildmiddle.checks.options import EXPERIMENTS
from wildmiddle.checks.output import EXPERIMENTS_PAGE, INDEX, Kind, replace_files, write_text
from wildmiddle.checks.report.formatting import format_number
from wildmiddle.checks.report.template import load_template

DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What is raised where a file holds other values than a command writes."""


@contextmanager
def write_report(folder: Path, kind: Kind) -> Iterator[Path]:
    """Give an empty folder for the files of a report; they go to ``folder`` with a new index.

    Raises what :func:`wildmiddle.checks.output.replace_files` raises.
    """
    with replace_files(folder, kind) as new:
        yield new
        write_text(new / INDEX, to_html(folder, new))


def to_html(folder: Path, new: Path) -> str:
    """The index of a folder as text; files that stand in ``new`` are read from there."""
    rows, damaged = [], {}
    for command, page, names, read in _REPORTS:
        # A file that is written anew stands before the older one of its name.
        places = [next((at / n for at in (new, folder) if (at / n).is_file()), None) for n in names]
        paths = [path for path in places if path is not None]
        if not paths:
            continue
        try:
            data, found = read([json.loads(path.read_text(encoding="utf-8")) for path in paths])
            written = max(path.stat().st_mtime for path in paths)
            when = f"{datetime.fromtimestamp(written, UTC):%Y-%m-%d %H:%M} UTC"
            link = Markup('<a href="{}">{}</a>').format(page, command)
            rows.append((link, data, " ".join(f"{sentence}." for sentence in found), when))
        except (OSError, *DAMAGE) as error:
            damaged[command] = f"{type(error).__name__}: {error}"
    return load_template("index.html").render(rows=rows, damaged=damaged)


Summary = tuple[str, list[str]]
"""The data, and what was found on them, a sentence each."""


def _zone(contents: list[Any]) -> Summary:
    (content,) = contents
    certain, possible = (_zone_ends(content["zone"][name]) for name in ("certain", "possible"))
    found = [f"Danger zone by the distances: certain {certain}, possible {possible}"]
    if content["gap"]:
        found.append(f"Gap to leave out of training: σ\u00a0{_ends(*content['gap'].values())}")
    return _data(content["data"]), found


def _verify(contents: list[Any]) -> Summary:
    (content,) = contents
    regimes = content["regimes"]
    (danger,) = (each for each in regimes["intervals"] if each["name"] == "danger")
    measured = {"empty": danger["empty"]} | {e: danger[e]["sigma"] for e in ("start", "end")}
    zone = (
        f"Danger zone as measured: {_zone_ends(measured)}; certain by the distances: "
        f"{_zone_ends(regimes['predicted']['certain'])}"
    )
    verdicts = Counter(claim["verdict"] for claim in content["claims"])
    return _data(content["data"]), [zone, _counts(verdicts, "claim")]


def _audit(contents: list[Any]) -> Summary:
    (content,) = contents
    train, held_out, pixels = content["train"], content["held_out"], content["spaces"][0]
    found = [f"{_rate(pixels['copies'])} of {content['samples']['count']} samples are copies"]
    if held_out is not None:
        null = _rate(pixels["held_out"])
        found.append(f"{null} of {held_out['count']} held-out images pass the same test")
    return f"{content['samples']['title']}, of {train['title']} ({train['count']} images)", found


def _experiments(contents: list[Any]) -> Summary:
    titles = sorted({each["run"]["data"] for each in contents if each.get("run")})
    names = ", ".join(each["name"] for each in contents)
    verdicts = Counter(record["verdict"] for each in contents for record in each["records"])
    return "; ".join(titles), [f"{names}: {_counts(verdicts, 'comparison')}"]


def _comparison(contents: list[Any]) -> Summary:
    (content,) = contents
    found = f"Comparisons with another verdict or disjoint intervals: {len(content['records'])}"
    return " and ".join(content["reports"]), [found]


_REPORTS = (
    ("zone", "zone.html", ("zone.json",), _zone),
    ("verify", "report.html", ("report.json",), _verify),
    ("audit", "audit.html", ("audit.json",), _audit),
    ("reproduce", EXPERIMENTS_PAGE, tuple(f"{name}.json" for name in EXPERIMENTS), _experiments),
    ("report compare", "comparison.html", ("comparison.json",), _comparison),
)
"""Command, page, files and what they say, in the order of the index: the user's question first."""


def _data(data: dict[str, Any]) -> str:
    title = data.get("title", data.get("name"))  # older reports have no title
    if not data["test_size"]:
        return f"{title}: {data['train_size']} images, each held out once"
    return f"{title}: {data['train_size']} training, {data['test_size']} held-out images"


def _zone_ends(zone: dict[str, Any]) -> str:
    return "none" if zone["empty"] else f"σ\u00a0{_ends(zone['start'], zone['end'])}"


def _ends(start: Any, end: Any) -> str:
    low, high = ("not seen" if end is None else format_number(float(end)) for end in (start, end))
    return f"{low} to {high}"


def _rate(found: dict[str, Any]) -> str:
    rate, low, high = (100 * float(found[name]) for name in ("rate", "low", "high"))
    return f"{rate:.1f}% [{low:.1f}, {high:.1f}]"


def _counts(verdicts: Counter[str], noun: str) -> str:
    total = sum(verdicts.values())
    kinds = (f"{verdicts[name]} {name}" for name in ("violated", "inconclusive") if verdicts[name])
    said = [f"{verdicts['holds']} of {total} {noun}{'' if total == 1 else 's'} hold", *kinds]
    return ", ".join(said)
