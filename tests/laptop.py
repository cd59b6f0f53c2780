"""The experiments' verdicts at laptop scale: ``tox run -e laptop``, not part of the default tests.

Reads what ``wildmiddle reproduce all --scale laptop`` wrote into the folder that the environment
variable WILDMIDDLE_EXPERIMENTS names. No claim may be violated but those below, each understood and
written down in docs/findings.md; and where one of them is found to hold, that is a failure too, for
the findings are out of date then.
"""

import json
import os
from pathlib import Path

import pytest

from wildmiddle.checks.options import ALONE, EXPERIMENTS

FOLDER = Path(os.environ.get("WILDMIDDLE_EXPERIMENTS", "experiments"))

UNDERSTOOD = {
    # With EDM's distribution of sigma a gap delays copying and no more; others are inconclusive.
    ("figure4", "gap over the certain zone: memorized samples"),
}


@pytest.fixture(scope="module", params=[name for name in EXPERIMENTS if name not in ALONE])
def experiment(request) -> dict:
    path = FOLDER / f"{request.param}.json"
    assert path.is_file(), f"no {path}: run wildmiddle reproduce all --output {FOLDER}"
    return json.loads(path.read_text(encoding="utf-8"))


def test_what_is_claimed_holds_but_for_what_is_understood(experiment) -> None:
    name = experiment["name"]
    violated = {
        (name, f"{record['instance']}: {record['quantity']}")
        for record in experiment["records"]
        if record["verdict"] == "violated"
    }
    expected = {key for key in UNDERSTOOD if key[0] == name}
    assert violated == expected


def test_every_figure_and_table_is_there(experiment) -> None:
    files = [f"{experiment['name']}.svg", *experiment["tables"]]
    assert all((FOLDER / file).stat().st_size > 0 for file in files)


def test_what_was_run_is_named(experiment) -> None:
    run = experiment["run"]
    settings = run["settings"]
    assert (run["scale"], settings["seed"], settings["alpha"]) == ("laptop", 0, 1e-3)
