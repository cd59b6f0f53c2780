"""What ``zone --output`` writes: a page, the zone as JSON, the gap, the images that stand apart."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from wildmiddle.checks.output import ZONE, write_csv, write_text
from wildmiddle.checks.report.drawing import Picture, draw_figure
from wildmiddle.checks.report.files import to_plain, zone_values
from wildmiddle.checks.report.formatting import format_number, zone_cells
from wildmiddle.checks.report.image_grids import colours, draw_strips, hstack_pairs, split_into_rows
from wildmiddle.checks.report.index import write_report
from wildmiddle.checks.report.template import load_template
from wildmiddle.checks.settings import recorded_texts
from wildmiddle.checks.terminal import held_out_sentence, parts_and_gap
from wildmiddle.empirical.data import DataSet
from wildmiddle.empirical.kernels.device import training_rows
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.models.gap import Gap
from wildmiddle.models.images import to_channels_first
from wildmiddle.theory.regimes import PredictedZone, Zone, concentration_threshold
from wildmiddle.theory.schedules import SCHEDULE_RANGE, sigma_to_flow_time, sigma_to_log_snr

SCHEMA = "wildmiddle-zone/1"
MOST = 5_000
"""Training images up to which each has its nearest neighbour looked up."""
SHOWN, COLUMNS = 24, 8
"""Pairs in the picture, and how many stand side by side."""


class Risk(NamedTuple):
    """How far a training image stands from the others: the farther, the longer it can be copied."""

    image: str
    nearest: str
    distance: float
    sigma: float
    """Up to this noise level its posterior weight is at least the level that counts as high."""


def images_at_risk(
    data: DataSet, level: float, *, device: str = "auto", memory: int
) -> list[tuple[Risk, int, int]]:
    """The training images, those that are certain to be told apart at the largest noise first.

    With each its number and that of its nearest other image, both in ``data.train``. Empty for more
    than 5,000 images. The noise level is :func:`wildmiddle.theory.regimes.concentration_threshold`.
    """
    n = len(data.train)
    if n > MOST:
        return []
    points = training_rows(data.train, device).double() * data.sigma_unit
    everyone = torch.arange(n, device=points.device)
    found = nearest_two(points, points, memory=memory, left_out=everyone)
    apart, other = (each[:, 0].cpu().numpy() for each in found)
    sigma = concentration_threshold(apart, 1.0, level, n)
    order = np.argsort(-apart, kind="stable")
    return [
        (
            Risk(data.place(i), data.place(other[i]), float(apart[i]), float(sigma[i])),
            int(i),
            int(other[i]),
        )
        for i in order.tolist()
    ]


def write_zone(
    data: DataSet,
    zone: PredictedZone,
    risks: list[tuple[Risk, int, int]],
    notes: list[str],
    folder: Path,
    settings: Mapping[str, Any],
) -> None:
    """Write ``zone.html``, ``zone.json``, ``gap.json`` and ``images.csv`` in place of older ones.

    There is no ``gap.json`` where the distances leave no possible zone, and no ``images.csv`` for
    more than 5,000 images. Raises ValueError where files of these names are somebody else's.
    """
    gap = Gap.of_zone(zone, data.schedule_range)
    with write_report(folder, ZONE) as new:
        text = json.dumps(
            to_json(data, zone, settings), indent=1, ensure_ascii=False, allow_nan=False
        )
        write_text(new / "zone.json", text)
        if gap is not None:
            gap.rescaled(SCHEDULE_RANGE).save(new / "gap.json")
        if risks:
            header = ("image", "nearest", "distance", "weight high up to sigma")
            write_csv(new / "images.csv", header, [risk for risk, _, _ in risks])
        pairs = _draw_pairs(data, risks) if risks and data.train.ndim > 2 else None
        if pairs is not None:
            pairs.write(new, "images")
        write_text(new / "zone.html", to_html(data, zone, gap, risks, notes, pairs, settings))


def to_json(data: DataSet, zone: PredictedZone, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The zone in every parameterization, as plain values."""
    gap = Gap.of_zone(zone, data.schedule_range)

    def part(one: Zone) -> dict[str, Any]:
        return zone_values(one, data.schedule_range) | {
            "log_snr": [_log_snr(one.end), _log_snr(one.start)],
            "flow_time": [_flow_time(one.end), _flow_time(one.start)],
        }

    return to_plain(
        {
            "schema": SCHEMA,
            "settings": dict(settings),
            "data": {
                "title": data.title,
                "train_size": len(data.train),
                "test_size": len(data.test),
                "dimension": data.dimension,
                "value_range": list(data.value_range),
                "sigma_data": data.sigma_data,
                "scale": data.scale,
                "sha256": data.sha256,
                "notes": list(data.notes),
                "doubts": list(data.doubts),
            },
            "zone": {name: part(one) for name, one in zone.parts.items()},
            "each_held_out": zone.each_held_out,
            "alpha": zone.alpha,
            "by_size": [each._asdict() for each in zone.by_size],
            "gap": None if gap is None else {"low": gap.low, "high": gap.high},
        },
        nan=None,
    )


