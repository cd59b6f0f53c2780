"""Experiments over seeds: what each seed found, in a folder of its own, and the verdicts on all.

A seed is a network's first weights, the order of its images, all noise, and which images are
trained on and held out. Intervals of one seed are given its networks; a verdict over seeds rests
on Student's interval over them.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from wildmiddle.checks.experiments.page import Experiment, read, write_with_page
from wildmiddle.checks.experiments.results import ExperimentResult, Run, TableRow
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.output import experiment, require_output
from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.report.drawing import COVERAGE, MUTED, WEIGHT
from wildmiddle.checks.statistics import from_estimate
from wildmiddle.empirical.intervals import Estimate, student_mean

FEWEST = 3
"""Seeds below which there is no interval: two that happen to agree say nothing of a third."""

BETWEEN_LOOKS = "between looks"
"""Method of an :class:`Estimate` of one seed whose ends are sure limits and no interval."""

FOLDER = "seeds"
"""Where the files of the single seeds are, a folder each."""

HEADER = (
    "instance",
    "quantity",
    "relation",
    "bound",
    "of",
    "estimate",
    "low",
    "high",
    "interval",
    "verdict",
    "verdict rests on it",
    "seeds that agree",
    "seeds that decide",
    "sign test p",
)
"""Columns of :func:`seed_rows`."""

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class SeedResult:
    """What one seed found, as read back from its files."""

    experiment: Experiment
    tables: Mapping[str, Rows]
    """Every table by the name of its file, without the ending."""

    @property
    def rows(self) -> Rows:
        """The table that is named as the experiment is."""
        return self.tables[self.experiment.name]


@dataclass(frozen=True)
class OverSeeds:
    """One quantity over the seeds: its estimate of each, and the comparison that it is held to."""

    comparison: Comparison
    found: Mapping[int, Estimate]

    def record(self, alpha: float) -> Record:
        """The verdict over seeds."""
        return from_estimate(self.comparison, over_seeds(self.found, alpha), min(self.found))

    def agreeing(self) -> tuple[int, int]:
        """Numbers of seeds that agree with the claim, and of those that agree or do not.

        A seed does by its own estimate; where that is known between looks alone, by the limit that
        decides, and it is in neither number where the limits leave it open.
        """
        alone = (
            one if one.method == BETWEEN_LOOKS else replace(one, low=one.mean, high=one.mean)
            for one in self.found.values()
            if not np.isnan(one.mean)
        )
        own = [from_estimate(self.comparison, one, None, detectable=0.0).verdict for one in alone]
        return own.count("holds"), len(own) - own.count("inconclusive")


def over_seeds(found: Mapping[int, Estimate], alpha: float) -> Estimate:
    """The mean of a quantity over seeds, with Student's interval.

    Where all seeds count the same, as no copies at all, they do not vary; what is not known of each
    is still there, and averages out with the root of their number: the interval reaches as far.
    The limits of :data:`BETWEEN_LOOKS` are sure and do not average out: the lower end is Student's
    of the lower limits, and the upper end likewise. The mean is of the seeds that have a value.
    Fewer seeds than :data:`FEWEST` give no ends.
    """
    means, lows, highs = np.array([[f.mean, f.low, f.high] for f in found.values()], float).T
    known = means[np.isfinite(means)]
    mean = float(known.mean()) if len(known) else np.nan
    if all(f.method == BETWEEN_LOOKS for f in found.values()):
        low, high = student_mean(lows, alpha).low, student_mean(highs, alpha).high
    else:
        student, root = student_mean(means, alpha), np.sqrt(len(means))
        below, above = (
            gap.mean() / root if np.isfinite(gap).all() else np.inf
            for gap in (means - lows, highs - means)
        )
        low, high = np.minimum(student.low, mean - below), np.maximum(student.high, mean + above)
    method = f"Student over {len(means)} seed{'s' if len(means) > 1 else ''}"
    if np.isnan(mean) or len(means) < FEWEST:
        low, high = np.asarray(-np.inf), np.asarray(np.inf)
    return Estimate(np.asarray(mean), low, high, len(means), alpha, method)


def run_over_seeds(
    name: str,
    module: ModuleType,
    studies: Callable[[int], TrainedStudy],
    seeds: Sequence[int],
    alpha: float,
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[tuple[ExperimentResult, Run]]:
    """Run an experiment with one seed after the other; gives the result over those so far.

    ``alpha`` is the error rate of all comparisons over the seeds; single ones have their settings'.
    What a seed found is written into ``folder/seeds/SEED`` at once, and is taken from there, and
    ``say`` told, where such a run wrote it, on this machine or another. ``module`` has ``run(study,
    alpha)``, and ``combine(found, alpha)`` where its verdicts are more than the comparisons of the
    single seeds. Raises ValueError at once, before any seed is run, where one of another run is
    there.
    """
    places = {seed: folder / FOLDER / str(seed) for seed in seeds}
    there = {seed for seed in seeds if _is_there(places[seed], name, partial(studies, seed))}
    combine = getattr(module, "combine", combine_records)

    def run_each() -> Iterator[tuple[ExperimentResult, Run]]:
        first = studies(seeds[0]).run()
        found: dict[int, SeedResult] = {}
        for seed, place in places.items():
            if seed in there:
                say(f"{name}: seed {seed} is taken from {place}")
            else:
                study = studies(seed)
                require_output(place, experiment(name))
                write_with_page(module.run(study, study.settings.alpha), place, study.run())
            one = read(place, name)
            tables = {Path(file).stem: read_rows(place / file) for file in one.tables}
            found[seed] = SeedResult(one, tables)
            over_all = {**first.settings, "alpha": alpha}
            yield combine(found, alpha), replace(first, seeds=len(found), settings=over_all)

    return run_each()


def _is_there(place: Path, name: str, study: Callable[[], TrainedStudy]) -> bool:
    """Whether a seed's files are there; ValueError where another run wrote them."""
    try:
        found = read(place, name)
    except (OSError, ValueError):  # none, or not whole
        return False
    then = {} if found.run is None else _decisive(found.run)
    for what, now in _decisive(study().run()).items():
        if then.get(what) != now:
            raise ValueError(
                f"{place} has {name} with {what} = {then.get(what)}, not {now}; give another "
                f"--output, or delete {place / name}.* to run this seed again"
            )
    return True


