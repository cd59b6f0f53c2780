"""Figure 4: training that leaves the danger zone out.

The gaps come from the distances between the images, before any training: the part of the zone that
is certain, and all that is possible. Baseline and gaps draw the same samples' noise, so that a
sample is compared with itself by McNemar's exact test. Of the quality of the samples nothing is
said here.
"""

from matplotlib.figure import Figure

from checks.experiments.outcome import Outcome, Row
from checks.experiments.samples import Copies, copied, mcnemar, memorized
from checks.experiments.setting import Setting
from checks.records import Comparison
from checks.statistics import from_proportion
from empirical.intervals import proportion
from empirical.regimes import zone_of


def run(setting: Setting, alpha: float) -> Outcome:
    """Train with each gap and count copies among the samples."""
    ends = gaps_of(setting)
    copies: dict[str, Copies] = {"none": copied(memorized(setting, setting.memorizing))}
    for name, gap in ends.items():
        if gap[0] < gap[1]:
            folder = f"gap-{name.split()[0]}"
            trained = setting.trained(setting.scale.memorizing, folder, gap=(gap,))
            copies[name] = copied(memorized(setting, trained))
    rows: list[Row] = []
    records = []
    for name, found in copies.items():
        rate = proportion(int(found.sum()), len(found), alpha / len(copies))
        lost, gained, p = mcnemar(copies["none"], found)
        start, end = ends.get(name, (0.0, 0.0))
        interval = float(rate.low), float(rate.high)
        rows.append((name, start, end, int(found.sum()), len(found), *interval, lost, gained, p))
        if name != "none":
            comparison = Comparison(
                claim="figure4",
                instance=f"gap over the {name}, sigma {start:.3g} to {end:.3g}",
                quantity="share of the changed samples that are no copies any more",
                relation=">=",
                bound=0.5,
            )
            changed = max(lost + gained, 1)  # none changed: nothing speaks for the gap
            records.append(
                from_proportion(
                    comparison, lost, changed, alpha=alpha / len(ends), seed=setting.seed
                )
            )

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        means = [100 * float(found.mean()) for found in copies.values()]
        bars = axes.bar(list(copies), means)
        axes.bar_label(bars, fmt="%.0f%%")
        axes.set(ylabel="memorized samples, %", ylim=(0, 105), xlabel="left out of training")

    return Outcome(
        "figure4",
        "leaving the danger zone out takes memorization from 78.8% to 0.7% on 2,000 cars.",
        tuple(records),
        (
            "gap",
            "start",
            "end",
            "memorized",
            "samples",
            "low",
            "high",
            "lost",
            "gained",
            "McNemar p",
        ),
        tuple(rows),
        draw,
    )


def gaps_of(setting: Setting) -> dict[str, tuple[float, float]]:
    """Start and end of each gap, a zone of the distances; empty unless the start is lower.

    Three digits: the last bits of the distances may differ between machines, and a training only
    goes on with the very same gap.
    """
    few, test = (images.double().flatten(1) for images in (setting.few, setting.test))
    zone = zone_of(few, test, device=setting.device)
    ends = {"certain zone": zone.certain, "possible zone": zone.possible}
    return {
        name: (float(f"{each.start:.3g}"), float(f"{each.end:.3g}")) for name, each in ends.items()
    }
