"""Experiments over seeds: the interval, what is kept, and the boundary that decides."""

import csv
import json
from dataclasses import replace
from importlib import import_module
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.stats import t

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks import cli
from wildmiddle.checks.cli import main
from wildmiddle.checks.experiments import boundaries, figure2, figure6, figure7
from wildmiddle.checks.experiments.page import read, to_html
from wildmiddle.checks.experiments.results import ExperimentResult, summary, write
from wildmiddle.checks.experiments.samples import find_copies
from wildmiddle.checks.experiments.scale import read_scale
from wildmiddle.checks.experiments.seeds import (
    BETWEEN_LOOKS,
    OverSeeds,
    SeedResult,
    between,
    combine_records,
    judge,
    seed_rows,
)
from wildmiddle.checks.experiments.table1 import swap
from wildmiddle.checks.experiments.trained import TrainedStudy, trained_study
from wildmiddle.checks.layout import MARKDOWN
from wildmiddle.checks.options import EXPERIMENTS, module_name
from wildmiddle.checks.records import Comparison
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.statistics import from_proportion
from wildmiddle.empirical.intervals import proportion
from wildmiddle.models.denoisers import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.extractors import Extractor
from wildmiddle.theory.schedules import edm_sigmas


def over(counts: dict[int, int], n: int = 256, bound: float = 0.5) -> OverSeeds:
    claim = Comparison(claim="x", instance="i", quantity="q", relation="<=", bound=bound)
    return OverSeeds(claim, {seed: proportion(k, n, 1e-3) for seed, k in counts.items()})


def test_the_interval_over_seeds_is_students() -> None:
    counts = {3: 100, 4: 180, 5: 20, 6: 90}
    found = over(counts).record(0.01)
    rates = np.array(list(counts.values())) / 256
    half = t.isf(0.005, 3) * rates.std(ddof=1) / 2
    assert (found.low, found.high) == pytest.approx((rates.mean() - half, rates.mean() + half))
    assert (found.n, found.seed, found.alpha) == (4, 3, 0.01)
    assert found.verdict == "inconclusive"


def test_seeds_that_do_not_vary_leave_what_is_not_known_of_each() -> None:
    found = over(dict.fromkeys(range(4), 0)).record(0.01)
    assert found.high == pytest.approx(proportion(0, 256, 1e-3).high / 2)
    assert found.verdict == "holds"
    all_copies = over(dict.fromkeys(range(4), 256)).record(0.01)
    assert 1 - all_copies.low == pytest.approx((1 - proportion(256, 256, 1e-3).low) / 2)


def test_one_seed_is_no_verdict_nor_are_two() -> None:
    assert over({0: 0, 1: 0}).record(0.01).verdict == "inconclusive"
    one = over({0: 0})
    found = one.record(0.01)
    assert (found.verdict, found.low, found.high) == ("inconclusive", -np.inf, np.inf)
    rows = seed_rows([one], [found])
    # Given its networks the same seed has a verdict, and it is said not to count.
    assert rows[0][4] == "seed 0"
    assert rows[0][9:11] == ("holds", "no")
    assert rows[1][9:] == ("inconclusive", "yes", 1, 1, 0.5)


def test_a_quantity_that_is_not_found_in_a_seed_gives_no_verdict() -> None:
    one = over(dict.fromkeys(range(3), 0))
    unknown = replace(one.found[1], mean=np.array(np.nan), high=np.array(np.inf))
    one = replace(one, found={**one.found, 1: unknown})
    found = one.record(0.01)
    assert (found.verdict, found.estimate) == ("inconclusive", 0.0)
    assert [row[9] for row in seed_rows([one], [found])] == [
        "holds",
        "inconclusive",
        "holds",
        "inconclusive",
    ]
    assert one.agreeing() == (2, 2)


def limits(*ends: tuple[float, float]) -> OverSeeds:
    """A quantity known between limits of each seed, claimed to be at least 0."""
    claim = Comparison(claim="x", instance="i", quantity="q", relation=">=", bound=0.0)
    found = [between(max(low, -9), low, high, BETWEEN_LOOKS) for low, high in ends]
    return OverSeeds(claim, dict(enumerate(found)))


