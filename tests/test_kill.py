"""Runs killed at random moments and started again lose nothing: a share of benchmarks/kill.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("diffusers", reason="needs the extra train")

KILL = Path(__file__).parents[1] / "benchmarks" / "kill.py"
TIMES = 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the benchmark forks")
def test_killed_runs_lose_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(KILL), "--times", str(TIMES), "--json"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [*found] == ["train", "reproduce", "verify", "cache", "download"]
    for counts in found.values():
        assert not counts["half files"] + counts["left over"] + counts["lost or wrong"]
        killed = counts["at a time"] + counts["at an operation"]
        assert killed + counts["ended before"] == TIMES
    assert sum(counts["at an operation"] for counts in found.values()) >= TIMES
