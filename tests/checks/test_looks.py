"""Looks at trainings as they go, and the three experiments that rest on them or on trajectories."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks.experiments import copy_time, gap_law, gap_rule, looks, supervision
from wildmiddle.checks.experiments.looks import Look
from wildmiddle.checks.experiments.scale import read_scale
from wildmiddle.checks.experiments.seeds import SeedResult
from wildmiddle.checks.experiments.trained import trained_study
from wildmiddle.checks.experiments.trajectories import in_shell, record_trajectories
from wildmiddle.checks.settings import Settings
from wildmiddle.empirical.intervals import proportion
from wildmiddle.models.denoisers import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.objectives import edm_share
from wildmiddle.theory.regimes import Zone
from wildmiddle.theory.schedules import ddpm_sigmas


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """A study whose training copies ``step / 10`` of 100 samples, and the steps it is asked for."""
    asked = []
    newest = {}

    def train(count, name, *, stop_after, **changes):
        (tmp_path / name).mkdir(exist_ok=True)
        asked.append(stop_after)
        if stop_after < newest.get(name, 0):
            raise ValueError(f"no checkpoint of step {stop_after}")
        newest[name] = stop_after
        return stop_after

    def compare(samples, count):
        return SimpleNamespace(ratio=np.where(np.arange(100) < samples / 10, 0.0, 1.0))

    monkeypatch.setattr(looks, "draw_samples", lambda study, denoiser: denoiser)
    monkeypatch.setattr(looks, "held_out_error", lambda study, denoiser: 1 / denoiser)
    monkeypatch.setattr(looks, "kernel_distance", lambda study, samples, count: 2 / samples)
    monkeypatch.setattr(looks, "newest_whole", lambda folder: newest.get(folder.name, 0))
    shown, held_out = np.arange(5, 60), np.arange(5)
    study = SimpleNamespace(
        models=tmp_path,
        train_denoiser=train,
        compare=compare,
        scale=SimpleNamespace(samples=100, outputs=20, method="euler", steps=18),
        data=SimpleNamespace(sha256="sha256:0", train_indices=shown, test_indices=held_out),
    )
    return study, asked, newest


def test_looks_are_evenly_spaced_in_octaves_and_end_with_the_last_step() -> None:
    assert list(looks.look_steps(100, 2, 500)) == [100, 141, 200, 283, 400, 500]
    assert list(looks.look_steps(100, 2, 401)) == [100, 141, 200, 283, 401]


def test_a_training_ends_when_copies_are_common_and_goes_on_where_it_was(trainer, caplog) -> None:
    caplog.set_level("INFO", "wildmiddle")
    study, asked, newest = trainer
    found = looks.look_until(study, "a", 5, {"steps": 150}, first=50, each=1)
    assert [(one.step, one.copies) for one in found] == [(50, 5), (100, 10), (150, 15)]
    more = looks.look_until(study, "a", 5, {"steps": 900}, first=50, each=1)
    assert asked == [50, 100, 150, 200, 400]
    assert more[:3] == found
    assert [one.step for one in more] == [50, 100, 150, 200, 400]
    assert [one.common for one in more] == [False] * 4 + [True]
    again = looks.look_until(study, "a", 5, {"steps": 900}, first=50, each=1)
    assert (again, asked[5:]) == (more, [400])
    assert caplog.messages[2:4] == [
        "a: 15 of 100 samples are copies at step 150",
        "a: 20 of 100 samples are copies at step 200",
    ]
    for steps in (100, 900):
        found = looks.look_until(study, "b", 5, {"steps": steps}, first=50, each=1)
    assert [one.step for one in found] == [50, 100, 200, 400]
    # A training that was stopped between two looks has no checkpoint of the last one.
    looks.look_until(study, "c", 5, {"steps": 150}, first=50, each=1)
    newest["c"] = 170
    found = looks.look_until(study, "c", 5, {"steps": 900}, first=50, each=1)
    assert [one.step for one in found] == [50, 100, 150, 200, 400]


def test_looks_by_another_sampler_or_on_other_images_are_refused(trainer) -> None:
    study, *_ = trainer
    found = looks.look_until(study, "a", 5, {"steps": 150}, first=50, each=1)
    more = {
        "samples": (study.scale, 7),
        "method": (study.scale, "heun"),
        "steps": (study.scale, 9),
        "outputs": (study.scale, 200),
        "sha256": (study.data, "sha256:1"),
        "test_indices": (study.data, study.data.test_indices[::-1]),
    }
    for name, (part, other) in more.items():
        before = getattr(part, name)
        setattr(part, name, other)
        what = {"sha256": "data", "test_indices": "split"}.get(name, name)
        with pytest.raises(ValueError, match=rf"looks.csv has looks with {what} = .*, not .*; "):
            looks.look_until(study, "a", 5, {"steps": 900}, first=50, each=1)
        setattr(part, name, before)
    # Older versions wrote the looks alone: they are taken, where the number of samples is the same.
    path = study.models / "a" / looks.FILE
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert len(path.read_text().splitlines()) == 3
    assert looks.look_until(study, "a", 5, {"steps": 900}, first=50, each=1)[:3] == found
    assert path.read_text().startswith('# {"samples": 100, "method": "euler"')
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    study.scale.samples = 7
    with pytest.raises(ValueError, match="has looks with samples = 100, not 7; give another"):
        looks.look_until(study, "a", 5, {"steps": 900}, first=50, each=1)


def test_looks_are_whole_or_refused_with_what_to_do(trainer, monkeypatch) -> None:
    study, *_ = trainer

    def look(steps: int):
        return looks.look_until(study, "a", 5, {"steps": steps}, first=50, each=1)

    look(150)
    path = study.models / "a" / looks.FILE
    whole = path.read_text()

    def full(path, text) -> None:
        path.write_text(text[:20])
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(looks, "write_text", full)
        with pytest.raises(OSError, match="no space"):
            look(900)
    assert path.read_text() == whole  # the look at step 200 is lost, the others stay
    lines = whole.splitlines(keepends=True)
    for damaged in ("", whole[:-3], lines[0], "1,2\n", "# {\n1,2,3,4,5\n", "# 1\n1,2,3,4,5\n"):
        path.write_text(damaged)
        with pytest.raises(ValueError, match=r"looks\.csv is not what .* or delete .*a to train"):
            look(900)
        assert path.read_text() == damaged
    path.write_text("".join(lines[:2]))
    with pytest.raises(ValueError, match=r"no look at step 100, and .* at step 200 already"):
        look(900)
    path.unlink()
    with pytest.raises(ValueError, match=r"no look at step 50, and .* at step 200 already"):
        look(900)


def test_rivals_end_after_so_many_times_the_time_of_the_base(trainer, monkeypatch) -> None:
    study, *_ = trainer
    wanted = {name: (5, {"steps": 900}) for name in ("a-none", "a-gap", "b-none", "b-gap")}
    monkeypatch.setattr(
        looks,
        "is_copy",
        lambda found: np.zeros(100, bool) if study.name in ("a-gap", "b-none") else found.ratio < 1,
    )
    train = study.train_denoiser

    def note(count, name, **more):
        study.name = name
        return train(count, name, **more)

    study.train_denoiser = note
    found = looks.look_at_each(study, wanted, first=50, each=1, times=2)
    last = {name: (one[-1].step, one[-1].common) for name, one in found.items()}
    # 25 of 100 are copies from step 250 on, which is seen at 400; without copies there is no time.
    assert last == {"a-none": (400, True), "a-gap": (800, False), "b-none": (900, False)}


def test_copies_of_few_images_are_far_from_the_images_not_trained_on(known) -> None:
    count = len(known.few)
    mean = known.pool[:count].mean(0, keepdim=True).repeat(50, 1, 1, 1)
    found = [
        looks.kernel_distance(known, samples, count)
        for samples in (known.fresh, known.few.repeat(6, 1, 1, 1), mean)
    ]
    assert found == sorted(found)
    # By its definition: neither the images that were trained on nor a row with itself.
    x = known.few.flatten(1).double()
    y = torch.cat([known.pool[count:], known.fresh]).flatten(1).double()
    xx, yy, xy = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    for own in (xx, yy):
        own.fill_diagonal_(torch.nan)
    expected = xx.nanmean() + yy.nanmean() - 2 * xy.mean()
    assert looks.kernel_distance(known, known.few, count) == pytest.approx(float(expected))


def lines(steps: list[int], common: bool, **more) -> list[dict[str, str]]:
    """Looks without copies, but for the last where they are common."""
    return [
        {
            "step": str(step),
            "memorized": str(40 if common and step == steps[-1] else 0),
            "samples": "100",
            "held-out error": "1.0" if step == steps[0] else "2.0",
            **{key: str(value) for key, value in more.items()},
        }
        for step in steps
    ]


def test_the_onset_lies_between_two_looks() -> None:
    between = looks.onset(lines([64, 128, 256], common=True))
    assert (between.low, between.mean, between.high) == (7, 7.5, 8)
    late = looks.onset(lines([64, 128], common=False))
    assert (late.low, late.mean, late.high) == (7, 7, np.inf)
    at_once = looks.onset(lines([64], common=True))
    assert (at_once.low, at_once.high) == (-np.inf, 6)


def test_the_least_error_lies_between_two_looks() -> None:
    rows = lines([64, 128, 256, 512], common=False)
    for row, error in zip(rows, ("3", "1.05", "1", "2"), strict=True):
        row["held-out error"] = error
    found = looks.least_error(rows)
    assert (found.low, found.mean, found.high) == (6, 6.5, 7)
    # The last look has the least: it may fall on, and what is near it comes later.
    open_end = looks.least_error(rows[:3])
    assert (open_end.low, open_end.high) == (6, np.inf)
    rows[1]["held-out error"] = "1.2"
    assert looks.least_error(rows).low == 7


def test_the_error_of_a_look_is_of_held_out_images(known) -> None:
    found = looks.held_out_error(known, known.memorizing)
    assert found == looks.held_out_error(known, known.memorizing)  # the same noise at every look
    assert found > looks.held_out_error(known, known.generalizing) > 0


def result(name: str, rows: list[dict[str, str]], **tables) -> SeedResult:
    return SeedResult(SimpleNamespace(name=name), {name: rows, **tables})


def grown(power: float, *, reached: bool = True) -> SeedResult:
    """Onsets that grow as a power of the number of images, within an eighth of an octave."""
    rows = []
    for n in copy_time.SIZES:
        at = 5 + power * np.log2(n)
        common = reached or n < copy_time.SIZES[-1]
        rows += lines([2 ** (at - 1 / 8), 2 ** (at + 1 / 8)], common, images=n)
    for row in rows:
        row["step"] = str(round(float(row["step"]) * 1000))
    return result("copy-time", rows)


def test_the_slope_of_copying_times_and_its_limits() -> None:
    found = copy_time.measure(grown(1.3))[f"{copy_time.COPIES}: {copy_time.SLOPE}"]
    assert float(found.mean) == pytest.approx(1.3, abs=1e-3)
    # Four sizes an octave apart: weights -0.3, -0.1, 0.1 and 0.3, each off by an eighth.
    assert float(found.high - found.mean) == pytest.approx(0.8 / 8, abs=1e-3)
    assert float(found.mean - found.low) == pytest.approx(0.8 / 8, abs=1e-3)
    open_end = copy_time.measure(grown(1.3, reached=False))[
        f"{copy_time.COPIES}: {copy_time.SLOPE}"
    ]
    assert (np.isfinite(open_end.low), open_end.high) == (True, np.inf)
    unknown = ["inconclusive"] * 2  # the least error at the first look: from when on, nobody knows
    verdicts = {
        power: [
            record.verdict
            for record in copy_time.combine(dict.fromkeys(range(3), grown(power)), 0.05).records
        ]
        for power in (0.5, 1.0, 1.2, 1.5)
    }
    assert verdicts == {
        0.5: ["violated", "holds", *unknown],
        1.0: ["holds", "holds", *unknown],
        1.2: ["holds", "inconclusive", *unknown],
        1.5: ["holds", "violated", *unknown],
    }


@pytest.mark.parametrize(
    ("power", "expected"),
    [(0, ["holds", "holds"]), (1, ["holds", "violated"]), (-1, ["violated", "holds"])],
)
def test_the_time_to_the_least_error_can_be_the_same_for_all_numbers(power, expected) -> None:
    rows = []
    for n in copy_time.SIZES:
        at = 15 + power * np.log2(n / 100)
        own = lines([round(2 ** (at + more)) for more in (-1 / 8, 1 / 8, 1)], False, images=n)
        for row, error in zip(own, (2, 1, 1.5), strict=True):
            row["held-out error"] = str(error)
        rows += own
    outcome = copy_time.combine(dict.fromkeys(range(3), result("copy-time", rows)), 0.05)
    assert [record.verdict for record in outcome.records[2:]] == expected


def test_the_laws_put_their_share_below_the_gap_and_the_higher_gap_weighs_the_same(
    tiny_text, tmp_path
) -> None:
    (tmp_path / "tiny.toml").write_text(tiny_text)
    scale = read_scale(tmp_path / "tiny.toml")
    study = trained_study(scale, tmp_path, Settings(device="cpu"))
    trainings = {
        name: study.training(**changes) for name, (_, changes) in gap_law.trainings(study).items()
    }
    assert len(trainings) == 16
    for share in gap_law.SHARES:
        none, redraw, drop, higher = (
            trainings[f"gap-law-{100 * share:.0f}-{kind}"] for kind in gap_law.KINDS
        )
        assert none.gap == ()
        assert (redraw.gap_mode, drop.gap_mode, drop.gap) == ("redraw", "drop", redraw.gap)
        ((low, high),) = redraw.gap
        assert redraw.share()(0, low) == pytest.approx(share, abs=1e-4)
        ((above, end),) = higher.gap
        assert above == pytest.approx(4 * low, rel=1e-2)
        assert higher.share()(above, end) <= redraw.share()(low, high) + 1e-3
        if share == 0.1:
            assert higher.share()(above, end) == pytest.approx(redraw.share()(low, high), abs=1e-3)
        else:
            assert end == np.inf
    other = trained_study(scale, tmp_path, Settings(device="cpu", seed=1))
    assert len(gap_law.trainings(other)) == 8
    ddpm = replace(scale, training={**scale.training, "objective": "ddpm"})
    with pytest.raises(ValueError, match="objective = 'ddpm'; gap-law moves the law of 'edm'"):
        gap_law.trainings(trained_study(ddpm, tmp_path, Settings(device="cpu")))
    vars(study)["zone"] = replace(study.zone, possible=Zone(0.0, 1.0))
    with pytest.raises(ValueError, match=r"runs from 0 to 0\.5, which is no gap"):
        gap_law.trainings(study)
    assert edm_share(*redraw.gap[0]) != pytest.approx(redraw.share()(*redraw.gap[0]))


def delayed(few: float, many: float, higher: float) -> SeedResult:
    """Delays in octaves, by the gap at 10% and 70% below, and by the one two octaves higher."""
    octaves = {
        (0.1, "none"): 0, (0.1, "redraw"): few, (0.1, "drop"): few, (0.1, "higher"): higher,
        (0.7, "none"): 0, (0.7, "redraw"): many, (0.7, "drop"): many, (0.7, "higher"): 0,
    }  # fmt: skip
    rows = []
    for (share, kind), more in octaves.items():
        steps = [round(2 ** (10 + more)), round(2 ** (10.5 + more))]
        rows += lines(steps, common=True, below=share, gap=kind)
    return result("gap-law", rows)


def test_delays_are_compared_by_their_limits() -> None:
    found = gap_law.measure(delayed(3, 0.5, 0.5))
    delay = found["octaves of delay, 10% below, redraw"]
    assert float(delay.mean) == pytest.approx(3, abs=1e-2)
    assert float(delay.high - delay.mean) == pytest.approx(0.5, abs=1e-2)
    outcome = gap_law.combine(dict.fromkeys(range(3), delayed(3, 0.5, 0.5)), 0.05)
    assert [record.verdict for record in outcome.records] == ["holds", "holds", "holds"]
    outcome = gap_law.combine(dict.fromkeys(range(3), delayed(0, 3, 0.5)), 0.05)
    assert [record.verdict for record in outcome.records] == ["violated"] * 3
    # Within an octave of each other the limits of four looks leave it open which is longer.
    outcome = gap_law.combine(dict.fromkeys(range(3), delayed(1, 1, 0)), 0.05)
    assert [record.verdict for record in outcome.records] == ["inconclusive"] * 3


def test_a_law_under_which_nothing_is_copied_gives_no_verdict() -> None:
    rows = [row for row in delayed(3, 0, 0).rows if row["below"] == "0.1"]
    rows += lines([64, 128], common=False, below=0.7, gap="none")
    outcome = gap_law.combine({seed: result("gap-law", rows) for seed in range(3)}, 0.05)
    assert [record.verdict for record in outcome.records] == [
        "inconclusive",
        "inconclusive",
        "holds",
    ]


def test_the_rule_leaves_out_the_lowered_zone_in_the_levels_of_each_law(
    tiny_text, tmp_path
) -> None:
    (tmp_path / "tiny.toml").write_text(tiny_text)
    scale = read_scale(tmp_path / "tiny.toml")
    study = trained_study(scale, tmp_path, Settings(device="cpu"))
    low, high = study.zone.possible.start / 2, study.zone.possible.end / 2
    found = {
        name: study.training(**changes) for name, (_, changes) in gap_rule.trainings(study).items()
    }
    (sigmas,), (timesteps,) = (found[f"gap-rule-{law}-gap"].gap for law in ("edm", "ddpm"))
    assert sigmas == pytest.approx((low, high), rel=1e-2)
    table = ddpm_sigmas()
    left_out = table[int(timesteps[0]) : int(timesteps[1])]
    assert sigmas[0] <= left_out[0] < left_out[-1] < sigmas[1]
    assert table[int(timesteps[0]) - 1] < sigmas[0]
    assert table[int(timesteps[1])] >= sigmas[1]
    assert found["gap-rule-ddpm-once"].once_noised == sigmas[1]
    assert found["gap-rule-ddpm-dummy"].dummy
    assert {one.objective for one in found.values()} == {"edm", "ddpm"}
    other = trained_study(scale, tmp_path, Settings(device="cpu", seed=1))
    assert len(gap_rule.trainings(other)) == 4  # the controls are of the first seed


def ruled(delay: dict[str, float], copies: int, worse: float) -> SeedResult:
    """Gaps that take so many octaves more, two of which are a whole training without copies."""
    rows = []
    for law, more in delay.items():
        for kind, octaves in (("none", 0.0), ("gap", more)):
            steps = [round(2 ** (9 + octaves)), round(2 ** (9.5 + octaves))]
            own = lines(steps, octaves < 2, law=law, training=kind)
            for row in own:
                row["kernel distance"] = str(1.0 + worse * (kind == "gap"))
            if law == "ddpm" and kind == "gap":
                own[-1]["memorized"] = str(copies)
            rows += own
    return result("gap-rule", rows)


@pytest.mark.parametrize(
    ("delay", "copies", "worse", "expected"),
    [
        ({"edm": 1.2, "ddpm": 2}, 0, -0.1, ["holds"] * 5),
        (
            {"edm": 0, "ddpm": 0},
            100,
            0.1,
            ["violated", "violated", "inconclusive", "violated", "violated"],
        ),
        ({"edm": 0.9}, 50, 0, ["inconclusive"] * 4 + ["holds"]),
    ],
)
def test_the_rule_is_judged_by_copies_delay_and_distance(delay, copies, worse, expected) -> None:
    found = {seed: ruled(delay, copies, worse) for seed in range(3)}
    assert [record.verdict for record in gap_rule.combine(found, 0.05).records] == expected


@pytest.mark.parametrize("module", [copy_time, gap_law, gap_rule])
def test_what_a_seed_found_is_a_table_that_is_read_again_and_a_figure(
    tiny_text, tmp_path, monkeypatch, module
) -> None:
    if module is copy_time:
        monkeypatch.setattr(copy_time, "SIZES", (5, 10, 20))
    (tmp_path / "tiny.toml").write_text(tiny_text)
    study = trained_study(read_scale(tmp_path / "tiny.toml"), tmp_path, Settings(device="cpu"))
    # Copies are common after 4 steps without a gap, and after 8 with one.
    took = {}

    def look(study, name, count, changes, *, first, each):
        took[name] = 8 if changes.get("gap") else 4
        return [Look(took[name] // 2, 8, 100, 1.0, 0.5), Look(took[name], 25, 100, 0.9, 0.7)]

    for place in (looks, copy_time):
        monkeypatch.setattr(place, "look_until", look)
    outcome = module.run(study, 0.05)
    assert len(outcome.rows) == 2 * len(took) == 2 * len(module.trainings(study))
    outcome.draw(Figure())
    table = [
        {name: str(value) for name, value in zip(outcome.header, row, strict=True)}
        for row in outcome.rows
    ]
    if module is gap_rule:
        low, high = study.zone.possible.start / 2, study.zone.possible.end / 2
        gaps = {(row["law"], row["training"]): (row["from"], row["to"]) for row in table}
        assert tuple(map(float, gaps["edm", "gap"])) == pytest.approx((low, high), rel=1e-2)
        assert gaps["edm", "none"] == ("0.0", "0.0")
    one = result(outcome.name, table)
    found = gap_rule.measure(one, 0.05) if module is gap_rule else module.measure(one)
    delays = [float(each.mean) for name, each in found.items() if "octaves of delay" in name]
    assert set(delays) <= {0.0, 1.0}
    assert len(delays) == {copy_time: 0, gap_law: 12, gap_rule: 4}[module]
    if module is gap_rule:  # the last look of few copies is the first: 8 of 100
        assert float(found[f"ddpm: {gap_rule.DISTANCE}"].mean) == 0
        assert float(found[f"ddpm: {gap_rule.SHARE}"].mean) == 0.25


@pytest.fixture
def known(tiny_text, tmp_path):
    (tmp_path / "tiny.toml").write_text(tiny_text)
    settings = Settings(device="cpu", samples=2000)
    study = trained_study(read_scale(tmp_path / "tiny.toml"), tmp_path, settings)
    rows = study.pool.flatten(1)
    vars(study)["memorizing"] = EmpiricalDenoiser(study.few, "cpu")
    vars(study)["generalizing"] = GaussianDenoiser(rows.mean(0), rows.T.cov())
    return study


def test_supervised_states_are_those_in_shells_and_errors_are_from_the_optimum(known) -> None:
    outcome = supervision.run(known, 1e-3)
    rows = {(row[0], row[1]): row for row in outcome.rows}
    sigmas = known.sigmas.tolist()
    # The optimum itself is at no distance from it.
    own = np.array([rows["memorizing", sigma][7:11:3] for sigma in sigmas])
    assert (own[np.isfinite(own)] == 0).all()
    states, outputs = record_trajectories(known, known.generalizing)
    k = 11
    inside = in_shell(known, states[k], sigmas[k])
    squared = (outputs[k] - known.optimum(states[k], sigmas[k])).flatten(1).double()
    errors = squared.square().sum(1).numpy()
    row = rows["generalizing", sigmas[k]]
    assert 0 < row[2] == inside.sum() < row[3] == 24
    assert row[7] == pytest.approx(errors[inside].mean())
    assert row[10] == pytest.approx(errors[~inside].mean())
    # Held-out images at this noise lie in a shell as often as the curve says.
    at = np.abs(np.log(known.curves.sigmas / sigmas[k])).argmin()
    assert abs(row[4] - known.curves.coverage.mean[at]) < 0.15
    # Seven intervals of each of 18 levels share the error rate.
    expected = proportion(round(2000 * row[4]), 2000, 1e-3 / (7 * 18))
    assert row[5:7] == pytest.approx((float(expected.low), float(expected.high)))


def followed(beyond: float, away: float, octaves: float) -> SeedResult:
    """Three steps: low, an octave below 10% coverage, and high noise."""
    rows = []
    for name, shares in (("memorizing", (0, beyond, 1)), ("generalizing", (0, away, 1))):
        for sigma, share, covered in zip((0.05, 0.2, 3), shares, (0, 0, 1), strict=True):
            more = 2.0**octaves
            values = (name, sigma, round(1000 * share), 1000, *[covered] * 3)
            values += (1, 0.99, 1.01, more, 0.99 * more, 1.01 * more)
            rows.append(dict(zip(supervision.HEADER, map(str, values), strict=True)))
    places = [{"place": "coverage 10%", "sigma": "0.4"}, {"place": "certain zone", "sigma": "0.8"}]
    return result("supervision", rows, **{"supervision-places": places})


@pytest.mark.parametrize(
    ("values", "verdicts"),
    [
        ((0.8, 0.05, 3), ["holds", "holds", "holds"]),
        ((0.2, 0.5, 0.5), ["violated", "violated", "violated"]),
        ((0.5, 0.2, 1), ["inconclusive"] * 3),
    ],
)
def test_what_is_claimed_of_supervision_can_hold_and_fail(values, verdicts) -> None:
    outcome = supervision.combine({seed: followed(*values) for seed in range(3)}, 0.05)
    assert [record.verdict for record in outcome.records] == verdicts
    assert sum(record.alpha for record in outcome.records) == pytest.approx(0.05)
