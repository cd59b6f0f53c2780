"""A few thousand changed files of every kind: read or refused in one line, in bounded time."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
KINDS = ["CIFAR-10 binary", "CIFAR-10 for Python", "tar", "npy", "npz", "images"]
KINDS += ["Parquet", "Arrow"] if importlib.util.find_spec("pyarrow") else []
KINDS += ["scale", "experiment", "checkpoint", "safetensors"]

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits memory as Linux does"
)


def fuzz(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FUZZ), *options]
    for kind in KINDS:
        command += ["--target", kind]
    return subprocess.run(command, capture_output=True, text=True, timeout=400)


def test_changed_files_are_read_or_refused_in_one_line() -> None:
    run = fuzz("--inputs", str(200 * len(KINDS)))
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    rows = [line.split(" | ") for line in run.stdout.splitlines()[2:]]
    assert [row[0].removeprefix("| ") for row in rows] == KINDS
    for row in rows:
        inputs, read, refused = (int(cell) for cell in row[1:4])
        assert inputs == read + refused == 200
        assert read > 0  # the changes leave some files whole enough to get past the first check
        assert refused > 0


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris")
def test_files_changed_by_coverage() -> None:
    run = fuzz("--inputs", "2000", "--guided")
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_fuzzer_sees_faults(tmp_path: Path) -> None:
    """A reader with three faults: another exception, two lines, and no end to its memory."""
    script = tmp_path / "faulty.py"
    script.write_text(
        f"""
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("fuzz", {str(FUZZ)!r})
fuzz = importlib.util.module_from_spec(spec)
sys.modules["fuzz"] = fuzz
spec.loader.exec_module(fuzz)

def read(path):
    first = path.read_bytes()[0]
    if first == 1:
        return {{}}["missing"]
    if first == 2:
        raise ValueError("one line\\nand another")
    if first == 3:
        bytearray(2 * fuzz.MEMORY)

fuzz.bound_memory()
trial = fuzz.Trial(fuzz.Target([b"x"], "a", read), pathlib.Path({str(tmp_path)!r}))
for first in range(5):
    trial(bytes([first]))
print(*trial.tally.findings, sep="\\n")
"""
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    places = run.stdout.splitlines()
    assert len(places) == 3
    assert places[0].startswith("KeyError at faulty.py")
    assert places[1] == "a refusal that is not one line"
    assert places[2].startswith("MemoryError at faulty.py")
