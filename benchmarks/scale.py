"""Cost against the number of images: ``python benchmarks/scale.py``.

Each case runs in a process of its own on one thread, and the seconds are those of its processor, so
that other work on the machine counts little. ``zone`` draws 256 training images at every N, so its
cost should rise as N does: the table and the figure give the slope on a log-log plot. ``exact``
takes all pairs, beside the bare product of half of them. The images
are bytes of 32 x 32 x 3 in groups, each with noise of its own size about a mean of its own, so that
the distances have a known law: where the certain zone ends is computed by quadrature, without
drawing anything, beside the interval. ``verify`` has a tenth of the usual draws. Writes the table
to ``benchmarks/README.md`` and the figure to ``--figure``; ``--folder`` keeps the images.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import chi2, ncx2

from wildmiddle.checks.settings import Settings
from wildmiddle.checks.verify import verify
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.data import load

TABLE = Path(__file__).parent / "README.md"
START, END = "<!-- scale.py -->", "<!-- end of scale.py -->"
SHAPE, D, M = (32, 32, 3), 3072, 1000
NOISE = np.geomspace(6, 18, 48)
"""Standard deviation of the pixels of each group."""
ZONE = (31_250, 62_500, 125_000, 250_000, 500_000, 1_000_000)
EXACT = (5_000, 10_000, 20_000, 50_000)
VERIFY = (2_500, 5_000, 10_000, 20_000)


def write_images(path: Path, count: int) -> None:
    """Write ``count`` images, those of the groups in turn, to an ``.npy`` file."""
    rng = np.random.default_rng(0)
    means = rng.uniform(80, 176, (len(NOISE), D)).astype(np.float32)
    file = np.lib.format.open_memmap(path, "w+", np.uint8, (count, *SHAPE))
    for start in range(0, count, 2048):
        group = np.arange(start, min(start + 2048, count)) % len(NOISE)
        pixels = rng.standard_normal((len(group), D), np.float32)
        pixels *= NOISE[group, None].astype(np.float32)
        pixels += means[group]
        file[start : start + len(group)] = np.rint(pixels).clip(0, 255).reshape(-1, *SHAPE)


def certain_end(n: int) -> float:
    """Where the union bound of ``n`` such images passes 3/4, for pixels in [-1, 1].

    Rounding to bytes adds 1/12 to the variance. Within a group the squared distance from an image u
    squared deviations from its mean is noncentral chi-square; other groups are too far to count.
    """
    shares = (np.arange(200) + 0.5) / 200
    own = chi2.ppf((np.arange(20) + 0.5) / 20, D)
    distances = np.sqrt(ncx2.ppf(shares, D, own[:, None]))

    def error(sigma: float) -> float:
        sizes = np.sqrt(NOISE**2 + 1 / 12)
        decoded = ndtr(-sizes[:, None, None] * distances / (2 * sigma)).mean(2)
        return float(np.minimum(1, (n / len(NOISE) - 1) * decoded).mean())

    return 2 / 255 * float(brentq(lambda sigma: error(sigma) - 0.25, 1, 1000))


def run_zone(path: Path, n: int) -> dict[str, float]:
    """The zone of the first ``n`` images, beside a product with as many rows as it looks at."""
    images = np.load(path, mmap_mode="c")
    train, test = images[:n], images[-M:]
    bare = seconds_of_rows(n)
    started = time.process_time()
    zone = zone_of(train, test, unit=2 / 255, resolution=100, device="cpu")
    spent = time.process_time() - started
    assert zone.drawn is not None
    low, high = zone.drawn.certain_end
    return {"spent": spent, "bare": bare, "low": low, "high": high, "truth": certain_end(n)}


def seconds_of_rows(n: int) -> float:
    """Of a bare product of 256 rows with ``n`` images."""
    a, b = torch.randn(256, D), torch.randn(4096, D)
    out = torch.mm(a, b.T)
    started = time.process_time()
    for _ in range(4):
        torch.mm(a, b.T, out=out)
    return (time.process_time() - started) / 4 * n / len(b)


def run_exact(path: Path, n: int) -> dict[str, float]:
    """The zone of the first ``n`` images by all pairs, beside a product of half of the pairs."""
    images, bare = np.load(path, mmap_mode="c"), seconds_of_rows(n) * n / 512
    started = time.process_time()
    zone = zone_of(images[:n], images[-M:], unit=2 / 255, exact=True, device="cpu")
    spent, end = time.process_time() - started, zone.certain.end
    return {"spent": spent, "bare": bare, "low": end, "high": end, "truth": certain_end(n)}


def run_verify(path: Path, n: int) -> dict[str, float]:
    """All checks on ``n`` images with 2,000 draws."""
    started = time.process_time()
    result = verify(load(path, train_size=n, test_size=M), Settings(samples=2000, device="cpu"))
    return {"spent": time.process_time() - started, "violated": result.verdict() == "violated"}


RUNS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "zone": run_zone,
    "exact": run_exact,
    "verify": run_verify,
}


def own_memory(process: psutil.Process, peak: int) -> int:
    """Largest memory so far without the pages of mapped files, which the system may take back."""
    try:
        memory = process.memory_info()
    except psutil.NoSuchProcess:
        return peak
    return max(peak, memory.rss - memory.shared)


def measure(kind: str, path: Path, n: int) -> dict[str, float]:
    """One case in a process of its own, with the peak of its memory in bytes."""
    command = [sys.executable, __file__, "--one", kind, str(path), str(n)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        peak, watched = 0, psutil.Process(process.pid)
        while process.poll() is None:
            peak = own_memory(watched, peak)
            time.sleep(0.1)
        assert process.stdout is not None
        found = json.loads(process.stdout.read())
    return found | {"peak": peak}


def slope(counts: NDArray[np.float64], seconds: NDArray[np.float64]) -> float:
    """Of a line through the points of a log-log plot, by least squares."""
    return float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])


def draw(found: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    """Seconds against N, with the slopes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for kind, cases in found.items():
        counts, seconds = np.array([(n, case["spent"]) for n, case in cases.items()]).T
        axes.loglog(counts, seconds, "o-", label=f"{kind}: slope {slope(counts, seconds):.2f}")
    axes.set_xlabel("training images N")
    axes.set_ylabel("processor seconds")
    axes.legend()
    figure.savefig(path)


