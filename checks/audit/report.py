"""The report of an audit of samples: a page, its numbers as JSON and CSV, pairs as a picture."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wildmiddle.checks.audit.model import ModelAudit
from wildmiddle.checks.audit.samples import THRESHOLDS, SampleAudit, SpaceAudit
from wildmiddle.checks.output import AUDIT, write_csv, write_text
from wildmiddle.checks.report.drawing import (
    COVERAGE,
    DANGER,
    DASHED,
    DOTTED,
    MUTED,
    SELF,
    WEIGHT,
    Picture,
    add_legend,
    draw_curve,
    draw_figure,
    set_sigma_axis,
    set_unit_axis,
    sigma_limits,
)
from wildmiddle.checks.report.files import to_plain
from wildmiddle.checks.report.formatting import format_number
from wildmiddle.checks.report.image_grids import (
    Strip,
    colours,
    draw_strips,
    hstack_pairs,
    split_into_rows,
)
from wildmiddle.checks.report.index import write_report
from wildmiddle.checks.report.template import load_template
from wildmiddle.checks.settings import recorded_texts
from wildmiddle.empirical.neighbours import Memorization
from wildmiddle.models.images import to_channels_first
from wildmiddle.models.trajectory import write_samples
from wildmiddle.theory.constants import COPY_RATIO

SCHEMA = "wildmiddle-audit/1"
PAIRS, COLUMNS = 48, 8
"""Pairs in the picture, those nearest to a copy, and how many of them stand side by side."""
NONE: Mapping[str, Any] = MappingProxyType({})
MOST = 20
"""Training images in the page's table of those that are copied most."""


def write_audit(
    audit: SampleAudit,
    folder: Path,
    model: ModelAudit | None = None,
    settings: Mapping[str, Any] = NONE,
) -> None:
    """Write the report into a folder, in the place of an older one of an audit.

    ``audit.html``, ``audit.json``, ``samples.csv``, ``copied.csv`` and ``thresholds.csv``; of a
    model also its samples, ``samples.npy``, and ``levels.csv`` and ``exchanges.csv``; and figures.
    Raises ValueError where files of these names are somebody else's.
    """
    pictures = {
        "pairs": draw_figure(*_pairs(audit)),
        "thresholds": draw_figure(lambda figure: _draw_sweep(figure, audit), 3.2),
    }
    if model is not None:
        pictures["levels"] = draw_figure(lambda figure: _draw_levels(figure, model), 3.4)
    with write_report(folder, AUDIT) as new:
        text = json.dumps(
            to_json(audit, model, settings), indent=1, ensure_ascii=False, allow_nan=False
        )
        write_text(new / "audit.json", text)
        write_text(new / "audit.html", to_html(audit, pictures, model, settings))
        for name, picture in pictures.items():
            picture.write(new, name)
        found = {"samples": audit.pixels.samples}
        names = {"samples": audit.samples.places}
        if audit.pixels.held_out is not None and audit.held_out is not None:
            found["held-out"] = audit.pixels.held_out
            names["held-out"] = audit.held_out.places
        places = np.array(audit.train.places)
        write_samples(new / "samples.csv", found, places, COPY_RATIO, names)
        if audit.features is not None:
            found = {"samples": audit.features.samples}
            write_samples(new / "samples-features.csv", found, places, COPY_RATIO, names)
        write_csv(new / "copied.csv", ("training image", "copies"), copied(audit))
        write_csv(new / "thresholds.csv", _SWEEP, _sweep_rows(audit))
        if model is not None:
            np.save(new / "samples.npy", audit.samples.pixels)
            write_csv(new / "levels.csv", _LEVELS, _level_rows(model))
            write_csv(new / "exchanges.csv", _EXCHANGES, _exchange_rows(model))


def copied(audit: SampleAudit) -> list[tuple[str, int]]:
    """The training images that are copied and how often, the most copied first."""
    times = audit.pixels.times_copied(len(audit.train.places))
    order = np.argsort(-times, kind="stable")
    return [(audit.train.places[i], int(times[i])) for i in order.tolist() if times[i]]


def model_sentences(model: ModelAudit) -> list[str]:
    """What a model does at which noise level, a sentence each."""
    k = int(np.argmax(model.outputs.mean))
    rate, low, high = (100 * getattr(model.outputs, e)[k] for e in ("mean", "low", "high"))
    ends = {
        name: "empty" if zone.empty else f"σ {zone.start:.3g} to {zone.end:.3g}"
        for name, zone in (("certain", model.zone.certain), ("possible", model.zone.possible))
    }
    most = (
        f"are copied most at σ {model.sigmas[k]:.3g}, {rate:.1f}% [{low:.1f}, {high:.1f}]"
        if rate > 0
        else f"are copies at no noise level, 0% [0, {high:.1f}]"
    )
    found = [
        f"One-step outputs on noised held-out images {most}; by the distances between the images "
        f"the danger zone is {ends['certain']} for certain, and {ends['possible']} at most."
    ]
    if not math.isnan(model.settled):
        found.append(
            f"On their own way half of the samples that end as copies are copies in one step from "
            f"σ {model.settled:.3g} downwards."
        )
    for each in model.exchanges:
        found.append(
            f"With the reference model at {each.part} noise, σ {format_number(each.low)} to "
            f"{format_number(each.high)}, "
            f"{100 * float(each.copies.mean):.1f}% [{100 * float(each.copies.low):.1f}, "
            f"{100 * float(each.copies.high):.1f}] of the samples are copies: {each.lost} fewer "
            f"and {each.gained} more (p = {each.p_value:.2g})."
        )
    return found