def test_seeds_that_limits_leave_open_agree_with_nothing() -> None:
    never = limits(*[(-np.inf, 1.0)] * 5)
    assert seed_rows([never], [never.record(0.01)])[-1][9:] == ("inconclusive", "yes", 0, 0, 1.0)
    # By the limit that decides, whatever lies between: two agree, one does not, two are open.
    mixed = limits((0.0, 2.0), (0.5, np.inf), (-2.0, -0.1), (-0.1, 3.0), (-2.0, 0.0))
    assert mixed.agreeing() == (2, 3)
    assert seed_rows([mixed], [mixed.record(0.01)])[-1][-3:] == (2, 3, 0.5)


def test_a_quantity_that_no_seed_knows_reads_as_unknown(tmp_path) -> None:
    unknown = between(np.nan, np.nan, np.nan, BETWEEN_LOOKS)
    measured = {seed: {"i: q": unknown} for seed in range(3)}
    outcome = judge("boundaries", "words.", measured, (("i", "q", ">=", 0.5),), 0.05)
    outcome.draw(Figure(layout="constrained"))
    write(outcome, tmp_path)
    (record,) = read(tmp_path, "boundaries").records
    assert (record.unknown, record.verdict, record.bound) == (True, "inconclusive", 0.5)
    found = json.loads((tmp_path / "boundaries.json").read_text())
    assert found["records"][0]["estimate"] == "nan"
    *_, over = csv.DictReader((tmp_path / "boundaries.csv").read_text().splitlines())
    assert list(over.values())[4:8] == ["3 seeds", "nan", "-inf", "inf"]
    assert '<td role="cell" data-label="Found here">unknown</td>' in to_html(tmp_path)
    assert "| >= 0.5 | unknown | -inf to inf | inconclusive |" in summary(outcome, MARKDOWN)


def result_of(tmp_path, seed: int, count: int, bound: float = 0.5) -> SeedResult:
    claim = Comparison(
        claim="x",
        instance="gap",
        quantity="copies",
        relation=">=",
        bound=bound,
        parameters={"sigma from": seed / 10, "paper": 0.78},
    )
    record = from_proportion(claim, count, 100, alpha=1e-3, seed=seed)
    outcome = ExperimentResult(
        "table1", "words.", (record,), ("a",), ((1,),), lambda figure: figure.subplots()
    )
    write(outcome, tmp_path / str(seed))
    return SeedResult(read(tmp_path / str(seed), "table1"), {})


def test_comparisons_of_single_seeds_become_one_over_all(tmp_path) -> None:
    found = {seed: result_of(tmp_path, seed, 80 + seed) for seed in range(4)}
    outcome = combine_records(found, 0.05)
    (record,) = outcome.records
    assert (record.instance, record.bound, record.n) == ("gap", 0.5, 4)
    assert record.parameters == {"paper": 0.78}  # what moves with the images is of one seed alone
    assert record.estimate == pytest.approx(0.815)
    assert record.verdict == "holds"
    assert record.alpha == 0.05
    assert [row[4] for row in outcome.rows] == ["seed 0", "seed 1", "seed 2", "seed 3", "4 seeds"]
    assert outcome.rows[-1][-3:] == (4, 4, 0.5**4)
    outcome.draw(Figure(layout="constrained"))


def test_where_the_bound_moves_the_distance_from_it_is_compared(tmp_path) -> None:
    found = {seed: result_of(tmp_path, seed, 80, 0.5 + seed / 10) for seed in range(3)}
    (record,) = combine_records(found, 0.05).records
    assert (record.bound, record.quantity) == (0.0, "copies, less its bound")
    assert record.estimate == pytest.approx(0.2)


def module_of(name: str):
    return import_module(f"wildmiddle.checks.experiments.{module_name(name)}")


@pytest.fixture(scope="module")
def two_seeds(tiny_text, tmp_path_factory):
    """The studies of seeds 0 and 1 by the group of their experiments, small as they can be."""
    folder = tmp_path_factory.mktemp("seeds")
    for few, many in (("6", "18"), ("1", "5")):
        tiny_text = tiny_text.replace(f"= {many}\n", f"= {few}\n")
    text = tiny_text.replace("outputs = 200", "outputs = 20").replace("samples = 24", "samples = 4")
    (folder / "tiny.toml").write_text(text + '[timestep_gaps.training]\nobjective = "ddpm"\n')
    found = {}
    for group, seed in product(set(EXPERIMENTS.values()), (0, 1)):
        settings = Settings(seed=seed, device="cpu", samples=1000)
        study = trained_study(read_scale(folder / "tiny.toml", group), folder, settings)
        vars(study)["extractor"] = Extractor(torch.nn.Flatten(), "pixels")
        found.setdefault(group, []).append(study)
    return found