def main() -> None:
    """Run the cases and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zone", nargs="*", type=int, default=list(ZONE), metavar="N")
    parser.add_argument("--exact", nargs="*", type=int, default=list(EXACT), metavar="N")
    parser.add_argument("--verify", nargs="*", type=int, default=list(VERIFY), metavar="N")
    parser.add_argument("--folder", type=Path, help="where the images are kept and found again")
    parser.add_argument("--figure", type=Path, default=TABLE.parent / "scale.svg")
    parser.add_argument("--print", action="store_true", dest="only_print")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        torch.set_num_threads(1)
        kind, path, n = options.one
        print(json.dumps(RUNS[kind](Path(path), int(n))))
        return
    wanted = {"zone": options.zone, "exact": options.exact, "verify": options.verify}
    lines = [
        "| command | N | seconds | of the bare product | own memory | certain end | known |",
        "|---|---:|---:|---:|---:|---|---:|",
    ]
    found: dict[str, dict[int, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        path = (options.folder or Path(temporary)) / "images.npy"
        count = max(n for counts in wanted.values() for n in counts) + M
        if not path.exists() or len(np.load(path, mmap_mode="r")) < count:
            write_images(path, count)
        for kind, counts in wanted.items():
            for n in counts:
                case = measure(kind, path, n)
                found.setdefault(kind, {})[n] = case
                line = f"| {kind} | {n:,} | {case['spent']:.1f} | "
                line += f"{case['spent'] / case['bare']:.1f} | " if "bare" in case else "| "
                line += f"{case['peak'] / 2**30:.2f} GB | "
                if "truth" in case:
                    line += f"{case['low']:.4f} to {case['high']:.4f} | {case['truth']:.4f} |"
                else:
                    line += "| |"
                lines.append(line)
                print(line, flush=True)
    for kind, cases in found.items():
        counts, seconds = np.array([(n, case["spent"]) for n, case in cases.items()]).T
        lines += ["", f"Slope of `{kind}` on a log-log plot: {slope(counts, seconds):.2f}."]
        print(lines[-1])
    draw(found, options.figure)
    if not options.only_print:
        before, rest = TABLE.read_text().split(START)
        text = "\n".join(lines)
        TABLE.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