def sentences(audit: SampleAudit) -> list[str]:
    """The findings, a sentence each."""
    found = [each for space in audit.spaces for each in _space_sentences(audit, space)]
    if audit.mirrored:
        found.append("Copies of mirrored training images count as well.")
    if audit.held_out is None:
        found.append(
            "No held-out images were given, so nothing says what rate no copying would have: give "
            "some with --test."
        )
    if audit.quality is not None:
        frechet, kernel = audit.quality
        found.append(f"Fréchet distance {frechet}; kernel distance {kernel.value:.3g}.")
    times = copied(audit)
    if times:
        found.append(
            f"{len(times)} of the {len(audit.train.places)} training images are copied, the most "
            f"copied one, {_called(times[0][0])}, {_count(times[0][1], 'time')}."
        )
    return [*found, *(f"{doubt}." for doubt in audit.doubts)]


def to_json(
    audit: SampleAudit, model: ModelAudit | None = None, settings: Mapping[str, Any] = NONE
) -> dict[str, Any]:
    """All numbers of an audit as plain values; what is not known is null."""

    def sizes(images: Any) -> dict[str, Any] | None:
        if images is None:
            return None
        return {
            "title": images.title,
            "count": len(images.places),
            "sha256": images.sha256,
            "notes": list(images.notes),
            "doubts": list(images.doubts),
        }

    def rate(found: Memorization | None) -> dict[str, Any] | None:
        if found is None:
            return None
        return {"rate": found.rate, "low": found.low, "high": found.high, "n": len(found.ratio)}

    return to_plain(
        {
            "schema": SCHEMA,
            "settings": dict(settings),
            "samples": sizes(audit.samples),
            "train": sizes(audit.train),
            "held_out": sizes(audit.held_out),
            "value_range": list(audit.train.value_range),
            "alpha": audit.alpha,
            "threshold": COPY_RATIO,
            "mirrored": audit.mirrored,
            "spaces": [
                {
                    "name": space.name,
                    "copies": rate(space.samples),
                    "held_out": rate(space.held_out),
                    "p_value": space.p_value,
                    "C_T": None if space.nearer is None else space.nearer.statistic,
                    "cells": None if space.nearer is None else space.nearer.cells,
                    "nearer_than_held_out": None
                    if space.nearer is None
                    else vars(space.nearer.closer),
                }
                for space in audit.spaces
            ],
            "quality": None if audit.quality is None else [vars(each) for each in audit.quality],
            "copied": len(copied(audit)),
            "model": model
            and {
                "name": model.name,
                "settled": model.settled,
                "levels": [dict(zip(_LEVELS, row, strict=True)) for row in _level_rows(model)],
                "exchanges": [
                    dict(zip(_EXCHANGES, row, strict=True)) for row in _exchange_rows(model)
                ],
                "zone": {name: zone._asdict() for name, zone in model.zone.parts.items()},
            },
        },
        nan=None,
    )


def to_html(
    audit: SampleAudit,
    pictures: Mapping[str, Picture],
    model: ModelAudit | None = None,
    settings: Mapping[str, Any] = NONE,
) -> str:
    """The page as text, with its pictures by name."""
    return load_template("audit.html").render(
        audit=audit,
        model=model,
        model_sentences=[] if model is None else model_sentences(model),
        sentences=sentences(audit),
        pictures=pictures,
        settings=recorded_texts(settings),
        shown=min(PAIRS, len(audit.samples.places)),
        copied=[(_called(place), times) for place, times in copied(audit)[:MOST]],
        count=len(copied(audit)),
    )


def _space_sentences(audit: SampleAudit, space: SpaceAudit) -> list[str]:
    found, null = space.samples, space.held_out
    level = f"{100 * (1 - audit.alpha):g}%"
    where = "" if space is audit.pixels else f" in the features of {space.name}"
    text = (
        f"{_rate(found)} of {len(found.ratio)} samples are copies of training images{where} "
        f"({level} interval {_interval(found)})"
    )
    if null is None:
        return [text + "."]
    text += (
        f"; of {len(null.ratio)} held-out images {_rate(null)} {_interval(null)} pass the same "
        f"test (p = {space.p_value:.2g} if samples were copied no more than these)."
    )
    if space.nearer is None:
        return [text]
    closer, statistic = space.nearer.closer, space.nearer.statistic
    ends = f"{float(closer.mean):.2f} [{float(closer.low):.2f}, {float(closer.high):.2f}]"
    score = "" if math.isnan(statistic) else f", and C_T = {statistic:.1f}"
    nearer = (
        f"With probability {ends} a sample is nearer to the training images{where} than a held-out "
        f"image is{score}; a sampler that knew no training image would have 0.5, and 0."
    )
    return [text, nearer]