@pytest.mark.parametrize(
    "name", [name for name in EXPERIMENTS if not hasattr(module_of(name), "combine")]
)
def test_the_claims_of_an_experiment_are_named_alike_whatever_the_seed(
    two_seeds, monkeypatch, name
) -> None:
    for size in ("TRIALS", "GAUSSIANS", "PAIRS"):
        monkeypatch.setattr(figure6, size, 20)
    monkeypatch.setattr(figure2, "NOISES", 5)
    monkeypatch.setattr(figure7, "QUERIES", 200)
    for trained in ("train_denoiser", "checkpoint"):
        monkeypatch.setattr(TrainedStudy, trained, lambda self, *_, **__: self.gaussian)
    first, second = (
        [(record.instance, record.quantity) for record in module_of(name).run(study, 1e-3).records]
        for study in two_seeds[EXPERIMENTS[name]]
    )
    assert first == second
    assert len(set(first)) == len(first)


def test_another_seed_is_other_images(tiny_text, tmp_path) -> None:
    (tmp_path / "tiny.toml").write_text(tiny_text)
    scale = read_scale(tmp_path / "tiny.toml")
    few = [trained_study(scale, tmp_path, Settings(seed=s, device="cpu")).data for s in (0, 1)]
    assert not np.array_equal(few[0].train_indices, few[1].train_indices)
    assert not np.array_equal(few[0].test_indices, few[1].test_indices)
    plain = read_scale(tmp_path / "tiny.toml").data
    assert "seed" not in plain


def table(fall: float, rise: float, n: int = 400) -> SeedResult:
    """Counts that fall from 300 to 100 about one boundary and rise from 0 to 300 about another."""
    bounds = boundaries.boundaries(edm_sigmas(18))
    rows = []
    for direction, at, (start, end) in (
        ("falling", fall, (300, 0)),
        ("rising", rise, (0, 300)),
    ):
        for bound in bounds:
            count = start if bound < at else end
            lost, gained = max(start - count, 0), max(count - start, 0)
            rows.append(
                {
                    "direction": direction,
                    "boundary": str(bound),
                    "memorized": str(count),
                    "samples": str(n),
                    "lost": str(lost),
                    "gained": str(gained),
                }
            )
    places = [
        {"place": "coverage 10%", "sigma": "0.4", "low": "0.4", "high": "0.4"},
        {"place": "certain zone", "sigma": "0.8", "low": "0.8", "high": "0.8"},
    ]
    experiment = SimpleNamespace(name="boundaries")
    return SeedResult(experiment, {"boundaries": rows, "boundaries-places": places})


def test_the_halving_point_is_where_half_of_the_copies_are_left() -> None:
    bounds = boundaries.boundaries(edm_sigmas(18))
    assert len(bounds) == 19
    assert bounds[0] < 0.002 < bounds[1] < bounds[-2] < 80 < bounds[-1]
    found = boundaries.measure(table(0.1, 1.5), 0.05)
    falling = found["falling: halving point, sigma"]
    before, after = bounds[bounds < 0.1][-1], bounds[bounds >= 0.1][0]
    assert float(falling.mean) == pytest.approx((before * after) ** 0.5)
    assert (falling.low, falling.high) == (before, after)
    below = found[f"falling: {boundaries.BELOW}"]
    assert float(below.mean) == pytest.approx(np.log2(0.4 / (before * after) ** 0.5))
    assert below.low == pytest.approx(np.log2(0.4 / after))
    apart = found[f"rising against falling: {boundaries.APART}"]
    assert 2 < float(apart.low) < float(apart.mean) < float(apart.high)
    one = table(0.1, 1.5)
    variants = [
        {**row, "sampler": "heun", "threshold": "0.5"}
        for row in one.rows
        if row["direction"] == "rising"
    ]
    other = replace(one, tables={**one.tables, "boundaries-variants": variants})
    more = boundaries.measure(other, 0.05)
    name = f"rising: {boundaries.BELOW}, by heun, threshold 0.5"
    assert set(more) - set(found) == {name}
    assert more[name].mean == found[f"rising: {boundaries.BELOW}"].mean
    # 0.11 of the zone's start is 0.088, below the boundary at which anything changes.
    assert float(found[f"falling: {boundaries.CHANGE}"].mean) == 0
    changed = boundaries.measure(table(0.03, 0.03), 0.05)
    for direction in boundaries.DIRECTIONS:
        assert float(changed[f"{direction}: {boundaries.CHANGE}"].mean) == 0.75


