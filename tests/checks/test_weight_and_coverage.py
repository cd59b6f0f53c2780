"""The experiments without trained models: right curves pass, and each wrong one fails by name."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks.cli import main
from wildmiddle.checks.experiments import figure3, figure7, figure8, weight_and_coverage
from wildmiddle.checks.experiments.gaps import zone_gaps
from wildmiddle.checks.experiments.results import ExperimentResult
from wildmiddle.checks.experiments.scale import read_scale
from wildmiddle.checks.experiments.trained import TrainedStudy, trained_study
from wildmiddle.checks.options import EXPERIMENTS
from wildmiddle.checks.report import drawing
from wildmiddle.checks.settings import Settings
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.intervals import bounded_mean, proportion
from wildmiddle.theory.schedules import ddpm_timestep, edm_sigmas
from wildmiddle.theory.shells import outside_probability

ALPHA = 1e-6


@pytest.fixture(scope="module")
def scale(tmp_path_factory, tiny_text) -> Path:
    path = tmp_path_factory.mktemp("scale") / "tiny.toml"
    path.write_text(tiny_text + "[gaps.models]\nmemorizing = 20\n")
    return path


@pytest.fixture(scope="module")
def study(scale) -> TrainedStudy:
    return trained_study(read_scale(scale), scale.parent, Settings(device="cpu"))


@pytest.fixture
def wrong(study):
    """Makes a study of the same images whose curves are changed."""

    def change(**fields) -> TrainedStudy:
        other = trained_study(study.scale, study.folder, Settings(device="cpu"))
        vars(other)["curves"] = replace(study.curves, **fields)
        return other

    return change


def violated(outcome: ExperimentResult) -> set[str]:
    found = [r for r in outcome.records if r.verdict == "violated"]
    return {f"{r.instance.split(',')[0]}: {r.quantity}" for r in found}


def rows(outcome: ExperimentResult, name: str) -> np.ndarray:
    return np.array([row[1:] for row in outcome.rows if row[0] == name], float)


def axes_of(outcome: ExperimentResult):
    figure = Figure(figsize=(7, outcome.height), layout="constrained")
    outcome.draw(figure)
    figure.draw_without_rendering()
    return figure.axes


def bars(axes) -> list[tuple[float, float]]:
    boxes = [each.get_paths()[0].get_extents() for each in axes.collections]
    return [(box.x0, box.x1) for box in boxes]


def test_bands_share_the_error_rate_among_curves_and_levels(study) -> None:
    found, each = weight_and_coverage.with_joint_bands(study.curves, 0.08), 0.08 / (2 * 40)
    counts = study.curves.covered_draws.sum(0)
    expected = (
        proportion(counts, len(study.curves.covered_draws), each),
        bounded_mean(study.curves.max_weight_draws, each),
    )
    for band, known in zip((found.coverage, found.max_weight), expected, strict=True):
        np.testing.assert_array_equal(band.low, known.low)
        np.testing.assert_array_equal(band.high, known.high)
        assert band.alpha == pytest.approx(each)


def test_figure3_holds_on_the_digits_and_tabulates_what_it_draws(study) -> None:
    outcome = figure3.run(study, ALPHA)
    assert len(outcome.records) == 13
    assert violated(outcome) == set()
    curves = study.curves
    for name, mean in (
        ("posterior weight", curves.max_weight_draws.mean(0)),
        ("coverage", curves.covered_draws.mean(0)),
        ("lower bound of the coverage", curves.coverage_lower.mean),
        ("upper bound of the coverage", curves.coverage_upper.mean),
    ):
        found = rows(outcome, name)
        np.testing.assert_array_equal(found[:, 0], edm_sigmas(40))
        np.testing.assert_allclose(found[:, 1], mean, atol=1e-12)
    zone = zone_of(study.few.double(), study.fresh.double())
    assert [(r.relation, r.bound) for r in outcome.records[2:7]] == [
        ("<=", 0.1),
        (">=", 0.75),
        (">=", 0.75),
        (">=", 0.5),
        ("<=", 0.1),
    ]
    ends = (zone.possible[0], 1 / zone.certain[0], zone.certain[1], 1 / zone.possible[1])
    np.testing.assert_allclose([r.bound for r in outcome.records[9:]], np.log2(ends))
    start, end = (rows(outcome, f"danger noise, {name}")[0] for name in ("start", "end"))
    assert zone.possible.start < start[1] < zone.certain.start
    assert zone.certain.end < end[1] < zone.possible.end
    assert start[2] < start[1] < start[3]
    assert rows(outcome, "zone predicted, possible, end")[0, 0] == zone.possible.end
    panel, below = axes_of(outcome)[:2]
    expected = [(start[0], end[0]), tuple(zone.certain), tuple(zone.possible)]
    np.testing.assert_allclose(bars(below), expected)
    assert [text.get_text() for text in panel.texts] == [
        "small noise",
        "medium noise",
        "large noise",
    ]


def test_records_state_the_error_rate_of_the_bands_that_they_rest_on(study) -> None:
    def rates(outcome: ExperimentResult) -> list[float]:
        return [record.alpha / ALPHA for record in outcome.records if record.n]  # the drawn ones

    # Half for the bands, half for the changes from level to level, a quarter each.
    bands, changes, ends = [1 / 2] * 7, [1 / 4] * 2, [1 / 8] * 4
    assert rates(figure3.run(study, ALPHA)) == pytest.approx([*bands, *changes, *ends])
    for figure in (figure7, figure8):
        found = rates(figure.run(study, ALPHA))
        assert len(found) >= 2
        assert found == pytest.approx([1.0] * len(found)), figure.__name__


def test_figure3_names_what_is_wrong(study, wrong) -> None:
    curves, every = study.curves, "all noise levels"
    lower = f"{every}: least of coverage - Theorem 4.8's lower bound"
    upper = f"{every}: least of Theorem 4.8's upper bound - coverage"
    start, end = "against the distances: {}log2 of the zone's start", "{}log2 of the zone's end"

    def run(**fields) -> set[str]:
        return violated(figure3.run(wrong(**fields), ALPHA))

    covered = curves.covered_draws
    assert run(covered_draws=covered | True) >= {upper, "smallest sigma: coverage"}
    assert lower in run(covered_draws=covered & False)
    # Coverage that comes three levels of the schedule too late, or too early.
    late = run(covered_draws=np.pad(covered, ((0, 0), (0, 3)), mode="edge")[:, 3:])
    assert late >= {lower, start.format("-")}
    assert upper not in late
    early = run(covered_draws=np.pad(covered, ((0, 0), (3, 0)), mode="edge")[:, :-3])
    assert early >= {upper, start.format("")}
    assert lower not in early
    # A weight that never falls leaves the zone no end; one that turns back rises.
    always = run(max_weight_draws=np.ones_like(curves.max_weight_draws))
    assert always == {
        "largest sigma: posterior weight",
        f"against the distances: {end.format('-')}",
    }
    turned = run(max_weight_draws=curves.max_weight_draws[:, ::-1])
    assert f"{every}: largest rise of the weight from one level to the next" in turned
    assert "end of small noise: posterior weight" in turned
    falls = f"{every}: largest fall of the coverage from one level to the next"
    gap = covered.copy()
    gap[:, 5] = False
    assert run(covered_draws=gap) >= {falls, lower}
    # No danger zone: the weight is spent before the coverage comes.
    early_weight = np.where(curves.sigmas > 0.1, 0.01, 1.0) * np.ones((4000, 1))
    assert "where coverage becomes high: posterior weight" in run(max_weight_draws=early_weight)
    assert "start of large noise: coverage" in run(max_weight_draws=early_weight)


def test_figure7_compares_the_weights_of_the_same_noise(study) -> None:
    outcome = figure7.run(study, ALPHA)
    assert {record.verdict for record in outcome.records} == {"holds"}
    assert len(outcome.records) == 4
    largest, own, gap = (rows(outcome, n) for n in ("largest weight", "self weight", "difference"))
    np.testing.assert_allclose(largest[:, 1] - own[:, 1], gap[:, 1], atol=1e-9)
    assert gap[:, 1].max() > 0.05
    room = largest[:, 1] * (1 - largest[:, 1])
    assert outcome.records[1].estimate == pytest.approx((gap[:, 1] - room).max(), abs=1e-12)
    np.testing.assert_allclose(axes_of(outcome)[1].lines[1].get_ydata(), room)
    # Paired: the difference is known better than either weight.
    k = int(gap[:, 1].argmax())
    assert gap[k, 3] - gap[k, 2] < own[k, 3] - own[k, 2]
    # The mean self weight is the mean squared weight, and at least W squared.
    squared = bounded_mean(study.curves.max_weight_draws**2, ALPHA / 40)
    assert (own[:, 3] >= squared.low).all()
    same = study.curves.squared_weight
    assert (np.abs(own[:, 1] - same.mean) < 0.05).all()
    assert np.abs(own[:, 1] - largest[:, 1]).max() > 0.1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda largest, own, s, medium: (own, largest),
            {"largest excess of the self weight over the largest weight"},
        ),
        (
            lambda largest, own, s, medium: (largest, np.where(s < 0.1, largest - 0.2, own)),
            {
                "largest of the difference - W(1 - W)",
                "largest difference of the two mean weights",
                "largest difference in small and large noise - that in medium noise",
            },
        ),
        (
            lambda largest, own, s, medium: (largest, np.where(medium, largest, own)),
            {"largest difference in small and large noise - that in medium noise"},
        ),
    ],
    ids=["exchanged", "apart in small noise", "equal in medium noise"],
)
def test_figure7_names_what_is_wrong(study, monkeypatch, change, expected) -> None:
    right = figure7.weights

    def weights(train, sigmas, **options):
        regime = study.regime("medium")
        medium = (sigmas > regime.start.sigma) & (sigmas < regime.end.sigma)
        return change(*right(train, sigmas, **options), sigmas, medium)

    monkeypatch.setattr(figure7, "weights", weights)
    outcome = figure7.run(study, ALPHA)
    assert {r.quantity for r in outcome.records if r.verdict == "violated"} == expected


def test_figure8_draws_the_gaps_that_figure4_trains_with(study) -> None:
    outcome = figure8.run(study, ALPHA)
    assert outcome.records[0].verdict == "holds"
    zones = zone_gaps(study)
    zone = zone_of(study.few.double(), study.fresh.double())
    assert zones["certain zone"] == pytest.approx(tuple(zone.certain), rel=0.005)
    assert zones["possible zone"] == pytest.approx(tuple(zone.possible), rel=0.005)
    for name, gap in zones.items():
        for end, sigma in zip(("start", "end"), gap, strict=True):
            ((*found,),) = rows(outcome, f"gap over the {name}, {end}")
            assert found == [sigma, ddpm_timestep(sigma), sigma, sigma, sigma]
    weight, coverage = (rows(outcome, name) for name in ("posterior weight", "coverage"))
    assert set(edm_sigmas(40)) < set(weight[:, 0])
    np.testing.assert_array_equal(weight[:, 1], ddpm_timestep(weight[:, 0]))
    # The two change places at the crossing.
    ((sigma, _, _, low, high),) = rows(outcome, "crossing")
    assert low < sigma < high
    below = weight[:, 0] < sigma
    assert (weight[below, 2] > coverage[below, 2]).all()
    assert (weight[~below, 2] <= coverage[~below, 2]).all()
    height = outcome.records[0].estimate
    np.testing.assert_allclose(height, np.interp(np.log(sigma), np.log(weight[:, 0]), weight[:, 2]))
    panels = axes_of(outcome)
    np.testing.assert_allclose(bars(panels[1]), list(zones.values()))
    np.testing.assert_allclose(panels[0].lines[-1].get_xydata(), [[sigma, height]])
    assert f"timestep {ddpm_timestep(sigma)}" in panels[0].lines[-1].get_label()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # Half the weight: the curves cross where the weight is no longer high.
        (lambda draws, s: draws / 2, {"posterior weight and coverage"}),
        # High up to the very end of medium noise: nearly all of that is zone.
        (
            lambda draws, s: np.where(s < 4, 1.0, 0.01) * np.ones_like(draws),
            {"share of medium noise that is danger zone"},
        ),
    ],
    ids=["low", "wide"],
)
def test_figure8_names_what_is_wrong(study, monkeypatch, change, expected) -> None:
    right = figure8.curves_of

    def curves(train, test, sigmas, **options):
        found = right(train, test, sigmas, **options)
        return replace(found, max_weight_draws=change(found.max_weight_draws, found.sigmas))

    monkeypatch.setattr(figure8, "curves_of", curves)
    outcome = figure8.run(study, ALPHA)
    assert {r.quantity for r in outcome.records if r.verdict == "violated"} == expected


def test_no_model_is_trained_and_figure8_has_the_gaps_images(scale, tmp_path, capsys) -> None:
    untrained = ["figure3", "figure6", "figure7", "figure8", "remark4.3", "remarkA.3"]
    assert list(EXPERIMENTS)[:6] == untrained
    found = {}
    for name in ("figure3", "figure8"):
        command = ["reproduce", name, "--scale", str(scale), "--output", str(tmp_path)]
        assert main([*command, "--device", "cpu"]) == 0
        assert f"\n{name}: " in capsys.readouterr().out
        lines = csv.DictReader((tmp_path / f"{name}.csv").read_text().splitlines())
        found[name] = {line["drawn"]: line for line in lines}
    assert not (tmp_path / "models").exists()
    # With 20 images in the place of 30 the nearest is farther away.
    few = found["figure8"]["gap over the possible zone, end"]["value"]
    assert float(few) != float(found["figure3"]["zone predicted, possible, end"]["value"])
    study = trained_study(read_scale(scale, "gaps"), tmp_path, Settings(device="cpu"))
    assert float(few) == pytest.approx(zone_gaps(study)["possible zone"][1])


def test_figures_take_the_constants_of_their_settings(study) -> None:
    at = Settings(device="cpu", c=3.0, weight_high=0.9, coverage_low=0.2, samples=1000)
    other = trained_study(study.scale, study.folder, at)
    records = figure3.run(other, ALPHA).records
    assert [record.bound for record in records[2:7]] == [0.2, 0.9, 0.9, 0.5, 0.1]
    # Narrower shells leave more outside, and a fall of the coverage that large is no violation.
    (fall,) = [record for record in records if record.quantity.startswith("largest fall")]
    assert fall.bound == pytest.approx(float(outside_probability(64, 3.0)))
    outcome = figure8.run(other, ALPHA)
    assert outcome.records[0].bound == 0.9
    wide, narrow = (rows(each, "coverage") for each in (figure8.run(study, ALPHA), outcome))
    wide, narrow = (found[np.isin(found[:, 0], edm_sigmas(40)), 2] for found in (wide, narrow))
    assert (wide - narrow).max() > 0.05
    assert (wide - narrow).min() > -0.05


@pytest.mark.parametrize("figure", [figure3, figure7, figure8])
def test_figures_have_the_reports_palette(study, figure) -> None:
    outcome = figure.run(study, ALPHA)
    svg = drawing.draw_figure(outcome.draw, outcome.height).svg
    found = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg))
    assert found <= {*drawing.CYCLE, drawing.INK, drawing.MUTED, drawing.GRID}
    assert {drawing.WEIGHT, drawing.DANGER} <= found