def _rate(found: Memorization) -> str:
    return f"{100 * found.rate:.1f}%"


def _interval(found: Memorization) -> str:
    return f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _called(place: str) -> str:
    return f"image {place}" if place.isdecimal() else place


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _pairs(audit: SampleAudit) -> tuple[Any, float]:
    # The pairs that are nearest to a copy, and the height of their picture in inches.
    space = audit.pixels
    order = np.argsort(space.samples.ratio, kind="stable")[:PAIRS]
    low_high = audit.train.value_range
    left = colours(to_channels_first(audit.samples.pixels[order]), low_high)
    right = colours(to_channels_first(audit.train.pixels[space.samples.nearest[order]]), low_high)
    strips: list[Strip] = split_into_rows(
        hstack_pairs(left, right), space.copies[order], min(COLUMNS, len(order))
    )

    def draw(figure: Figure) -> None:
        draw_strips(figure.subplots(), strips)

    height, width = left.shape[1:3]
    return draw, min(9.0, 0.3 + 7.0 * len(strips) * height / (2.2 * width * min(COLUMNS, PAIRS)))


def _draw_sweep(figure: Figure, audit: SampleAudit) -> None:
    axes = figure.subplots()
    space = audit.pixels
    curves: list[tuple[Memorization, str, Any, str]] = [
        (space.samples, WEIGHT, "-", "samples"),
    ]
    if space.held_out is not None:
        curves.append((space.held_out, COVERAGE, DASHED, "held-out images"))
    for found, colour, line, label in curves:
        rates = audit.sweep(found)
        axes.fill_between(THRESHOLDS, rates.low, rates.high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(THRESHOLDS, rates.mean, color=colour, linestyle=line, label=label)
    axes.axvline(COPY_RATIO, color=MUTED, linestyle=DOTTED)
    set_unit_axis(axes, "share that pass")
    axes.set_xlabel("threshold of the test d(1) < threshold × d(2)")
    add_legend(figure)


def _draw_levels(figure: Figure, model: ModelAudit) -> None:
    axes = figure.subplots()
    for zone, strength, label in (
        (model.zone.possible, 0.12, "danger zone, possible"),
        (model.zone.certain, 0.3, "danger zone, certain"),
    ):
        if not zone.empty:
            ends = np.clip(zone, model.sigmas.min(), model.sigmas.max())
            axes.axvspan(*ends, color=DANGER, alpha=strength, linewidth=0, label=label)
    draw_curve(axes, model.sigmas, model.outputs, WEIGHT, "o", "one-step outputs that are copies")
    draw_curve(axes, model.sigmas, model.images, SELF, "s", "images copied at 90% of the noises")
    draw_curve(axes, model.sigmas, model.under_way, COVERAGE, "^", "samples under way, in one step")
    set_sigma_axis(axes, *sigma_limits(model.sigmas))
    set_unit_axis(axes, "share of images or samples")
    add_legend(figure, columns=2)


_ENDS = ("mean", "low", "high")
_LEVELS = (
    "sigma",
    *(f"outputs_{end}" for end in _ENDS),
    *(f"images_{end}" for end in _ENDS),
    *(f"under_way_{end}" for end in _ENDS),
)
_EXCHANGES = ("part", "low", "high", "rate", "rate_low", "rate_high", "lost", "gained", "p_value")


def _level_rows(model: ModelAudit) -> list[tuple[float, ...]]:
    shares = (model.outputs, model.images, model.under_way)
    columns = [getattr(each, end) for each in shares for end in _ENDS]
    return list(zip(*(column.tolist() for column in (model.sigmas, *columns)), strict=True))


def _exchange_rows(model: ModelAudit) -> list[tuple[Any, ...]]:
    return [
        (
            *(each.part, each.low, each.high),
            *(float(getattr(each.copies, end)) for end in _ENDS),
            *(each.lost, each.gained, each.p_value),
        )
        for each in model.exchanges
    ]


_SWEEP = ("space", "set", "threshold", "rate", "low", "high")


def _sweep_rows(audit: SampleAudit) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for space in audit.spaces:
        for name, found in (("samples", space.samples), ("held-out", space.held_out)):
            if found is not None:
                rates = audit.sweep(found)
                columns = (np.round(THRESHOLDS, 10), rates.mean, rates.low, rates.high)
                values = zip(*(column.tolist() for column in columns), strict=True)
                rows += [(space.name, name, *row) for row in values]
    return rows
