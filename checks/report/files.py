"""The report of one run: ``report.json`` for machines, ``report.md`` for a log, a page to read.

The same run gives the same bytes, but for the values under the keys ``seconds`` of the JSON. Its
schema is described in ``docs/json.md``.
"""

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildmiddle.checks.layout import MARKDOWN, Layout
from wildmiddle.checks.output import VERIFY, write_text
from wildmiddle.checks.records import Record
from wildmiddle.checks.report.figures import figures
from wildmiddle.checks.report.formatting import (
    copying_sentence,
    format_number,
    format_slack,
    regime_cells,
    repeat_command,
    size_cells,
    tightest_record,
    verdict_sentence,
    zone_sentence,
)
from wildmiddle.checks.report.index import write_report
from wildmiddle.checks.report.page import to_html
from wildmiddle.checks.settings import texts
from wildmiddle.checks.verify import Result
from wildmiddle.empirical.regimes import Regime
from wildmiddle.theory.claims import Claim
from wildmiddle.theory.regimes import Zone
from wildmiddle.theory.schedules import steps_between

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
    """Write ``report.html``, ``report.json``, ``report.md``, the figures and ``index.html``.

    They take the place of an older report together; the folder is made if missing. Raises
    ValueError where files of these names are somebody else's, or cannot be written.
    """
    with write_report(folder, VERIFY) as new:
        drawings = figures(result)
        text = json.dumps(to_json(result), indent=1, ensure_ascii=False, allow_nan=False)
        write_text(new / "report.json", text)
        write_text(new / "report.md", to_text(result, MARKDOWN))
        write_text(new / "report.html", to_html(result, drawings))
        for drawing in drawings.values():
            drawing.write(new)


def to_json(result: Result) -> dict[str, Any]:
    """The whole run as plain values, ready for a strict JSON writer.

    What is not known is null; infinite numbers are the strings ``inf`` and ``-inf``.
    """
    data, study = result.data, result.study
    return to_plain(
        {
            "schema": SCHEMA,
            "verdict": result.verdict(),
            "settings": asdict(study.settings),
            "versions": result.versions,
            "data": {
                "name": data.name,
                "title": data.title,
                "classes": list(data.classes),
                "limit": data.limit,
                "grayscale": data.grayscale,
                "size": data.size,
                "train_size": len(study.images),
                "distinct": study.n,
                "test_size": len(study.test),
                "dimension": study.d,
                "image_shape": list(study.images.shape[1:]),
                "value_range": list(data.value_range),
                "centred": data.centred,
                "sigma_data": data.sigma_data,
                "duplicates": data.duplicates,
                "test_duplicates": data.test_duplicates,
                "leaked": data.leaked,
                "near_copies": asdict(study.near_copies),
                "notes": list(data.notes),
                "doubts": list(data.doubts),
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
                    name.replace(",", "").replace(" ", "_"): zone_values(part, data.value_range)
                    for name, part in study.zone.parts.items()
                }
                | {
                    "alpha": study.zone.alpha,
                    "half_copied": study.zone.half_copied,
                    "speciation": study.zone.speciation,
                    "by_size": [each._asdict() for each in study.zone.by_size],
                    "drawn": study.zone.drawn and study.zone.drawn._asdict(),
                },
                "half_copied": vars(study.half_copied),
            },
            "sharper": [
                {**vars(row), "truth": row.truth and row.truth._asdict()} for row in result.sharper
            ],
            "curves": {
                "sigmas": study.curves.sigmas.tolist(),
                **{name: vars(getattr(study.curves, name)) for name in CURVES},
            },
            "seconds": result.seconds,
        },
        nan=None,
    )


def to_text(result: Result, layout: Layout) -> str:
    """A summary of some forty lines, for a log or for a terminal."""
    data, study = result.data, result.study
    low, high = data.value_range
    centred = ", centred" if data.centred else ""
    distinct = study.distinct.sentences(study.settings.copies_within)
    said = (*data.notes, *data.doubts, *distinct, *data.copies, *study.near_copies.sentences)
    settings = ", ".join(f"{name} {text}" for name, text in texts(study.settings).items())
    paragraphs = (
        layout.heading(f"wildmiddle: {result.verdict()}"),
        layout.prose(verdict_sentence(result)),
        layout.table(
            ("number", "claim", "verdict", "comparisons", "tightest one", "detectable there"),
            [_claim_cells(result, claim) for claim in result.claims],
            (3, 5),
        ),
        layout.prose(f"Regimes, sigma for pixels in [{low:g}, {high:g}]{centred}:"),
        layout.table(
            ("regime", "from sigma", "to sigma", "EDM steps of 18", "DDPM timesteps"),
            [
                (regime.name, *regime_cells(regime))
                for regime in (*study.regimes, study.danger_by_copying)
            ],
            (),
        ),
        layout.prose(zone_sentence(result)),
        layout.prose(copying_sentence(result)),
        layout.table(
            ("images", "collapse scale", "zone ends at the latest"), size_cells(result), ()
        ),
        layout.prose(
            f"Data: {result.data.title}, N = {len(study.images)}, M = {len(study.test)}, "
            f"d = {study.d}, "
            f"{result.data.sha256}. Settings: {settings}."
        ),
        layout.prose(" ".join(f"{text}." for text in said)),
        f"Command: {layout.code(' '.join(repeat_command(result)))}",
        layout.prose(f"Versions: {', '.join(f'{k} {v}' for k, v in result.versions.items())}."),
    )
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _claim_cells(result: Result, claim: Claim) -> tuple[str, ...]:
    records = result.of(claim)
    tightest = tightest_record(records)
    last = ("–", "–")
    if tightest is not None:
        last = (" ".join(format_slack(tightest)), format_number(tightest.detectable))
    return claim.number, claim.title, result.verdict(claim), str(len(records)), *last


def _record(record: Record) -> dict[str, Any]:
    found = {"slack": record.slack, "verdict": record.verdict, "wanted": record.wanted}
    return {**vars(record), **found}


def _regime(regime: Regime) -> dict[str, Any]:
    return {
        "name": regime.name,
        "empty": regime.empty,
        "start": vars(regime.start),
        "end": vars(regime.end),
        "edm_steps": regime.edm_steps,
        "ddpm_timesteps": regime.ddpm_timesteps,
    }


def zone_values(zone: Zone, value_range: tuple[float, float]) -> dict[str, Any]:
    """A zone in sigma, in steps of EDM's 18 and in DDPM's timesteps, as plain values."""
    edm, ddpm = steps_between(*zone, value_range)
    return {
        "empty": zone.empty,
        "start": zone.start,
        "end": zone.end,
        "edm_steps": edm,
        "ddpm_timesteps": ddpm[:1] + ddpm[-1:],
    }


def _hash(indices: NDArray[np.int64]) -> str:
    return "sha256:" + hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()


def to_plain(value: Any, nan: str | None = "nan") -> Any:
    """A value as a strict JSON writer takes it; infinite numbers become strings, nan ``nan``."""
    if isinstance(value, dict):
        return {key: to_plain(entry, nan) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(entry, nan) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(value.tolist(), nan)
    if isinstance(value, float) and not math.isfinite(value):
        return nan if math.isnan(value) else str(value)
    return value
