"""Two processes on the CPU count what one counts, bit for bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SEED = 20261124


def records(folder: Path) -> list[dict]:
    report = json.loads((folder / "report.json").read_text())
    return [
        {name: value for name, value in record.items() if name != "seconds"}
        for record in report["records"]
    ] + [report["curves"], report["regimes"]]


def test_two_processes_give_the_records_of_one(tmp_path) -> None:
    rng = np.random.default_rng(SEED)
    data = tmp_path / "data.npz"
    train, test = (np.clip(rng.normal(0, 0.3, (n, 20, 15)), -1, 1) for n in (70, 40))
    np.savez(data, train=train, test=test)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for name, start in (("one", []), ("two", torchrun)):
        command = [sys.executable, *start, "-m", "wildmiddle", "verify", "--quiet"]
        command += ["--data", str(data), "--claims", "4.2,4.8", "--samples", "1500"]
        command += ["--output", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
        assert done.returncode == 0, done.stderr
    one, two = records(tmp_path / "one"), records(tmp_path / "two")
    assert len(one) > 20
    assert one == two