def test_the_claims_over_seeds_can_hold_and_can_fail() -> None:
    found = {seed: table(0.1, 1.5) for seed in range(3)}
    outcome = boundaries.combine(found, 0.05)
    verdicts = {f"{r.instance}: {r.quantity}": r.verdict for r in outcome.records}
    assert sum(record.alpha for record in outcome.records) == pytest.approx(0.05)
    assert verdicts[f"falling: {boundaries.CHANGE}"] == "holds"
    assert verdicts[f"rising: {boundaries.BELOW}"] == "violated"
    assert verdicts[f"rising against falling: {boundaries.APART}"] == "holds"
    outcome = boundaries.combine({seed: table(1.5, 0.03) for seed in range(3)}, 0.05)
    verdicts = {f"{r.instance}: {r.quantity}": r.verdict for r in outcome.records}
    assert verdicts[f"rising: {boundaries.CHANGE}"] == "violated"
    assert verdicts[f"rising: {boundaries.BELOW}"] == "holds"
    assert verdicts[f"rising against falling: {boundaries.APART}"] == "violated"


def test_a_rate_that_never_halves_gives_no_verdict() -> None:
    outcome = boundaries.combine({seed: table(1e3, 1e3) for seed in range(3)}, 0.05)
    verdicts = {f"{r.instance}: {r.quantity}": r.verdict for r in outcome.records}
    assert verdicts[f"falling: {boundaries.BELOW}"] == "inconclusive"
    assert verdicts[f"rising against falling: {boundaries.APART}"] == "inconclusive"


def test_both_families_end_with_one_denoiser_alone(tiny_text, tmp_path) -> None:
    (tmp_path / "tiny.toml").write_text(tiny_text)
    settings = Settings(device="cpu", samples=1000)
    study = trained_study(read_scale(tmp_path / "tiny.toml"), tmp_path, settings)
    rows = study.pool.flatten(1)
    vars(study)["memorizing"] = EmpiricalDenoiser(study.few, "cpu")
    vars(study)["generalizing"] = GaussianDenoiser(rows.mean(0), rows.T.cov())
    outcome = boundaries.run(study, 1e-3)
    for direction, ends in (("falling", (24, 0)), ("rising", (0, 24))):
        own = [row for row in outcome.rows if row[0] == direction]
        assert (own[0][3], own[-1][3]) == ends
        assert [row[2] for row in own] == list(range(19))
    # The same samples at the paper's threshold, and no fewer copies at a wider one.
    variants = {tuple(row[:4]): row[4] for row in outcome.tables["variants"][1]}
    for direction, bound, _, memorized, *_ in outcome.rows:
        wider, narrower = (variants["euler", t, direction, bound] for t in (0.5, 0.25))
        assert narrower <= variants["euler", 1 / 3, direction, bound] == memorized <= wider
    totals = dict.fromkeys((key[:2] for key in variants), 0)
    for key, count in variants.items():
        totals[key[:2]] += count
    assert len(set(totals.values())) == len(totals) == 6
    above, below = study.memorizing, study.generalizing
    bound = outcome.rows[4][1]
    by_heun = find_copies(study, swap(above, below, 0, bound), "heun").ratio
    assert variants["heun", 0.5, "falling", bound] == (by_heun < 0.5).sum()
    # The optimum copies by its last steps: under a low boundary it has them all the same.
    at = {(row[0], row[2]): row[3] for row in outcome.rows}
    assert at["rising", 12] == 24


