"""Time of the estimates beside one bare float32 matrix product: ``python benchmarks/speed.py``.

Each case runs in a process of its own: bare product and estimate in turns after one that is not
counted, the least processor time of each, since other work on the machine only adds to it; the
largest case has one turn. The ratio is all that the machine does not decide. The bare product has
the shapes (weight + coverage queries, d) x (d, N), or (samples, d) x (d, N), and writes into memory
that it has written to before. The memory is that of the whole process at its peak, and how much of
it the estimate added to the images and the libraries. The images are synthetic, float32, with the
falling spectrum of photographs. Writes the table to ``benchmarks/README.md``; ``--print`` leaves
the file alone.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch

from wildmiddle import empirical
from wildmiddle.theory.schedules import edm_sigmas

TABLE = Path(__file__).parent / "README.md"
START, END = "<!-- speed.py -->", "<!-- end of speed.py -->"


def images(seed: int, n: int) -> np.ndarray:
    """``n`` float32 images of 32 x 32 x 3: a spectrum that falls as 1/f, in about [-1, 1]."""
    rng = np.random.default_rng([seed, 32])
    f = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32)[None])
    f[0, 0] = f[0, 1]
    m = min(1000, n)
    white = rng.standard_normal((m, 32, 32, 1)) + 0.3 * rng.standard_normal((m, 32, 32, 3))
    photo = np.fft.irfft2(np.fft.rfft2(white, axes=(1, 2)) / f[..., None], (32, 32), (1, 2))
    first = (0.08 * photo).astype(np.float32)
    result = np.empty((n, 3072), np.float32)
    for start in range(0, n, m):
        # Beyond the first thousand: the same ones shifted around the edges, with some noise.
        more = np.roll(first, (start // 1000 * 5, start // 1000 * 3), (1, 2)).reshape(m, -1)
        if start:
            more = more + 0.1 * rng.standard_normal(more.shape, np.float32)
        result[start : start + m] = more[: n - start]
    return result


def curves(
    n: int, m: int, steps: int, queries: int, turns: int, device: str = "cpu"
) -> dict[str, float]:
    """The two curves; ``queries`` for the weight and twice as many for the coverage."""
    train, test = torch.as_tensor(images(1, n)).to(device), torch.as_tensor(images(2, m)).to(device)
    levels = edm_sigmas(steps)
    noise = torch.randn(3 * queries, 3072, device=device)

    def estimate() -> None:
        empirical.curves(
            train, test, levels, weight_queries=queries, coverage_queries=2 * queries, device=device
        )

    return compare(noise, train, estimate, turns)


def samples_near(train: np.ndarray, count: int) -> np.ndarray:
    """``count`` images, every other one of them near a training image."""
    drawn = images(3, count)
    drawn[::2] = train[:: len(train) // count][: len(drawn[::2])] + 0.3 * drawn[::2]
    return drawn


def memorization(n: int, samples: int, turns: int, device: str = "cpu") -> dict[str, float]:
    """Two nearest neighbours; the first 100 samples against scikit-learn's brute force."""
    from sklearn.neighbors import NearestNeighbors

    train = images(1, n)
    drawn = samples_near(train, samples)
    a, b = (torch.as_tensor(rows).to(device) for rows in (drawn, train))
    result = compare(a, b, lambda: empirical.memorization(a, b, device=device), turns)
    found = empirical.memorization(drawn[:100], train, device=device)
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(train)
    nearest = search.kneighbors(drawn[:100], return_distance=False)[:, 0]
    return result | {"different": int((nearest != found.nearest[:100]).sum())}


def compare(
    a: torch.Tensor, b: torch.Tensor, estimate: Callable[[], object], turns: int
) -> dict[str, float]:
    """Least seconds of ``a @ b.T`` and the estimate, their ratio, and memory in bytes."""
    before = psutil.Process().memory_info().rss
    times: tuple[list[float], list[float]] = ([], [])
    estimate()  # warm; and the peak before the bare product, whose result may take more than all
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    out = torch.zeros(len(a), len(b), device=a.device)
    bare = partial(torch.mm, a, b.T, out=out)
    bare()
    for _ in range(turns):
        for run, seconds in zip((bare, estimate), times, strict=True):
            started = clock(a.device)
            run()
            seconds.append(clock(a.device) - started)
    bare_seconds, estimate_seconds = map(min, times)
    return {
        "bare": bare_seconds,
        "estimate": estimate_seconds,
        "ratio": estimate_seconds / bare_seconds,
        "peak": peak,
        "added": peak - before,
    }


def clock(device: torch.device) -> float:
    """Processor seconds of this process; of an accelerator, seconds once it has done its work."""
    if device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize()
    return time.perf_counter()


CASES: dict[str, tuple[str, Callable[[], dict[str, float]]]] = {
    "small10": ("curves, N = M = 1,000, 10 sigmas", lambda: curves(1000, 1000, 10, 4000, 9)),
    "small": ("curves, N = M = 1,000, 40 sigmas", lambda: curves(1000, 1000, 40, 4000, 9)),
    "large": (
        "curves, N = 50,000, M = 2,000, 40 sigmas",
        lambda: curves(50_000, 2000, 40, 4000, 1),
    ),
    "memorization": (
        "memorization, N = 50,000, 10,000 samples",
        lambda: memorization(50_000, 10_000, 3),
    ),
}


def main() -> None:
    """Run the cases, each in its own process, and write one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--print", action="store_true", dest="only_print")
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(CASES[options.one][1]()))
        return
    lines = [
        "| case | bare product | estimate | ratio | peak memory | of it added |",
        "|---|---|---|---|---|---|",
    ]
    for name in options.cases:
        command = [sys.executable, __file__, "--one", name]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        text = CASES[name][0]
        if "different" in found:
            text += f"; {found['different']} of 100 indices differ from scikit-learn's"
        lines.append(
            f"| {text} | {found['bare']:.2f} s | {found['estimate']:.2f} s | "
            f"{found['ratio']:.2f} | {found['peak'] / 2**30:.2f} GB | "
            f"{found['added'] / 2**30:.2f} GB |"
        )
        print(lines[-1], flush=True)
    if options.only_print:
        return
    page = TABLE.read_text() if TABLE.exists() else f"# Benchmarks\n\n{START}\n{END}\n"
    before, rest = page.split(START)
    TABLE.write_text(before + START + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
