"""How often a run over true claims reports a violation: ``python benchmarks/false_alarms.py``.

Checks every claim on small data again and again, each run with its own seed of the noise and its
own images, and counts the verdicts. No ``violated`` may appear: at the default error rate 300 runs
would show one with probability at most 3e-4. With ``--results`` each run is written down as it
ends, and runs that are written down already, by this version, are not made again: so a stopped
benchmark goes on, and several processes with other ``--first`` share one file.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

from wildmiddle.checks.registry import checks
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.empirical.intervals import proportion

ALPHA = 1e-6


def images(seed: int) -> np.ndarray:
    """120 images of 4 x 4 pixels: noisy copies of six random ones, in [-1, 1]."""
    rng = np.random.default_rng([seed, 16])
    centres = rng.uniform(-0.7, 0.7, (6, 4, 4))
    return np.clip(
        centres[rng.integers(6, size=120)] + 0.2 * rng.standard_normal((120, 4, 4)), -1, 1
    )


def run(seed: int, samples: int) -> Counter[tuple[str, str]]:
    """Verdicts of one run, by claim."""
    data = images(seed)
    study = Study(data[:80], data[80:], Settings(c=4.0, seed=seed, samples=samples, device="cpu"))
    verdicts: Counter[tuple[str, str]] = Counter()
    for claim, check in checks().items():
        for record in check(study, ALPHA / len(checks())):
            verdicts[claim, record.verdict] += 1
            if record.verdict == "violated":
                print(record)
    return verdicts


def read(results: Path | None) -> dict[int, Counter[tuple[str, str]]]:
    """The verdicts of each seed in a file of results; none where there is no file yet."""
    if results is None or not results.exists():
        return {}
    rows = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return {row["seed"]: Counter({tuple(key): n for key, n in row["verdicts"]}) for row in rows}


def main() -> None:
    """Run all seeds and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--results", type=Path, help="file with one line of JSON a run")
    options = parser.parse_args()
    done = read(options.results)
    seeds = range(options.first, options.first + options.seeds)
    for seed in tqdm([seed for seed in seeds if seed not in done]):
        done[seed] = run(seed, options.samples)
        if options.results:
            line = json.dumps({"seed": seed, "verdicts": list(done[seed].items())})
            with options.results.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
    total = sum((done[seed] for seed in seeds), Counter())
    false = sum(any(verdict == "violated" for _, verdict in done[seed]) for seed in seeds)
    print("| claim | holds | inconclusive | violated |\n|---|---:|---:|---:|")
    for claim in checks():
        counts = [total[claim, verdict] for verdict in ("holds", "inconclusive", "violated")]
        print(f"| {claim} | " + " | ".join(map(str, counts)) + " |")
    rate = proportion(false, options.seeds, 0.05)
    print(
        f"\n{false} of {options.seeds} runs report a violation; the rate is below "
        f"{float(rate.high):.3g} with 97.5% confidence"
    )


if __name__ == "__main__":
    main()