def to_html(
    data: DataSet,
    zone: PredictedZone,
    gap: Gap | None,
    risks: list[tuple[Risk, int, int]],
    notes: list[str],
    pairs: Picture | None,
    settings: Mapping[str, Any],
) -> str:
    """The page as text."""
    return load_template("zone.html").render(
        data=data,
        zone=zone,
        gap=gap,
        # In the units of the usual pixels, as the timesteps of the table are.
        stored=gap and gap.rescaled(SCHEDULE_RANGE),
        rows=[
            (name, *_cells(one, data.schedule_range))
            for name, one in parts_and_gap(zone, gap).items()
        ],
        sizes=[
            (f"{each.n}, these" if each.n == zone.n else each.n, *map(format_number, each[1:]))
            for each in zone.by_size
        ],
        notes=notes,
        risks=[(*risk[:2], *map(format_number, risk[2:])) for risk, _, _ in risks[:SHOWN]],
        count=len(risks),
        pairs=pairs,
        settings=recorded_texts(settings),
        held_out=held_out_sentence(data, zone),
    )


def _cells(zone: Zone, value_range: tuple[float, float]) -> tuple[str, ...]:
    # One zone in sigma, log SNR, steps, timesteps and flow time.
    if zone.empty:
        return "none", "", "", "", ""
    start, end, steps, timesteps = zone_cells(zone, value_range)

    def ends(convert: Callable[[float], float]) -> str:
        return f"{format_number(convert(zone.end))} to {format_number(convert(zone.start))}"

    return f"{start} to {end}", ends(_log_snr), steps, timesteps, ends(_flow_time)


def _flow_time(sigma: float) -> float:
    return 0.0 if math.isinf(sigma) else float(sigma_to_flow_time(sigma)) if sigma > 0 else 1.0


def _log_snr(sigma: float) -> float:
    return -math.inf if math.isinf(sigma) else float(sigma_to_log_snr(sigma)) if sigma else math.inf


def _draw_pairs(data: DataSet, risks: list[tuple[Risk, int, int]]) -> Picture:
    low, high = data.value_range
    # As stored, one step is a unit of sigma, and 0 the low end of the range.
    bounds = (0.0, (high - low) / data.unit) if data.unit != 1 else (low, high)
    mean: torch.Tensor | float = 0.0
    if data.mean is not None:
        mean = to_channels_first(data.mean[None])[0]
    numbers = np.array([(own, other) for _, own, other in risks[:SHOWN]])
    sides = [
        colours(to_channels_first(np.asarray(data.train[numbers[:, side]])), bounds, mean)
        for side in (0, 1)
    ]
    tiles = hstack_pairs(*sides)
    strips = split_into_rows(tiles, np.zeros(len(tiles), bool), min(COLUMNS, len(tiles)))
    height, width = sides[0].shape[1:3]
    inches = min(9.0, 0.3 + 7.0 * len(strips) * height / (2.2 * width * min(COLUMNS, len(tiles))))
    return draw_figure(lambda figure: draw_strips(figure.subplots(), strips), inches)
