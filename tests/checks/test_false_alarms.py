"""Runs over true claims report no violation; the benchmark of the same name runs 300 of them."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "false_alarms.py"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_no_violation_is_reported(seed: int) -> None:
    spec = importlib.util.spec_from_file_location("false_alarms", BENCHMARK)
    assert spec
    assert spec.loader
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    verdicts = benchmark.run(seed, samples=1000)
    assert not {claim for claim, verdict in verdicts if verdict == "violated"}, f"seed = {seed}"
