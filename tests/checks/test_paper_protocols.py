"""Experiments after the paper's own protocols: E.2, Remarks 4.3 and A.3, Section 3's definition."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks.experiments import figure2, figure6, figure7, locality, remark4_3, remarkA_3
from wildmiddle.checks.experiments.page import write_with_page
from wildmiddle.checks.experiments.results import ExperimentResult
from wildmiddle.checks.experiments.scale import read_scale
from wildmiddle.checks.experiments.trained import TrainedStudy, trained_study
from wildmiddle.checks.settings import Settings
from wildmiddle.models.denoisers import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.networks import DDPM, build
from wildmiddle.theory import posterior
from wildmiddle.theory.coverage import overlap_probability

ALPHA = 1e-6


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_text) -> TrainedStudy:
    folder = tmp_path_factory.mktemp("scale")
    (folder / "tiny.toml").write_text(tiny_text)
    return trained_study(read_scale(folder / "tiny.toml"), folder, Settings(device="cpu"))


def verdicts(outcome: ExperimentResult) -> dict[str, str]:
    outcome.draw(Figure(figsize=(7, outcome.height), layout="constrained"))
    return {record.quantity: record.verdict for record in outcome.records}


def test_the_coverage_of_fresh_training_sets_lies_between_the_bounds(study) -> None:
    outcome = figure6.run(study, ALPHA)
    assert "violated" not in verdicts(outcome).values()
    assert sum(record.alpha for record in outcome.records) <= ALPHA * (1 + 1e-9)
    curves = {
        name: np.array([row[1:] for row in outcome.rows if row[0] == name], float)
        for name in dict.fromkeys(row[0] for row in outcome.rows)
    }
    lower, upper = (
        curves[name][:, 1]
        for name in ("lower bound, p by its distribution", "upper bound, all pairs")
    )
    coverage = curves["coverage"]
    assert (coverage[:, 3] >= lower - 1e-7).all()
    assert (coverage[:, 2] <= upper + 1e-7).all()
    # By shared Gaussians the lower bound is the same but for their noise, 1 / (2 sqrt(1000)).
    sampled = curves["lower bound, p by shared Gaussians (E.2)"][:, 1]
    assert np.abs(sampled - lower).max() < 5 / (2 * np.sqrt(figure6.GAUSSIANS))


def test_a_trial_counts_the_noises_that_lie_in_a_shell_of_its_set(study, monkeypatch) -> None:
    monkeypatch.setattr(figure6, "TRIALS", 400)
    sigmas = np.array([1e-6, 0.5, 50.0])
    found = figure6.draw_trials(study, sigmas)
    # At no noise nothing is covered unless the image is in the set; at large noise nearly all are.
    assert found.covered[:, 0].max() == 0
    assert found.covered[:, 2].mean() > 0.99
    assert 0.1 < found.covered[:, 1].mean() < 1
    # The nearest image alone covers with p_sigma of its distance, and the set with no less.
    nearest = overlap_probability(found.nearest, 0.5, study.d)
    assert found.covered[:, 1].mean() > nearest.mean() - 0.05
    assert len(np.unique(found.nearest)) > 30


def test_a_bound_that_is_too_high_is_seen(study, monkeypatch) -> None:
    monkeypatch.setattr(
        figure6, "overlap_probability", lambda *at: np.minimum(1, overlap_probability(*at) + 0.2)
    )
    monkeypatch.setattr(figure6, "upper_bound", lambda mean, n: mean)  # without N
    assert set(verdicts(figure6.run(study, ALPHA)).values()) == {"violated"}


def test_remark_4_3_averages_both_levels(study) -> None:
    outcome = remark4_3.run(study, ALPHA)
    assert verdicts(outcome) == {}
    rows = {row[0]: row[1:] for row in outcome.rows}
    points = study.data.train.reshape(60, -1)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    levels = posterior.sigma_minus(apart.min(1), 60, 0.95, study.settings.delta)
    w, of_twenty, spread, of_all, sigma, low, high = rows["sigma_minus"]
    assert (w, of_all) == (0.95, pytest.approx(levels.mean()))
    # An average of 20 of 60 without replacement.
    expected = levels.std(ddof=1) * np.sqrt((1 - 20 / 60) / 20)
    assert spread == pytest.approx(expected, rel=0.15)
    assert abs(of_twenty - of_all) < 5 * expected
    # Certified levels are on the safe side of where the mean weight is w.
    assert of_all < rows["sigma_minus, all distances"][3] < high
    assert low <= sigma <= high
    assert rows["sigma_plus"][3] > rows["sigma_plus, all distances"][3] > rows["sigma_plus"][5]


def test_remark_a_3_holds_and_a_bound_that_is_too_high_is_seen(study, monkeypatch) -> None:
    outcome = remarkA_3.run(study, ALPHA)
    assert set(verdicts(outcome).values()) == {"holds"}
    rows = {row[0]: row[1:4] for row in outcome.rows}
    assert rows["cosine, the paper's bound"][0] < rows["cosine, sharper bound"][0]
    assert rows["cosine, measured"][1] > rows["cosine, the paper's bound"][1]
    right = remarkA_3.cosine_bound
    monkeypatch.setattr(
        remarkA_3,
        "cosine_bound",
        lambda *at, **of: right(*at, **of)._replace(cosine=np.full(remarkA_3.POINTS, 1.001)),
    )
    assert set(verdicts(remarkA_3.run(study, ALPHA)).values()) == {"violated"}


def test_both_definitions_of_per_level_memorization_stand_side_by_side(study) -> None:
    rows = torch.as_tensor(study.data.train).flatten(1)
    vars(study)["memorizing"] = EmpiricalDenoiser(study.few, "cpu")
    vars(study)["generalizing"] = GaussianDenoiser(rows.mean(0), rows.T.cov())
    outcome = figure2.run(study, 1e-3)
    header, nested = outcome.tables["nested"]
    found = {row[:2]: row[2:] for row in nested}
    last, images = float(study.sigmas[-1]), len(study.fresh)
    share, low, high, n, noises = found["empirical optimum", last]
    assert (share, high, n, noises) == (1.0, 1.0, images, figure2.NOISES)
    assert 0.7 < low < 1
    assert found["generalizing", last][0] == 0
    assert len(header) == len(nested[0]) == 7
    # Where the weight falls, fewer images are copied at nearly all noises than outputs are.
    pooled = {row[:2]: row[2] / row[3] for row in outcome.rows}
    gap = [pooled[key] - found[key][0] for key in pooled if key[0] == "empirical optimum"]
    assert max(gap) > 0.15


def test_the_network_of_the_timestep_gaps_attends_in_its_two_lower_levels() -> None:
    assert (DDPM.widths, DDPM.attention, DDPM.dropout) == ((32, 64, 128), (False, True, True), 0.1)
    network = build(DDPM, (1, 32, 32))
    assert network.config.down_block_types == ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D")
    scale = read_scale("paper", "timestep_gaps", "images")
    assert scale.training["network"] == "ddpm"
    assert len(scale.timestep_gaps) == 9
    assert scale.timestep_gaps[:5] == ((100, 350), (100, 275), (100, 200), (150, 250), (167, 275))
    assert all(100 <= first < end <= 350 for first, end in scale.timestep_gaps)


def test_receptive_fields_stand_beside_the_gaussians_and_the_bound(study) -> None:
    rows = torch.as_tensor(study.data.train).flatten(1)
    vars(study)["memorizing"] = GaussianDenoiser(rows.mean(0), rows.T.cov())
    vars(study)["generalizing"] = lambda x, sigma: x / (1 + sigma**2)
    outcome = locality.run(study, 1e-3)
    assert len(outcome.records) == 2
    assert sum(record.alpha for record in outcome.records) <= 1e-3 * (1 + 1e-9)
    assert "violated" not in {record.verdict for record in outcome.records}
    outcome.draw(Figure(figsize=(7, outcome.height), layout="constrained"))
    shares = {row[:3]: row[3] for row in outcome.rows}
    assert {shares["generalizing", float(sigma), 0] for sigma in study.sigmas} == {1.0}
    # The bound is above the sensitivities of the stationary denoiser, ring by ring.
    decay = {row[:3]: row[3] for row in outcome.tables["decay"][1]}
    for sigma in study.sigmas.tolist():
        for r in range(1, 8):
            bound = decay["Theorem 4.10's bound, stationary", sigma, r]
            assert decay[locality.STATIONARY, sigma, r] <= bound * (1 + 1e-6)


def test_a_denoiser_that_spreads_at_small_noise_is_seen(study) -> None:
    vars(study)["memorizing"] = vars(study)["generalizing"] = lambda x, sigma: (
        x if sigma > 0.5 else x.mean((1, 2, 3), keepdim=True).expand_as(x)
    )
    records = locality.run(study, 1e-3).records
    assert {record.verdict for record in records} == {"violated"}


def test_figure_7_by_100_base_points_agrees_with_images_drawn_anew(study) -> None:
    outcome = figure7.run(study, ALPHA)
    curves = {
        name: np.array([row[1:] for row in outcome.rows if row[0] == name], float)
        for name in dict.fromkeys(row[0] for row in outcome.rows)
    }
    for name, ours in (("largest", "largest weight"), ("self", "self weight")):
        # With 30 images all of them are base points: 12,000 noises.
        mean = curves[f"{name} weight (E.3)"][:, 1]
        assert (mean >= curves[ours][:, 2] - 1e-6).all()
        assert (mean <= curves[ours][:, 3] + 1e-6).all()
    assert (curves["self weight (E.3)"][:, 1] <= curves["largest weight (E.3)"][:, 1] + 1e-9).all()


def test_a_name_with_a_dot_has_its_own_files_and_place_on_the_page(study, tmp_path) -> None:
    folder = tmp_path / "found"
    for outcome in (remark4_3.run(study, ALPHA), remarkA_3.run(study, ALPHA)):
        page = write_with_page(outcome, folder, study.run())
    names = {path.name for path in folder.iterdir() if path.is_file()}
    for stem in ("remark4.3", "remarkA.3"):
        assert {f"{stem}.{kind}" for kind in ("csv", "json", "svg", "md")} <= names
    text = page.read_text(encoding="utf-8")
    assert "Remark\u00a04.3" in text
    assert "RemarkA.3" not in text
    assert text.index("Remark\u00a04.3") < text.index("Remark\u00a0A.3")
