"""``report.json`` and ``report.md``, and how the files are written."""

import html
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from wildmiddle.checks import report
from wildmiddle.checks.layout import MARKDOWN, TERMINAL, WIDTH, escape_markdown
from wildmiddle.checks.options import parser
from wildmiddle.checks.output import VERIFY
from wildmiddle.checks.records import Record
from wildmiddle.checks.report.formatting import (
    copying_sentence,
    format_number,
    format_slack,
    regime_cells,
    repeat_command,
    size_cells,
    tightest_record,
    verdict_sentence,
    zone_cells,
    zone_sentence,
)
from wildmiddle.checks.terminal import zone_page
from wildmiddle.checks.verify import Result
from wildmiddle.theory.regimes import PredictedZone, Zone
from wildmiddle.theory.schedules import ddpm_sigmas, edm_sigmas, steps_between

Make = Callable[..., Record]


def strict_json(text: str) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


# The files


def test_writes_its_files_and_nothing_else(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"index.html", *VERIFY.files}


def test_same_run_gives_the_same_bytes_but_for_seconds(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wildmiddle.checks.report.files.figures", lambda _: {})  # see test_page.py
    slower = tuple(replace(r, seconds=r.seconds + 1) for r in result.records)
    report.write(result, tmp_path / "once")
    report.write(replace(result, records=slower, seconds=99.0), tmp_path / "again")
    for name in ("report.html", "report.md"):
        once, again = ((tmp_path / at / name).read_bytes() for at in ("once", "again"))
        assert once == again, name
    once, again = (
        (tmp_path / at / "report.json").read_text(encoding="utf-8").splitlines()
        for at in ("once", "again")
    )
    changed = [line for line, other in zip(once, again, strict=True) if line != other]
    assert len(changed) == len(result.records) + 1
    assert all(line.strip().startswith('"seconds": ') for line in changed)


def test_a_folder_that_is_no_report_is_left_as_it_is(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.json" / "in the way").mkdir(parents=True)
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(ValueError, match=r"report\.json was not written by wildmiddle"):
        report.write(result, tmp_path)
    assert sorted(tmp_path.parent.rglob("*")) == before


# report.json


def closed(schema: dict) -> dict:
    """The schema, with every key that it does not name refused."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if "properties" in schema and isinstance(schema.get("required"), list):
            assert sorted(schema["required"]) == sorted(schema["properties"])
            schema["additionalProperties"] = False
    return schema


def test_json_is_strict_and_fits_its_schema(result: Result, folder: Path) -> None:
    text = (files("wildmiddle.checks.report") / "templates" / "report.schema.json").read_text(
        encoding="utf-8"
    )
    schema = closed(json.loads(text))
    jsonschema.Draft202012Validator.check_schema(schema)
    written = strict_json((folder / "report.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(written)
    assert written == report.to_json(result)
    assert written["schema"] == report.SCHEMA == schema["properties"]["schema"]["const"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**written, "verdict": "true"})


def test_json_keeps_every_record_to_the_last_bit(result: Result, folder: Path) -> None:
    written = strict_json((folder / "report.json").read_text(encoding="utf-8"))["records"]
    for found, known in zip(written, result.records, strict=True):
        assert found["slack"] == known.slack
        assert found["verdict"] == known.verdict
        for name, value in vars(known).items():
            assert found[name] == ("inf" if value == math.inf else value), name


def test_json_keeps_the_curves_to_the_last_bit(result: Result, folder: Path) -> None:
    written = strict_json((folder / "report.json").read_text(encoding="utf-8"))["curves"]
    both = result.study.curves
    np.testing.assert_array_equal(written["sigmas"], both.sigmas)
    for name in report.CURVES:
        for end in ("mean", "low", "high"):
            np.testing.assert_array_equal(written[name][end], getattr(getattr(both, name), end))


@pytest.mark.parametrize(
    ("value", "written"), [(math.nan, None), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_json_spells_what_it_has_no_number_for(
    with_records: Callable[..., Result], record: Make, value: float, written: str | None
) -> None:
    # An estimate that is no number is no record.
    estimate = 0.5 if math.isnan(value) else value
    odd = record(estimate=estimate, low=value, high=value, parameters={"at": np.float64(value)})
    text = json.dumps(report.to_json(with_records(odd)), allow_nan=False)
    found = strict_json(text)["records"][0]
    for entry in (found["low"], found["high"], found["parameters"]["at"]):
        assert entry == written
    assert found["estimate"] == (0.5 if math.isnan(value) else written)


def test_json_tells_another_split_apart(result: Result) -> None:
    other = replace(result.data, train_indices=result.data.train_indices[::-1])
    before, after = (
        report.to_json(replace(result, data=data))["data"]["split_sha256"]
        for data in (result.data, other)
    )
    assert before["train"] != after["train"]
    assert before["test"] == after["test"]


def test_json_holds_the_predicted_zone_and_the_sharper_forms(result: Result, folder: Path) -> None:
    written = strict_json((folder / "report.json").read_text(encoding="utf-8"))
    predicted = written["regimes"]["predicted"]
    for name, zone in result.study.zone.parts.items():
        found = predicted[name.replace(",", "").replace(" ", "_")]
        assert (found["start"], found["end"], found["empty"]) == (*zone, zone.empty)
        edm, ddpm = steps_between(*zone)
        assert found["edm_steps"] == list(edm)
        assert found["ddpm_timesteps"] == [*ddpm[:1], *ddpm[-1:]]
    zone, counted = result.study.zone, result.study.half_copied
    assert predicted["half_copied"] == zone.half_copied > 0
    assert [tuple(each.values()) for each in predicted["by_size"]] == list(zone.by_size)
    assert written["regimes"]["half_copied"]["sigma"] == counted.sigma
    assert zone.half_copied < counted.high
    assert len(written["sharper"]) == len(result.sharper) > 10
    for found, row in zip(written["sharper"], result.sharper, strict=True):
        assert (found["claim"], found["paper"], found["ours"]) == (row.claim, row.paper, row.ours)
        assert (found["truth"] or {}).get("value") == (row.truth.value if row.truth else None)


# Words


def test_sentence_when_all_hold(result: Result) -> None:
    said = verdict_sentence(result)
    assert "All 3 claims hold on digits" in said
    assert "none of 4 comparisons contradicts the paper" in said
    assert "a run over true claims reports a violation with probability at most 1e-06" in said


def test_sentence_names_the_violated_claims(
    with_records: Callable[..., Result], record: Make
) -> None:
    bad = record("4.2.1", low=0.6, high=0.7, estimate=0.65)
    said = verdict_sentence(with_records(bad, record("4.8")))
    assert said.startswith("1 of 2 comparisons contradicts the paper on digits")
    assert "in claim 4.2.1;" in said


def test_sentence_counts_what_is_open(result: Result, record: Make) -> None:
    coarse = record("4.8", low=0.3, high=0.6)
    said = verdict_sentence(
        replace(
            result,
            records=(
                record("4.2.1"),
                coarse,
                record("4.11"),
            ),
        )
    )
    assert said.startswith("Nothing contradicts the paper on digits")
    assert "2 of 3 claims hold, 1 of 3 comparisons is too coarse to say" in said


def test_tightest_is_the_least_slack_of_those_that_decide(record: Make) -> None:
    loose, tight = record(bound=0.9), record(bound=0.41)
    violated = record(low=0.6, high=0.9, estimate=0.7)
    farther_but_open = record(low=0.3, high=0.95, estimate=0.9)
    endless = dict.fromkeys(("bound", "estimate", "low", "high"), math.inf)
    unknown = record(**endless)  # its slack is no number
    assert tightest_record([loose, tight]) is tight
    assert tightest_record([tight, farther_but_open, loose]) is farther_but_open
    assert tightest_record([tight, violated, farther_but_open]) is violated
    assert tightest_record([tight, unknown]) is unknown
    assert tightest_record([]) is None


def test_room_is_a_slack_or_a_distance(record: Make) -> None:
    assert format_slack(record(bound=0.5, estimate=0.25)) == ("slack", "0.25")
    assert format_slack(record(bound=0.5, estimate=0.75)) == ("slack", "−0.25")
    assert format_slack(record(relation="==", bound=0.5, estimate=0.25)) == ("off by", "0.25")
    assert format_slack(record(relation="==", bound=0.5, estimate=0.5)) == ("off by", "0")


EDM, DDPM = edm_sigmas(18), ddpm_sigmas()


@pytest.mark.parametrize(
    ("zone", "edm", "ddpm"),
    [
        # A step at the start of a zone belongs to it, one at the end does not.
        (Zone(float(EDM[9]), float(EDM[7])), (8, 9), None),
        (Zone(float(EDM[9]), float(np.nextafter(EDM[7], 99))), (7, 9), None),
        (Zone(float(np.nextafter(EDM[9], 99)), float(EDM[7])), (8, 8), None),
        (Zone(float(EDM[9]), float(EDM[8])), (9, 9), None),
        (Zone(float(DDPM[100]), float(DDPM[200])), None, (100, 199)),
        (Zone(float(DDPM[100]), float(np.nextafter(DDPM[200], 99))), None, (100, 200)),
        (Zone(float(DDPM[100]), float(DDPM[101])), None, (100, 100)),
        (Zone(1e5, 1e6), (), ()),
        (Zone(2.0, 1.0), (), ()),
    ],
)
def test_terminal_and_report_name_the_same_steps_of_a_zone(
    result: Result, zone: Zone, edm: tuple[int, ...] | None, ddpm: tuple[int, ...] | None
) -> None:
    study = replace(result.study)
    vars(study).update(zone=PredictedZone(zone, zone), curves=result.study.curves)
    changed = replace(result, study=study)
    vars(changed)["sharper"] = ()
    (line,) = [ln for ln in zone_page(result.data, study.zone).splitlines() if "certain  " in ln]
    told = re.findall(r"(\d+) to (\d+)|none", line.partition("  ")[2])
    told = [tuple(map(int, pair)) if pair[0] else () for pair in told][-2:]
    if zone.empty:
        told = [(), ()]
        assert line.split() == ["certain", "none"]
    cells = [
        tuple(map(int, re.findall(r"\d+", cell))) * (1 if "–" in cell else 2)
        for cell in zone_cells(zone)[2:]
    ]
    written = report.to_json(changed)["regimes"]["predicted"]["certain"]
    steps = [written[key] for key in ("edm_steps", "ddpm_timesteps")]
    steps = [(each[0], each[-1]) if each else () for each in steps]
    assert told == cells == steps
    for found, known in zip(told, (edm, ddpm), strict=True):
        assert known is None or found == known


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0134759, "0.01348"),
        (-1.25e-9, "−1.25e-09"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, "nan"),
        (0, "0"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert format_number(value) == text


def test_command_is_one_that_the_command_line_takes(result: Result) -> None:
    centred = replace(result, data=replace(result.data, centred=True))
    words = " ".join(repeat_command(centred)).split()
    options = parser().parse_args(words[1:])
    assert options.centre
    assert options.range == (-1.0, 1.0)
    assert (options.seed, options.samples, options.train_size) == (7, 500, 60)
    assert options.claims == "4.2.1,4.8,4.11"


# report.md


def test_markdown_states_verdict_claims_regimes_seed_and_versions(
    result: Result, folder: Path
) -> None:
    lines = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# wildmiddle: holds"
    assert lines[2] == escape_markdown(verdict_sentence(result))
    for claim in result.claims:
        (row,) = [line for line in lines if line.startswith(f"| {claim.number} |")]
        assert f"| {claim.title} | holds | {len(result.of(claim))} |" in row
    rows = {line.split(" | ")[0]: line for line in lines if line.startswith("| ")}
    for regime in result.study.regimes:
        assert all(cell in rows[f"| {regime.name}"] for cell in regime_cells(regime))
    assert any("seed 7" in line for line in lines)
    assert escape_markdown(zone_sentence(result)) in lines
    for name, zone in result.study.zone.parts.items():
        assert (
            zone.empty
            or name == "certain to copy"
            or f"{format_number(zone.start)} to {format_number(zone.end)}" in zone_sentence(result)
        )
    assert escape_markdown(copying_sentence(result)) in lines
    assert all(f"| {' | '.join(cells)} |" in lines for cells in size_cells(result))
    assert lines[-1] == "Versions: python 3.11.7, wildmiddle 0.2.0."
    assert len(lines) < 60


def test_the_terminal_says_the_same_in_columns(result: Result) -> None:
    markdown, terminal = (report.to_text(result, layout) for layout in (MARKDOWN, TERMINAL))

    def words(text: str) -> list[str]:
        plain = html.unescape(re.sub(r"\\([\\`|*\[\]])", r"\1", text))
        return sorted(word for word in re.split(r"[\s|`#]+", plain) if word.strip(":-"))

    assert words(markdown) == words(terminal)
    prose = [line for line in terminal.splitlines() if not line.startswith("Command")]
    assert max(map(len, prose)) <= WIDTH
