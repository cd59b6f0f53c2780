"""Two reports of ``verify`` side by side: what they were told, and where they found otherwise."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from wildmiddle.checks.layout import TERMINAL
from wildmiddle.checks.output import COMPARISON, write_text
from wildmiddle.checks.records import Verdict
from wildmiddle.checks.report.files import SCHEMA as REPORT_SCHEMA
from wildmiddle.checks.report.formatting import format_number
from wildmiddle.checks.report.index import DAMAGE, write_report
from wildmiddle.checks.report.template import load_template

SCHEMA = "wildmiddle-comparison/1"
MOST = 20
"""Comparisons that differ, of those that the terminal shows."""

Json = dict[str, Any]

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""A part of the comparison, as the terminal and the page show it: title, header and rows."""


def read_report(path: Path) -> Json:
    """A ``report.json``, or that of a folder; ValueError, in one line, for anything else."""
    file = path / "report.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = content["schema"]
    except FileNotFoundError:
        raise ValueError(f"{file} is not there; give a folder of wildmiddle verify") from None
    except DAMAGE as error:
        raise ValueError(f"{file} is no report of wildmiddle verify ({error})") from error
    if found != REPORT_SCHEMA:
        raise ValueError(f"{file} is of the kind {found!r}; give one of {REPORT_SCHEMA}")
    return {**content, "path": str(path)}


def compare(a: Json, b: Json) -> Json:
    """What differs between two reports, as plain values; ValueError where one is damaged.

    Of each noise level at which a regime ends, and of each comparison that both made, it says
    whether the two intervals overlap. Nothing is estimated from both together.
    """
    try:
        records, alone = _records(a, b)
        of_a, of_b = map(_told, (a, b))
        found = {
            "schema": SCHEMA,
            "reports": [a["path"], b["path"]],
            "told": [
                {"name": name, "a": of_a.get(name), "b": of_b.get(name)}
                for name in dict.fromkeys([*of_a, *of_b])
                if of_a.get(name) != of_b.get(name)
            ],
            "regimes": list(_regimes(a, b)),
            "counts": {
                f"{part} of {side}": Counter(each["verdict"] for each in report[part])
                for part in ("claims", "records")
                for side, report in (("A", a), ("B", b))
            },
            "records": records,
            "alone": alone,
            "alpha": [a["settings"]["alpha"], b["settings"]["alpha"]],
        }
        tables(found), sentence(found)  # what cannot be shown is refused here
        return found
    except DAMAGE as error:
        raise ValueError(
            f"{a['path']} or {b['path']} is damaged ({type(error).__name__}: {error}); run "
            "wildmiddle verify again"
        ) from error


def write(found: Json, folder: Path) -> None:
    """Write ``comparison.json``, ``comparison.html`` and the folder's index."""
    with write_report(folder, COMPARISON) as new:
        write_text(new / "comparison.json", json.dumps(found, indent=1, ensure_ascii=False))
        page = load_template("comparison.html").render(
            found=found, tables=tables(found), sentence=sentence(found)
        )
        write_text(new / "comparison.html", page)


def to_text(found: Json) -> str:
    """The comparison for the terminal."""
    parts = [f"A: {found['reports'][0]}\nB: {found['reports'][1]}"]
    for title, header, rows in tables(found):
        parts.append(f"{title}:" if rows else f"{title}: none")
        if rows:
            parts.append(TERMINAL.table(header, rows[:MOST], ()))
        if len(rows) > MOST:
            parts.append(f"and {len(rows) - MOST} more: --json and --output have all")
    return "\n\n".join([*parts, TERMINAL.prose(sentence(found))])


def tables(found: Json) -> list[Table]:
    """The parts of the comparison."""
    told = [(each["name"], *(_plain(each[side]) for side in "ab")) for each in found["told"]]
    ends = [
        (each["end"], *(_interval(each[side]) for side in "ab"), _words(each))
        for each in found["regimes"]
    ]
    counts = [
        (verdict, *(str(each.get(verdict, 0)) for each in found["counts"].values()))
        for verdict in get_args(Verdict)
    ]
    records = [
        (
            each["claim"],
            f"{each['quantity']}, {each['instance']}",
            *(f"{_interval(each[side])}, {each[side]['verdict']}" for side in "ab"),
            _words(each),
        )
        for each in found["records"]
    ]
    other = "Comparisons with another verdict or disjoint intervals"
    return [
        ("Settings and data that differ", ("What", "A", "B"), told),
        ("Regimes", ("End", "A", "B", "Intervals"), ends),
        ("Verdicts", ("Verdict", *found["counts"]), counts),
        (other, ("Claim", "Comparison", "A", "B", "Intervals"), records),
    ]


