"""The rate of copies against the threshold, for known denoisers and known distances."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks.experiments import table1
from wildmiddle.checks.experiments.results import write
from wildmiddle.checks.experiments.scale import read_scale
from wildmiddle.checks.experiments.trained import trained_study
from wildmiddle.checks.settings import Settings
from wildmiddle.empirical.neighbours import Memorization

RATIOS = {
    ("memorizing", "none"): [0.1] * 9 + [0.9],
    ("memorizing", "small"): [0.34] * 5 + [0.62] * 5,
    ("memorizing", "middle"): [1.0] * 10,
    ("generalizing", "none"): [0.95] * 10,
    ("generalizing", "small"): [0.3, 0.33] * 5,
    ("generalizing", "middle"): [0.04] * 10,
}


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    """Table 1 over samples of known distances, whatever the models."""
    data = {"source": "digits", "train_size": 60, "test_size": 40}
    scale = replace(read_scale("laptop"), data=data, memorizing=30, generalizing=60)
    study = trained_study(scale, tmp_path, Settings(device="cpu"))
    for name, sign in (("memorizing", 1), ("generalizing", -1)):
        vars(study)[name] = lambda x, _, sign=sign: sign * torch.ones_like(x)
    low, high = table1.paper_parts(study)["middle"]
    probes = {"small": low / 2, "middle": (low * high) ** 0.5, "large": 2 * high}

    def find_copies(_, denoiser, method=None):
        # Which model answers where tells the condition; windows are moved out of the schedule.
        found = {p: int(denoiser(torch.ones(1, 2), sigma)[0, 0]) for p, sigma in probes.items()}
        base = "memorizing" if sum(found.values()) > 0 else "generalizing"
        swaps = [part for part, sign in found.items() if sign * sum(found.values()) < 0]
        ratio = np.array(RATIOS.get((base, *(swaps or ["none"])), [0.0] * 10))
        return Memorization(0, 0, 0, ratio, np.zeros(10, int), np.stack([ratio, 1 + 0 * ratio], 1))

    monkeypatch.setattr(table1, "_window", lambda *_: (1e5, 2e5))
    monkeypatch.setattr(table1, "find_copies", find_copies)
    return table1.run(study, 1e-3)


def test_the_rate_is_the_share_below_each_threshold(outcome) -> None:
    header, rows = outcome.tables["thresholds"]
    assert header == ("base", "swapped", "threshold", "rate", "low", "high", "samples")
    rates = {(row[0], row[1], round(row[2], 4)): row[3:] for row in rows}
    assert len(rates) == len(rows) == 7 * 21  # the six, and the held-out images
    for (base, part), ratios in RATIOS.items():
        for at in (0.05, 0.3, 0.3333, 0.35, 0.6, 0.65, 0.95, 1.0):
            rate, low, high, n = rates[base, part, at]
            assert rate == np.mean(np.array(ratios) < (1 / 3 if at == 0.3333 else at)), (base, at)
            assert 0 <= low <= rate <= high <= 1
            assert n == 10
    # 1e-3 over 147 intervals, two-sided: none of 10 leaves 1 - (3.4e-6)^(1/10).
    assert rates["memorizing", "middle", 1.0][2] == pytest.approx(1 - (1e-3 / 294) ** 0.1)


def test_the_rate_at_a_third_is_the_tables_own(outcome, tmp_path) -> None:
    counts = {(row[0], row[1]): row[3] for row in outcome.rows}
    rows = outcome.tables["thresholds"][1]
    thirds = {(row[0], row[1]): row[3:] for row in rows if row[2] == 1 / 3}
    assert thirds.keys() == {*RATIOS, (table1.HELD_OUT, "none")}
    assert all(rate == counts[key] / n for key, (rate, _, _, n) in thirds.items())
    write(outcome, tmp_path)
    with (tmp_path / "table1-thresholds.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == list(outcome.tables["thresholds"][0])
    assert [float(line[3]) for line in lines[1:]] == [row[3] for row in rows]
    assert (tmp_path / "table1.csv").read_text().startswith("base,swapped,steps,memorized,")


def test_the_figure_has_both_panels(outcome) -> None:
    figure = Figure()
    outcome.draw(figure)
    windows, thresholds = figure.axes
    assert [len(half.legends[0].get_texts()) for half in figure.subfigs] == [4, 7]
    drawn = {line.get_label(): line for line in thresholds.lines}
    swept = drawn["memorizing, swapped at small noise"]
    assert swept.get_xdata()[0] == 0.05
    assert swept.get_ydata()[list(swept.get_xdata()).index(0.6)] == 0.5
    assert any(np.allclose(line.get_xdata(), 1 / 3) for line in thresholds.lines)
    assert len(thresholds.collections) == 7
    assert len(windows.lines) == 4


def test_the_papers_rates_stand_beside_the_verdicts(outcome) -> None:
    found = {record.instance: record for record in outcome.records}
    middle = found["generalizing denoiser, swapped: middle"]
    assert middle.parameters == {"paper": 0.922}
    assert (middle.relation, middle.bound, middle.estimate) == (">=", 0.5, 1.0)
    assert found["memorizing denoiser, swapped: small"].parameters == {"paper": 0.91}
    assert found["memorizing denoiser, swapped: middle"].relation == "<="
    # The eight rates of the paper, and the middle against both ends for each model.
    against = [name for name in found if "middle against" in name]
    assert (len(found), len(against)) == (12, 4)
    assert all(not found[name].parameters for name in against)
