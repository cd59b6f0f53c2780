"""How the cost of the curves grows with N, d, sigmas and processes: ``benchmarks/processes.py``.

Each case runs once under ``torchrun`` for each number of processes, one thread each. A cost is the
processor time of the busiest process, which is the time that it takes where each has a core of its
own, in units of one bare float32 product of all queries with the training images in the same
process. Prints a table.
"""

import argparse
import os
import subprocess
import sys
import time

import numpy as np
import torch
from speed import images

from wildmiddle import empirical
from wildmiddle.empirical.kernels import processes
from wildmiddle.theory.schedules import edm_sigmas

QUERIES = 2000
PROCESSES = (1, 2, 4)
CASES = [(500, 3072, 40), (4000, 3072, 40), (4000, 3072, 10), (4000, 768, 40)]
HELD_OUT = 500


def run(n: int, d: int, levels: int) -> None:
    """Print the processor seconds of the bare product and of this process's share."""
    train, test = (
        np.ascontiguousarray(images(k, size)[:, :d]) for k, size in ((1, n), (2, HELD_OUT))
    )
    noise, rows = torch.randn(3 * QUERIES, d), torch.as_tensor(train)
    bare = []
    for _ in range(3):
        started = time.process_time()
        for part in noise.split(1000):
            part @ rows.T
        bare.append(time.process_time() - started)

    def estimate(points: np.ndarray, queries: int) -> float:
        started = time.process_time()
        empirical.curves(
            points,
            test,
            edm_sigmas(levels),
            weight_queries=queries,
            coverage_queries=2 * queries,
            device="cpu",
        )
        return time.process_time() - started

    with processes.join("cpu"):
        estimate(train[:50], 100)  # the first call is slower
        line = f"cost {min(bare)} {estimate(train, QUERIES)}\n"
        print(line, end="", flush=True)  # in one piece: the processes share the output


def main() -> None:
    """Print the table, or run one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run(*options.one)
        return
    print(
        "| N | d | sigmas | "
        + " | ".join(f"{count} process{'es' * (count > 1)}" for count in PROCESSES)
        + " |"
    )
    print("|---:|---:|---:|" + "---:|" * len(PROCESSES))
    for case in CASES:
        cells = []
        for count in PROCESSES:
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
            command += [f"--nproc-per-node={count}", __file__, "--one", *map(str, case)]
            said = subprocess.run(
                command,
                check=True,
                capture_output=True,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            ).stdout
            costs = [line.split()[1:] for line in said.splitlines() if line.startswith("cost")]
            # The bare product of the process that had it quickest: others only slow it down.
            bare = min(float(first) for first, _ in costs)
            cells.append(f"{max(float(own) for _, own in costs) / bare:.2f}")
        print("| " + " | ".join([*map(str, case), *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