def sentence(found: Json) -> str:
    """How often intervals of one quantity are disjoint, and what was not compared."""
    a, b = found["alpha"]
    alone = found["alone"]
    return (
        "Were all quantities the same in both, any two intervals of a comparison would be disjoint "
        f"with probability at most {a:g} + {b:g}, the error rates of the two runs. The ends of "
        "regimes have their own level. Of other data or settings a quantity may rightly differ, "
        "and so may one that is computed at points which follow from the seed. "
        f"{alone['a']} comparisons are of A alone, {alone['b']} of B alone."
    )


def _records(a: Json, b: Json) -> tuple[list[Json], dict[str, int]]:
    of_a, of_b = _by_name(a), _by_name(b)
    shown = ("estimate", "low", "high", "verdict", "bound", "alpha", "n")
    differing: list[Json] = []
    for name, one in of_a.items():
        other = of_b.get(name, one)
        overlap = _overlap(one, other)
        if not overlap or one["verdict"] != other["verdict"]:
            named = dict(zip(("claim", "instance", "quantity"), name, strict=False))
            sides = {"a": one, "b": other}
            parts = {side: {part: each[part] for part in shown} for side, each in sides.items()}
            differing.append({**named, "overlap": overlap, **parts})
    differing.sort(key=lambda each: not each["a"]["n"])  # those that are computed come last
    return differing, {"a": len(of_a.keys() - of_b.keys()), "b": len(of_b.keys() - of_a.keys())}


def _told(report: Json) -> Json:
    # Data, settings and versions by name; of what has parts, the parts.
    found: Json = {}
    for part in ("data", "settings", "versions"):
        for name, value in report[part].items():
            for key, one in value.items() if isinstance(value, dict) else [("", value)]:
                found[f"{part} {name} {key}".rstrip()] = one
    return found


def _by_name(report: Json) -> dict[tuple[str, str, str, int], Json]:
    # Comparisons of one name are told apart by their order.
    found: dict[tuple[str, str, str, int], Json] = {}
    times: Counter[tuple[str, str, str]] = Counter()
    for record in report["records"]:
        name = record["claim"], record["instance"], record["quantity"]
        found[(*name, times[name])] = record
        times[name] += 1
    return found


def _regimes(a: Json, b: Json) -> Iterator[Json]:
    zones = zip(*(_zones(report["regimes"]) for report in (a, b)), strict=True)
    for (name, one), (_, other) in zones:
        for end in ("start", "end"):
            a_end, b_end = (None if each["empty"] else each[end] for each in (one, other))
            overlap = a_end is b_end
            if a_end is not None and b_end is not None:
                overlap = _overlap(a_end, b_end)
            yield {"end": f"{name}, {end}", "a": a_end, "b": b_end, "overlap": overlap}


def _zones(regimes: Json) -> Iterator[tuple[str, Json]]:
    for each in regimes["intervals"]:
        yield each["name"], each
    for name in ("certain", "possible"):
        zone = regimes["predicted"][name]
        # By the distances alone: an end is its own interval.
        ends = {end: dict.fromkeys(("sigma", "low", "high"), zone[end]) for end in ("start", "end")}
        yield f"predicted, {name}", {"empty": zone["empty"], **ends}


def _ends(found: Json) -> tuple[float, float]:
    """What is known of a value, with the rounding of a computed one; all where it is not known."""
    low, high = (math.nan if found[end] is None else float(found[end]) for end in ("low", "high"))
    rounding = float(found.get("rounding", 0))
    return (
        -math.inf if math.isnan(low) else low - rounding,
        math.inf if math.isnan(high) else high + rounding,
    )


def _overlap(one: Json, other: Json) -> bool:
    (low, high), (other_low, other_high) = _ends(one), _ends(other)
    return low <= other_high and other_low <= high


def _interval(found: Json | None) -> str:
    if found is None:
        return "empty"
    names = ("sigma" if "sigma" in found else "estimate", "low", "high")
    value, low, high = (
        "not known" if found[name] is None else format_number(float(found[name])) for name in names
    )
    return value if low == high else f"{value} [{low}, {high}]"


def _words(found: Json) -> str:
    if found["overlap"]:
        return "overlap"
    if None in (found["a"], found["b"]):
        return "one is empty"
    return "disjoint" if found["a"].get("n", 1) else "computed, differ"


def _plain(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
