"""Settings: every field reaches the command line, pytest, the report and the repeating command."""

import subprocess
import sys
from argparse import ArgumentTypeError
from dataclasses import fields, replace
from typing import Any

import pytest

from wildmiddle.checks import report
from wildmiddle.checks.options import parser, settings_of
from wildmiddle.checks.report.formatting import repeat_command
from wildmiddle.checks.settings import Settings, format_bytes, option, parse_bytes, texts
from wildmiddle.checks.verify import Result

OTHER: dict[str, Any] = {
    "weight_high": 0.8,
    "weight_low": 0.2,
    "coverage_high": 0.6,
    "coverage_low": 0.2,
    "c": 4.0,
    "w": 0.9,
    "copies_within": 0.01,
    "delta": 0.1,
    "seed": 3,
    "samples": 500,
    "alpha": 1e-4,
    "device": "cpu",
    "memory": 3 * 2**20,
}
"""A value of each field that is not its default."""


def test_every_field_has_another_value_here() -> None:
    assert set(OTHER) == {each.name for each in fields(Settings)}
    assert all(OTHER[each.name] != each.default for each in fields(Settings))


def test_options_give_back_the_settings_that_their_texts_state() -> None:
    given = Settings(**OTHER)
    words = [f"{option(name)}={text}" for name, text in texts(given).items()]
    assert settings_of(parser().parse_args(["verify", *words])) == given
    assert settings_of(parser().parse_args(["verify"])) == Settings()


def test_a_command_that_takes_some_leaves_the_others_at_their_defaults() -> None:
    zone = settings_of(parser().parse_args(["zone", "--c", "2", "--memory", "5MB"]))
    assert zone == Settings(c=2.0, memory=5 * 2**20)
    reproduce = settings_of(parser().parse_args(["reproduce", "figure3", "--c", "2"]))
    assert reproduce == Settings(c=2.0)


def test_every_field_is_an_option_of_pytest() -> None:
    command = [sys.executable, "-m", "pytest", "--help", "-p", "no:cacheprovider"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    for each in fields(Settings):
        assert f"--claims-{option(each.name)[2:]}" in told


def test_the_report_holds_every_field_and_the_command_repeats_it(result: Result) -> None:
    study = replace(result.study, settings=Settings(**OTHER))
    vars(study)["curves"] = result.study.curves
    again = replace(result, study=study)
    assert report.to_json(again)["settings"] == OTHER
    command = " ".join(repeat_command(again))
    words = command.removeprefix("wildmiddle ").split()
    assert settings_of(parser().parse_args(words)) == study.settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("w", "delta", "alpha") for value in (0.0, 1.0, float("nan"))),
        *(("c", value) for value in (0.0, -1.0, float("inf"), float("nan"))),
        ("weight_high", 1.0),
        ("coverage_low", 0.0),
        ("seed", -1),
        ("samples", 99),
        ("memory", 0),
        ("device", "gpu"),
    ],
)
def test_a_value_outside_of_its_domain_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name} = {value}\b") as caught:
        Settings(**{name: value})
    assert len(str(caught.value).splitlines()) == 1


def test_low_thresholds_stay_below_high_ones() -> None:
    with pytest.raises(ValueError, match=r"coverage_low = 0\.7, coverage_high = 0\.5"):
        Settings(coverage_low=0.7)


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500 * 2**20), ("2gb", 2**31), ("1KB", 1024), ("4096", 4096)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("size", "text"), [(2**30, "1GB"), (1536 * 2**20, "1536MB"), (5 * 2**10, "5KB"), (1000, "1000")]
)
def test_sizes_are_written_as_they_are_read(size: int, text: str) -> None:
    assert format_bytes(size) == text
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1GB", "0", "5TB", "infMB", "nan", "GB2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no size such as 500MB or 2GB"):
        parse_bytes(text)
