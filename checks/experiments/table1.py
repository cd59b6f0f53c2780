"""Table 1: which part of the schedule decides, by swapping denoisers there.

Three swaps in both directions as in the paper, where the middle is the medium regime that the two
curves show before any training; and beyond it a window that slides over all steps. All conditions
draw the same samples' noise, so that pairs of them are compared by McNemar's exact test.
"""

import numpy as np
from matplotlib.figure import Figure

from checks.experiments.outcome import Outcome, Row
from checks.experiments.samples import Copies, copied, mcnemar, memorized
from checks.experiments.setting import Setting
from checks.records import Comparison, Record
from checks.statistics import from_proportion
from empirical.intervals import proportion
from empirical.neighbours import Memorization
from models.denoisers import Denoiser, Piecewise

HALF = 0.5
"""A rate on the other side of this is a flip."""


def run(setting: Setting, alpha: float) -> Outcome:
    """Draw samples under every swap; a verdict on the paper's six."""
    small, large = setting.memorizing, setting.generalizing
    found: dict[tuple[str, str], Memorization] = {}
    for name, base, other in (("memorizing", small, large), ("generalizing", large, small)):
        found[name, "none"] = memorized(setting, base)
        for part, ends in parts(setting).items():
            found[name, part] = memorized(setting, swapped(base, other, *ends))
        for first in range(setting.scale.steps - setting.scale.window + 1):
            ends = _window(setting, first)
            part = f"steps {first} to {first + setting.scale.window - 1}"
            found[name, part] = memorized(setting, swapped(base, other, *ends))
    copies = {condition: copied(each) for condition, each in found.items()}
    rows = [_row(copies, name, part, alpha) for name, part in copies]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        starts = range(setting.scale.steps - setting.scale.window + 1)
        for name in ("memorizing", "generalizing"):
            rates = [
                copies[name, f"steps {k} to {k + setting.scale.window - 1}"].mean() for k in starts
            ]
            line = axes.plot(starts, rates, "o-", label=f"{name}, swapped in the window")[0]
            none = copies[name, "none"].mean()
            axes.axhline(none, color=line.get_color(), linestyle=":", label=f"{name}, no swap")
        axes.set(
            xlabel=f"first of the {setting.scale.window} swapped steps, from large to small noise",
            ylabel="memorized samples",
            ylim=(-0.02, 1.02),
        )
        axes.legend()

    return Outcome(
        "table1",
        "swapping the middle takes memorization from 92.2% to 0% and from 0% to 92.2%; swapping "
        "either end changes nothing.",
        tuple(_records(setting, copies, alpha / 8)),
        ("base", "swapped", "memorized", "samples", "low", "high", "lost", "gained", "McNemar p"),
        tuple(rows),
        draw,
        samples={", swapped: ".join(condition): each for condition, each in found.items()},
    )


def parts(setting: Setting) -> dict[str, tuple[float, float]]:
    """The three parts of the schedule, small, middle and large noise: ``low <= sigma < high`` each.

    The middle is the medium regime of the curves. Raises ValueError where there is none.
    """
    medium = setting.regime("medium")
    low, high = medium.start.sigma, medium.end.sigma
    if not 0 < low < high < np.inf:
        raise ValueError(
            f"medium noise runs from {low:.3g} to {high:.3g}, so it has no middle to swap; give "
            "memorizing more images: the weight never falls below 1 in their number"
        )
    return {"small": (0.0, low), "middle": (low, high), "large": (high, np.inf)}


def swapped(base: Denoiser, other: Denoiser, low: float, high: float) -> Piecewise:
    """``base`` with ``other`` in its place where ``low <= sigma < high``."""
    ends = [(low, base), (high, other), (np.inf, base)]
    pieces = [(end, denoiser) for end, denoiser in ends if end > 0]
    last = next(k for k, (end, _) in enumerate(pieces) if end == np.inf)
    edges = [end for end, _ in pieces[:last]]
    return Piecewise(edges, [denoiser for _, denoiser in pieces[: last + 1]])


def _window(setting: Setting, first: int) -> tuple[float, float]:
    # From just above the window's first sigma down to its last.
    levels, last = setting.sigmas, first + setting.scale.window - 1
    return float(levels[last]), np.inf if first == 0 else float(levels[first - 1])


def _row(copies: dict[tuple[str, str], Copies], name: str, part: str, alpha: float) -> Row:
    found = copies[name, part]
    rate = proportion(int(found.sum()), len(found), alpha / len(copies))
    lost, gained, p = mcnemar(copies[name, "none"], found)
    ends = float(rate.low), float(rate.high)
    return (name, part, int(found.sum()), len(found), *ends, lost, gained, p)


def _records(setting: Setting, copies: dict[tuple[str, str], Copies], alpha: float) -> list[Record]:
    expected: dict[tuple[str, str], bool] = {
        (name, part): (name == "memorizing") != (part == "middle")
        for name in ("memorizing", "generalizing")
        for part in ("none", "small", "middle", "large")
    }
    records = []
    for key, copying in expected.items():
        comparison = Comparison(
            claim="table1",
            instance=f"{key[0]} denoiser, swapped: {key[1]}",
            quantity="memorized samples",
            relation=">=" if copying else "<=",
            bound=HALF,
        )
        count, n = int(copies[key].sum()), len(copies[key])
        records.append(from_proportion(comparison, count, n, alpha=alpha, seed=setting.seed))
    return records