def _decisive(run: Run) -> dict[str, Any]:
    # What the result of a seed depends on: not names, versions or the machine.
    values = {**run.settings, **asdict(run)}
    left_out = ("settings", "scale", "data", "versions", "device", "memory")
    return {what: value for what, value in values.items() if what not in left_out}


def read_rows(path: Path) -> Rows:
    """The lines of a table by its columns' names."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def combine_records(found: Mapping[int, SeedResult], alpha: float) -> ExperimentResult:
    """The comparisons of the single seeds, each over all of them.

    One claim has one instance and quantity whatever the seed; of its parameters those stay that all
    seeds share. Where the bound itself differs from seed to seed, what is compared is the distance
    from it.
    """
    by_key: dict[tuple[str, str], dict[int, Record]] = {}
    for seed, one in found.items():
        for record in one.experiment.records:
            by_key.setdefault((record.instance, record.quantity), {})[seed] = record
    compared = [_over(records) for records in by_key.values()]
    first = next(iter(found.values())).experiment
    return seeds_result(first.name, first.paper, compared, alpha)


def _over(records: Mapping[int, Record]) -> OverSeeds:
    first = next(iter(records.values()))
    shared = set.intersection(*(set(record.parameters.items()) for record in records.values()))
    moves = len({record.bound for record in records.values()}) > 1
    comparison = Comparison(
        claim=first.claim,
        instance=first.instance,
        quantity=f"{first.quantity}, less its bound" if moves else first.quantity,
        relation=first.relation,
        bound=0.0 if moves else first.bound,
        margin=first.margin,
        rounding=first.rounding,
        parameters={} if moves else dict(p for p in first.parameters.items() if p in shared),
    )
    shift = {seed: record.bound if moves else 0.0 for seed, record in records.items()}
    found = {
        seed: Estimate(
            np.asarray(r.estimate - shift[seed]),
            np.asarray(r.low - shift[seed]),
            np.asarray(r.high - shift[seed]),
            r.n,
            r.alpha,
            r.method,
        )
        for seed, r in records.items()
    }
    return OverSeeds(comparison, found)


def seeds_result(
    name: str,
    paper: str,
    compared: Sequence[OverSeeds],
    alpha: float,
    tables: Mapping[str, tuple[tuple[str, ...], tuple[TableRow, ...]]] | None = None,
) -> ExperimentResult:
    """The verdicts over seeds, the table of what each seed found, and a figure of both."""
    records = [each.record(alpha / len(compared)) for each in compared]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for row, (each, record) in enumerate(zip(compared, records, strict=True)):
            ends = np.clip([record.low, record.high], -1e3, 1e3)
            axes.plot(ends, [row, row], color=MUTED, linewidth=1)
            values = [float(one.mean) for one in each.found.values()]
            axes.plot(values, [row] * len(values), "o", color=WEIGHT, markersize=4)
            axes.plot([record.bound], [row], "|", color=COVERAGE, markersize=14)
        labels = [f"{r.instance}:\n{r.quantity} {r.relation} {r.bound:g}" for r in records]
        axes.set_yticks(range(len(records)), labels, fontsize="x-small")
        axes.set_ylim(max(len(records), 1) - 0.5, -0.5)
        spread = [float(one.mean) for each in compared for one in each.found.values()]
        around = np.array([*spread, *(record.bound for record in records)])
        around = around[np.isfinite(around)]
        first, last = around.min(initial=0), around.max(initial=0)
        # Intervals are shown whole, but for those of few seeds, which would squeeze all else.
        room = last - first + 0.5
        ends = np.clip([(r.low, r.high) for r in records], first - room, last + room)
        axes.set_xlim(ends.min(initial=first) - 0.2, ends.max(initial=last) + 0.2)
        axes.set_xlabel("dots: seeds; line: over seeds; bar: the bound")

    return ExperimentResult(
        name,
        paper,
        tuple(records),
        HEADER,
        tuple(seed_rows(compared, records)),
        draw,
        height=1.2 + 0.45 * len(records),
        tables=tables or {},
    )


Measured = Mapping[int, Mapping[str, Estimate]]
"""Quantities by seed and name; what is claimed of one is named ``instance: quantity``."""


Claims = tuple[tuple[str, str, Relation, float], ...]
"""What is claimed of quantities over seeds: instance, quantity, relation and bound."""


def judge(
    name: str, paper: str, measured: Measured, claims: Claims, alpha: float
) -> ExperimentResult:
    """The verdicts on an experiment's claims over seeds, with a table of all that was measured."""
    compared = [
        OverSeeds(
            Comparison(
                claim=name, instance=instance, quantity=quantity, relation=relation, bound=bound
            ),
            {seed: one[f"{instance}: {quantity}"] for seed, one in measured.items()},
        )
        for instance, quantity, relation, bound in claims
    ]
    rows = measured_rows(measured, alpha)
    header = ("seed", "quantity", "estimate", "low", "high", "interval")
    return seeds_result(name, paper, compared, alpha, {"measured": (header, tuple(rows))})


