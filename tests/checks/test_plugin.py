"""``pytest --claims``: the README's example in a project of its own, run as a user would."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

README = Path(__file__).parents[2] / "README.md"
QUICK = ("--claims-samples", "1000", "--claims-c", "2", "-p", "no:cacheprovider", "-q")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    example = re.search(
        r"<!-- example: conftest -->\n```python\n(.*?)```", README.read_text(), re.S
    )
    assert example
    (tmp_path / "conftest.py").write_text(example[1])
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    return tmp_path


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", *QUICK, *arguments]
    return subprocess.run(
        command, cwd=project, capture_output=True, text=True, timeout=300, check=False
    )


def test_without_the_option_nothing_is_added(project: Path) -> None:
    done = run(project)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_claims_are_items_and_a_model_that_copies_below_the_zone_fails(project: Path) -> None:
    done = run(project, "--claims=4.9,4.10", "--junitxml=found.xml")
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 2
    assert "octaves between the memorization peak and the zone" in failed[0]
    assert "256 samples of the model: share of copies <=" in failed[1]
    assert "seed = 0" in done.stdout
    cases = ElementTree.parse(project / "found.xml").getroot().iter("testcase")
    names = {case.get("name"): case for case in cases}
    touching = next(case for name, case in names.items() if name.startswith("4.9: midpoint"))
    properties = {p.get("name"): p.get("value") for p in touching.iter("property")}
    assert {"bound", "estimate", "slack", "n", "alpha", "seed"} <= set(properties)
    assert float(properties["bound"]) == float(properties["estimate"])


def test_k_selects_by_claim(project: Path) -> None:
    done = run(project, "--claims=4.9,4.10", "-k", "4.10")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " deselected" in done.stdout
    assert "failed" not in done.stdout


def test_a_limit_without_a_model_is_one_line(project: Path) -> None:
    conftest = project / "conftest.py"
    text = conftest.read_text()
    start = text.index("def pytest_wildmiddle_denoiser")
    conftest.write_text(text[:start] + text[text.index("def pytest_wildmiddle_most_copies") :])
    done = run(project, "--claims=4.9")
    assert done.returncode == 4
    assert "without pytest_wildmiddle_denoiser" in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("hook", "value", "said"),
    [
        ("data", "3", "pytest_wildmiddle_data returns no pair"),
        ("denoiser", "'runs/gap'", "pytest_wildmiddle_denoiser returns no denoiser(x, sigma)"),
    ],
)
def test_a_hook_of_another_kind_is_one_line(project: Path, hook, value, said) -> None:
    with (project / "conftest.py").open("a") as conftest:
        conftest.write(f"\n\ndef pytest_wildmiddle_{hook}(config):\n    return {value}\n")
    done = run(project, "--claims=4.9")
    assert done.returncode == 4
    assert said in done.stderr + done.stdout
    assert "INTERNALERROR" not in done.stderr + done.stdout


def test_bad_use_is_one_line(project: Path) -> None:
    done = run(project, "--claims=9.9")
    assert done.returncode == 4
    assert "claim '9.9' is unknown" in done.stderr + done.stdout
