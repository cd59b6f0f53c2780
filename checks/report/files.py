"""The report of one run: ``report.json`` for machines, ``report.md`` for a log, a page to read.

The same run gives the same bytes, but for the values under the keys ``seconds`` of the JSON. Its
schema is described in ``docs/report-schema.md``.
"""

import hashlib
import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildmiddle.checks.records import Record
from wildmiddle.checks.report.page import to_html
from wildmiddle.checks.report.words import (
    command,
    predicted,
    regime_cells,
    room,
    sentence,
    tightest,
    zone_steps,
)
from wildmiddle.checks.report.words import number as shown
from wildmiddle.checks.settings import texts
from wildmiddle.checks.verify import Result
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.empirical.regimes import Regime
from wildmiddle.theory.regimes import Zone

SCHEMA = "wildmiddle-report/2"

CURVES = (
    "max_weight",
    "self_weight",
    "squared_weight",
    "coverage",
    "coverage_lower",
    "coverage_upper",
)


def write(result: Result, folder: Path) -> None:
    """Write ``index.html``, ``report.json`` and ``report.md`` into a folder, made if missing.

    Each file appears whole or not at all. Raises OSError where the folder cannot be written.
    """
    texts = {
        "report.json": json.dumps(to_json(result), indent=1, ensure_ascii=False, allow_nan=False),
        "report.md": to_markdown(result),
        "index.html": to_html(result),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_whole(folder / name, text)


def write_whole(path: Path, text: str) -> None:
    """Write a text that ends in one newline, so that the file appears whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text.rstrip("\n") + "\n", encoding="utf-8", newline="\n")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def to_json(result: Result) -> dict[str, Any]:
    """The whole run as plain values, ready for a strict JSON writer.

    Numbers that JSON does not know are the strings ``inf``, ``-inf`` and ``nan``.
    """
    data, study = result.data, result.study
    return plain(
        {
            "schema": SCHEMA,
            "verdict": result.verdict(),
            "settings": asdict(study.settings),
            "versions": result.versions,
            "data": {
                "name": data.name,
                "classes": list(data.classes),
                "limit": data.limit,
                "grayscale": data.grayscale,
                "size": data.size,
                "train_size": study.n,
                "test_size": len(study.test),
                "dimension": study.d,
                "image_shape": list(study.images.shape[1:]),
                "value_range": list(data.value_range),
                "centred": data.centred,
                "sigma_data": data.sigma_data,
                "duplicates": data.duplicates,
                "sha256": data.sha256,
                "split_sha256": {
                    "train": _hash(data.train_indices),
                    "test": _hash(data.test_indices),
                },
            },
            "claims": [
                {
                    "id": claim.id,
                    "number": claim.number,
                    "title": claim.title,
                    "statement": claim.statement,
                    "assumptions": [assumption.text for assumption in claim.assumptions],
                    "tight": claim.tight,
                    "sharper": claim.sharper,
                    "verdict": result.verdict(claim),
                    "comparisons": len(result.of(claim)),
                    "alpha": math.fsum(record.alpha for record in result.of(claim)),
                }
                for claim in result.claims
            ],
            "records": [_record(record) for record in result.records],
            "regimes": {
                "value_range": list(data.value_range),
                "centred": data.centred,
                "intervals": [_regime(regime) for regime in result.study.regimes],
                "predicted": {
                    "certain": _zone(result.study.zone.certain),
                    "possible": _zone(result.study.zone.possible),
                },
            },
            "sharper": [
                {**vars(row), "truth": row.truth and row.truth._asdict()} for row in result.sharper
            ],
            "curves": {
                "sigmas": study.curves.sigmas.tolist(),
                **{name: _estimate(getattr(study.curves, name)) for name in CURVES},
            },
            "seconds": result.seconds,
        }
    )


def to_markdown(result: Result) -> str:
    """A summary of some forty lines for the log of a continuous integration run."""
    low, high = result.data.value_range
    lines = [
        f"# wildmiddle: {result.verdict()}",
        "",
        sentence(result),
        "",
        "| number | claim | verdict | comparisons | tightest one | detectable there |",
        "|---|---|---|---:|---|---:|",
    ]
    for claim in result.claims:
        records = result.of(claim)
        worst = tightest(records)
        last = ("–", "–") if worst is None else (" ".join(room(worst)), shown(worst.detectable))
        cells = (claim.number, claim.title, result.verdict(claim), str(len(records)), *last)
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Regimes, sigma for pixels in [{low:g}, {high:g}]"
        + (", centred" if result.data.centred else "")
        + ":",
        "",
        "| regime | from sigma | to sigma | EDM steps of 18 | DDPM timesteps |",
        "|---|---|---|---|---|",
    ]
    for regime in result.study.regimes:
        lines.append(f"| {' | '.join((regime.name, *regime_cells(regime)))} |")
    study = result.study
    lines += [
        "",
        predicted(result),
        "",
        f"Data: {result.data.title}, N = {study.n}, M = {len(study.test)}, d = {study.d}, "
        f"{result.data.sha256}. Settings: "
        + ", ".join(f"{name} {text}" for name, text in texts(study.settings).items())
        + ".",
        "",
        f"Command: `{' '.join(command(result))}`",
        "",
        "Versions: " + ", ".join(f"{name} {v}" for name, v in result.versions.items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def _record(record: Record) -> dict[str, Any]:
    found = {"slack": record.slack, "verdict": record.verdict, "wanted": record.wanted}
    return {**vars(record), **found}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    # alpha is that of one interval; a whole curve misses with at most K times that.
    return vars(estimate)


def _regime(regime: Regime) -> dict[str, Any]:
    return {
        "name": regime.name,
        "empty": regime.empty,
        "start": vars(regime.start),
        "end": vars(regime.end),
        "edm_steps": regime.edm_steps,
        "ddpm_timesteps": regime.ddpm_timesteps,
    }


def _zone(zone: Zone) -> dict[str, Any]:
    steps, timesteps = zone_steps(zone)
    return {
        "empty": zone.empty,
        "start": zone.start,
        "end": zone.end,
        "edm_steps": steps,
        "ddpm_timesteps": timesteps,
    }


def _hash(indices: NDArray[np.int64]) -> str:
    return "sha256:" + hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()


def plain(value: Any) -> Any:
    """A value as a strict JSON writer takes it; numbers that are not finite become strings."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
