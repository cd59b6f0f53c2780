"""Several processes on the CPU count what one counts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SEED = 20261124
CLAIMS = "4.2,4.5,4.8,4.9,A.1,copying"


def records(folder: Path) -> list[dict]:
    report = json.loads((folder / "report.json").read_text())
    return [
        {name: value for name, value in record.items() if name != "seconds"}
        for record in report["records"]
    ] + [report["curves"], report["regimes"]]


def flatten(value: Any) -> list[Any]:
    """The numbers and names in a value of JSON, in their order."""
    parts = value.items() if isinstance(value, dict) else value
    if isinstance(value, dict | list | tuple):
        return [leaf for part in parts for leaf in flatten(part)]
    return [value]


def run(data: Path, output: Path, processes: int) -> list[dict]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(torchrun if processes > 1 else ())]
    command += ["-m", "wildmiddle", "verify", "--quiet", "--data", str(data)]
    command += ["--claims", CLAIMS, "--samples", "1500", "--output", str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    return records(output)


def test_four_processes_give_the_records_of_one(tmp_path) -> None:
    rng = np.random.default_rng(SEED)
    data = tmp_path / "data.npz"
    train, test = (np.clip(rng.normal(0, 0.3, (n, 20, 15)), -1, 1) for n in (70, 40))
    np.savez(data, train=train, test=test)
    alone, found = (run(data, tmp_path / str(count), count) for count in (1, 4))
    assert len(found) > 20
    for one, several in zip(flatten(alone), flatten(found), strict=True):
        # Sums over all pairs are added up in another order.
        exact = not isinstance(one, float)
        assert one == several if exact else several == pytest.approx(one, rel=1e-12, abs=1e-60)