def test_seeds_are_kept_and_the_next_goes_on(tiny_text, tmp_path, capsys) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_text.replace("\nsteps = 18\nwindow = 5", "\nsteps = 2\nwindow = 1"))
    folder = tmp_path / "found"
    command = ["reproduce", "boundaries", "--scale", str(path), "--output", str(folder)]
    command += ["--device", "cpu", "--samples", "200"]
    assert main([*command, "--seeds", "1"]) == 0
    assert "To train: 2 of 2 models, 24 steps" in capsys.readouterr().out
    kept = folder / "seeds" / "0" / "boundaries.json"
    before = kept.stat().st_mtime_ns
    assert main([*command, "--seeds", "2"]) == 0
    said = capsys.readouterr().out
    assert "To train: 2 of 4 models, 24 steps" in said
    assert before == kept.stat().st_mtime_ns
    assert f"boundaries: seed 0 is taken from {kept.parent}\n" in said
    assert "seed 1 is taken" not in said
    assert (folder / "models" / "memorizing").is_dir()
    assert (folder / "seeds" / "1" / "models" / "memorizing").is_dir()
    found = json.loads((folder / "boundaries.json").read_text())
    assert (found["run"]["seeds"], found["run"]["settings"]["alpha"]) == (2, 0.05)
    assert json.loads(kept.read_text())["run"]["settings"]["alpha"] == 1e-3
    assert {record["n"] for record in found["records"]} == {2}
    # Files of another machine are taken, those of another run neither taken nor replaced.
    found = json.loads(kept.read_text())
    found["run"]["versions"]["torch"] += "+cpu"
    found["run"]["settings"] |= {"device": "cuda", "memory": 1}
    kept.write_text(json.dumps(found))
    copied = kept.read_bytes()
    assert main([*command, "--seeds", "1"]) == 0
    assert "seed 0 is taken from" in capsys.readouterr().out
    wide = [*command[:-1], "210", "--quiet", "--seeds"]
    for seeds in ("1", "2"):
        assert main([*wide, seeds]) == 2
        said = capsys.readouterr().err
        assert f"{kept.parent} has boundaries with samples = 200, not 210; give another" in said
    assert kept.read_bytes() == copied
    path.write_text(path.read_text().replace("memorizing = 30", "memorizing = 29"))
    assert main([*command, "--quiet", "--seed", "1"]) == 2
    assert "/1 has boundaries with memorizing = 30, not 29" in capsys.readouterr().err


def test_the_error_rate_that_is_given_is_that_over_seeds(tiny_text, tmp_path, capsys) -> None:
    (tmp_path / "tiny.toml").write_text(tiny_text)
    command = ["reproduce", "remarkA.3", "--scale", str(tmp_path / "tiny.toml"), "--quiet"]

    def alphas(folder: str, *more: str) -> tuple[float, float]:
        output = tmp_path / folder
        assert main([*command, "--device", "cpu", "--output", str(output), *more]) == 0
        found = json.loads((output / "remarkA.3.json").read_text())
        return found["run"]["settings"]["alpha"], found["records"][0]["alpha"]

    assert alphas("one") == (1e-3, 1e-3)
    assert alphas("one", "--alpha", "0.02") == (0.02, 0.02)
    assert alphas("two", "--seeds", "2") == (0.05, 0.05)
    assert alphas("given", "--seeds", "2", "--alpha", "0.02") == (0.02, 0.02)
    with pytest.raises(SystemExit):
        main(["reproduce", "--help"])
    assert "(default: 0.001; over seeds 0.05)" in " ".join(capsys.readouterr().out.split())


def test_bad_seeds_are_one_line(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "boundaries", "--seeds", "0"])
    assert stop.value.code == 2
    assert "'0' is no number of at least 1" in capsys.readouterr().err


def test_unlabelled_images_run_all_but_what_needs_labels(
    tiny_text, tmp_path, capsys, monkeypatch
) -> None:
    path, images = tmp_path / "tiny.toml", tmp_path / "images.npy"
    path.write_text(tiny_text + '[timestep_gaps.training]\nobjective = "ddpm"\n')
    np.save(images, np.random.default_rng(0).integers(0, 256, (100, 8, 8), np.uint8))
    names = []
    monkeypatch.setattr(cli, "_run_experiments", lambda _, scales, *more: names.extend(scales) or 0)
    command = ["--scale", str(path), "--data", str(images), "--output", str(tmp_path / "out")]
    assert main(["reproduce", "all", *command]) == 0
    assert "table1" in names
    assert not {"figure4", "figure5", "figure9"}.intersection(names)
    assert not {"copy-time", "gap-law", "gap-rule"}.intersection(
        names
    )  # many trainings of their own
    assert (
        "left out: figure4, figure5, figure9: images.npy has no labels" in capsys.readouterr().err
    )
    assert main(["reproduce", "figure4", *command]) == 2
