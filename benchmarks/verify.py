"""Time and memory of the command line: ``python benchmarks/verify.py``.

Runs ``wildmiddle --help`` and ``wildmiddle verify`` on the digits as whole processes, each several
times, and prints medians; ``verify`` also as a ratio to one bare float32 matrix product of the
shapes of its two curves, measured in the same run.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch


def timed(arguments: list[str]) -> float:
    """Seconds of one whole process."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "wildmiddle", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started


def product(queries: int, points: int, dimension: int) -> float:
    """Median seconds of one float32 matrix product."""
    a, b = torch.randn(queries, dimension), torch.randn(points, dimension)
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        a @ b.T
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    bare = product(24_000, 1000, 64)
    with tempfile.TemporaryDirectory() as folder:
        command = ["verify", "--output", folder, "--quiet"]
        verify = statistics.median(timed(command) for _ in range(runs))
    # The largest child so far is a run of verify.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    short = statistics.median(timed(["--help"]) for _ in range(5 * runs))
    print("| command | seconds | of the bare product | peak memory |\n|---|---:|---:|---:|")
    print(f"| `wildmiddle --help` | {short:.2f} | | |")
    ratio = verify / bare
    print(f"| `wildmiddle verify` on the digits | {verify:.1f} | {ratio:.0f} | {peak:.2f} GB |")


if __name__ == "__main__":
    main()