def measured_rows(measured: Measured, alpha: float) -> list[TableRow]:
    """A line for each seed of each quantity, then one over the seeds.

    No verdict rests on them: each interval over seeds misses with probability ``alpha``.
    """
    rows: list[TableRow] = []
    for name in dict.fromkeys(name for one in measured.values() for name in one):
        of_seeds = {seed: one[name] for seed, one in measured.items() if name in one}
        over = over_seeds(of_seeds, alpha)
        lines: list[tuple[int | str, Estimate]] = [*of_seeds.items(), ("all", over)]
        rows += [(of, name, *map(float, (e.mean, e.low, e.high)), e.method) for of, e in lines]
    return rows


def between(value: float, low: float, high: float, method: str, n: int = 0) -> Estimate:
    """A quantity of one seed with its two ends, by a method that is named.

    Without a finite value nothing is known of it, nor beyond an end that is none.
    """
    if not np.isfinite(value):
        value, low, high = np.nan, -np.inf, np.inf
    low, high = -np.inf if np.isnan(low) else low, np.inf if np.isnan(high) else high
    return Estimate(np.asarray(value), np.asarray(low), np.asarray(high), n, 0.0, method)


def seed_rows(compared: Sequence[OverSeeds], records: Sequence[Record]) -> list[TableRow]:
    """A line for each seed of each comparison, then that over seeds, which the verdict rests on."""
    rows: list[TableRow] = []
    for each, record in zip(compared, records, strict=True):
        claim = (record.instance, record.quantity, record.relation, record.bound)
        for seed, found in each.found.items():
            value, low, high = float(found.mean), float(found.low), float(found.high)
            how = f"{found.method}, given the networks"
            known = not np.isnan(value)
            verdict = (
                from_estimate(each.comparison, found, seed).verdict if known else "inconclusive"
            )
            rows.append((*claim, f"seed {seed}", value, low, high, how, verdict, "no", "", "", ""))
        agree, decided = each.agreeing()
        p = float(binomtest(agree, decided, 0.5, alternative="greater").pvalue) if decided else 1.0
        over = f"{len(each.found)} seeds", record.estimate, record.low, record.high, record.method
        rows.append((*claim, *over, record.verdict, "yes", agree, decided, p))
    return rows
