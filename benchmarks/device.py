"""What an accelerator does beside the CPU, in one table: ``python benchmarks/device.py``.

Takes at most eight minutes; what would begin later is left out. Counts on the accelerator must lie
within the intervals of those on the CPU, and nearest images must be the same: the exit code is 1
where they do not, or where a line ends with an error. Times are the least of several turns, beside
the bare float32 product in the same turns, as in ``speed.py``. Where there is no accelerator the
table has the column of the CPU alone.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from speed import curves, images, memorization, samples_near
from torch.optim.optimizer import register_optimizer_step_post_hook

from wildmiddle import empirical
from wildmiddle.empirical.coverage import coverage_draws
from wildmiddle.empirical.data import load
from wildmiddle.empirical.intervals import bounded_mean, proportion
from wildmiddle.empirical.noise import BLOCK
from wildmiddle.empirical.posterior import weights
from wildmiddle.models.training import Training, train

MINUTES = 8
ALPHA = 1e-6
"""Error rate of each interval that is compared with that of the CPU."""
QUERIES, LEVELS = 2048, (0.5, 1.5, 2.5, 5.0)
STEPS, WARM = 60, 10


def coverage(device: str) -> str:
    """Covered queries at some noise levels, in as many dimensions as pixels."""
    train, test = images(1, 500), images(2, 500)
    counts = [
        coverage_draws(train, test, LEVELS, queries=QUERIES, device=name).sum(0)
        for name in ("cpu", device)
    ]
    ends = [proportion(count, QUERIES, ALPHA) for count in counts]
    return _compare(ends[0], ends[1], " ".join(map(str, counts[1].tolist())))


def weight(device: str) -> str:
    """Mean largest weight at the same noise levels."""
    train = images(1, 500)
    draws = [weights(train, LEVELS, queries=QUERIES, device=name)[0] for name in ("cpu", device)]
    ends = [bounded_mean(np.minimum(values, 1), ALPHA) for values in draws]
    return _compare(ends[0], ends[1], " ".join(f"{mean:.4f}" for mean in ends[1].mean))


def _compare(a: empirical.intervals.Estimate, b: empirical.intervals.Estimate, text: str) -> str:
    assert ((a.low <= b.high) & (b.low <= a.high)).all(), f"{text}: not the CPU's {a.mean}"
    return text


def nearest(device: str) -> str:
    """Samples whose nearest image is that of the CPU, of all."""
    train = images(1, 2000)
    drawn = samples_near(train, 500)
    found = [empirical.memorization(drawn, train, device=name).nearest for name in ("cpu", device)]
    same = int((found[0] == found[1]).sum())
    assert same == len(drawn), f"only {same} of {len(drawn)} are those of the CPU"
    return f"{same} of {len(drawn)}"


def synchronizations(device: str) -> str:
    """How often the host waits for the device, for each further block of the coverage's queries."""
    if device != "cuda":
        return ""
    train, test = images(1, 1000), images(2, 500)

    def count(blocks: int) -> int:
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                coverage_draws(train, test, LEVELS, queries=blocks * BLOCK, device=device)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in caught)

    return f"{(count(9) - count(1)) / 8:.1f}"


def ratio(found: dict[str, float]) -> str:
    """Seconds of an estimate and its ratio to the bare product."""
    return f"{found['estimate']:.2f} s, {found['ratio']:.2f}"


def verify(device: str) -> str:
    """Seconds of ``wildmiddle verify`` on the digits, a process of its own."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = ["verify", "--device", device, "--quiet", "--output", folder]
        subprocess.run([sys.executable, "-m", "wildmiddle", *command], check=True)
    return f"{time.perf_counter() - started:.0f} s"


def training(device: str) -> str:
    """Milliseconds of a step of a short training on the digits."""
    seconds: list[float] = []

    def note(*_: object) -> None:
        if len(seconds) in (0, WARM, STEPS - 1):
            torch.accelerator.synchronize() if device != "cpu" else None
        seconds.append(time.perf_counter())

    handle = register_optimizer_step_post_hook(note)
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(load("digits").train, Training(steps=STEPS), folder, device=device)
    finally:
        handle.remove()
    return f"{1e3 * (seconds[-1] - seconds[WARM]) / (STEPS - 1 - WARM):.1f} ms a step"


def memory(device: str) -> str:
    """Peak memory: of the device, or of this process on the CPU."""
    if device == "cuda":
        return f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GB"
    if device == "mps":
        return f"{torch.mps.driver_allocated_memory() / 2**30:.2f} GB"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB"


ROWS: dict[str, Callable[[str], str]] = {
    f"covered of {QUERIES}, N = M = 500, sigma {LEVELS}": coverage,
    "mean largest weight there": weight,
    "nearest images as on the CPU, N = 2,000": nearest,
    "waits of the host for a block of queries": synchronizations,
    "curves, N = M = 1,000, 40 sigmas: time, of the product": lambda device: ratio(
        curves(1000, 1000, 40, 4000, 3, device)
    ),
    "curves, N = 10,000, M = 2,000, 40 sigmas": lambda device: ratio(
        curves(10_000, 2000, 40, 4000, 1, device)
    ),
    "memorization, N = 10,000, 2,000 samples": lambda device: ratio(
        memorization(10_000, 2000, 3, device)
    ),
    "`verify` on the digits": verify,
    "training on the digits": training,
    "peak memory": memory,
}


def main() -> int:
    """Print the table; 1 where the accelerator does not do what the CPU does."""
    started, failed = time.monotonic(), False
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    devices = ["cpu"] if found is None else ["cpu", found.type]
    if found is None:
        print("No accelerator here: the column of the CPU alone.\n")
    name = torch.cuda.get_device_name() if devices[-1] == "cuda" else devices[-1]
    threads = torch.get_num_threads()
    heads = ["", f"CPU, {threads} thread{'s' * (threads > 1)}", name][: len(devices) + 1]
    print("| " + " | ".join(heads) + " |")
    print("|---|" + "---|" * len(devices))
    for title, measure in ROWS.items():
        cells = []
        for device in reversed(devices):  # the accelerator first: the time may not do for both
            if time.monotonic() - started > 60 * MINUTES - 30:
                cells.append("left out")
                continue
            try:
                cells.append(measure(device))
            except Exception as error:  # the other lines are wanted all the same
                failed = True
                cells.append(f"{type(error).__name__}: {str(error).splitlines()[0][:80]}")
        print("| " + " | ".join([title, *reversed(cells)]) + " |", flush=True)
    return int(failed)


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    sys.exit(main())
