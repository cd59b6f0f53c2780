"""One folder for all commands: its index, two reports side by side, and its pages in a browser."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="needs the extra verify")
pytest.importorskip("matplotlib", reason="needs the extra verify")

from wildmiddle.checks import report
from wildmiddle.checks.cli import main
from wildmiddle.checks.experiments.page import write_with_page
from wildmiddle.checks.experiments.results import ExperimentResult, Run
from wildmiddle.checks.output import AUDIT, VERIFY, ZONE
from wildmiddle.checks.records import Record
from wildmiddle.checks.report.comparison import compare, read_report
from wildmiddle.checks.verify import Result

SEED = 20261130
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PAGES = ("report", "zone", "audit", "experiments", "comparison")
RUN = Run(
    scale="laptop",
    data="points",
    train_size=4,
    test_size=2,
    image_shape=(8, 8),
    value_range=(-1.0, 1.0),
    centred=False,
    sha256="sha256:0",
    memorizing=2,
    generalizing=4,
    settings={"alpha": 0.001, "seed": 0},
    versions={"python": "3.11"},
)


@pytest.fixture(scope="module")
def other(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the same data with another seed, whose first estimate lies elsewhere."""
    first, *rest = result.records
    moved = replace(first, low=0.8, high=0.9, estimate=0.85)
    study = replace(result.study, settings=replace(result.study.settings, seed=8))
    vars(study)["curves"] = result.study.curves
    at = tmp_path_factory.mktemp("other") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wildmiddle.checks.report.files.figures", lambda _: {})
        report.write(replace(result, records=(moved, *rest), study=study), at)
    return at


@pytest.fixture(scope="module")
def site(folder: Path, other: Path, record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which every command has written, with a file of somebody else's."""
    root = tmp_path_factory.mktemp("site")
    at = root / "all"
    shutil.copytree(folder, at)
    (at / "notes.txt").write_text("mine")
    points = np.random.default_rng(SEED).uniform(-1, 1, (60, 8, 8))
    for name, part in {"train": points[:40], "test": points[40:], "made": points[30:50]}.items():
        np.save(root / f"{name}.npy", part)
    output = ["--output", str(at), "--device", "cpu"]
    train, test, made = (str(root / f"{name}.npy") for name in ("train", "test", "made"))
    assert main(["zone", "--data", train, *output]) == 0
    assert main(["audit", made, "--train", train, "--test", test, *output]) == 0
    found = record("figure2", instance="all", quantity="rate")
    rows = ((1.0, 2.0),)
    outcome = ExperimentResult(
        "figure2", "it peaks.", (found, found), ("sigma", "rate"), rows, lambda f: f.subplots()
    )
    write_with_page(outcome, at, RUN)
    assert main(["report", "compare", str(folder), str(other), "-o", str(at)]) == 0
    return at


def test_every_command_leaves_the_files_of_the_others(site: Path) -> None:
    names = {path.name for path in site.iterdir()}
    model = {"samples.npy", "samples-features.csv", "exchanges.csv", "levels.csv"}
    expected = {*VERIFY.files, *ZONE.files, *AUDIT.files} - model - {"levels.svg", "levels.png"}
    assert expected <= names
    assert {f"{page}.html" for page in (*PAGES, "index")} <= names
    assert (site / "notes.txt").read_text() == "mine"


def test_the_index_leads_to_every_page_and_says_what_was_found(site: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]+)"', page)
    assert sorted(links) == sorted(f"{name}.html" for name in PAGES)
    words = re.sub("<.*?>", " ", page.split("<main>")[1]).replace("\u00a0", " ")
    zone = json.loads((site / "zone.json").read_text())["zone"]["possible"]
    assert f"possible σ {zone['start']:.4g} to {zone['end']:.4g}" in words
    assert "train.npy: 40 images, each held out once" in words
    assert "50.0% [27.2, 72.8] of 20 samples are copies" in words
    assert "3 of 3 claims hold" in words
    assert "figure2: 2 of 2 comparisons hold" in words
    assert "another verdict or disjoint intervals: 1." in words


def test_a_damaged_file_is_named_in_the_index_and_the_rest_is_shown(
    site: Path, tmp_path: Path, record
) -> None:
    shutil.copytree(site, tmp_path / "all")
    (tmp_path / "all" / "audit.json").write_text('{"schema": "wildmiddle-audit/1"}')
    outcome = ExperimentResult("figure2", "", (), ("a",), ((1,),), lambda f: f.subplots())
    write_with_page(outcome, tmp_path / "all", RUN)
    page = (tmp_path / "all" / "index.html").read_text(encoding="utf-8")
    assert "What audit found cannot be shown" in page
    assert 'href="zone.html"' in page
    assert "0 of 0 comparisons hold" in page  # of figure2 as it is written now


def test_what_differs_between_two_reports_is_found_and_nothing_else(
    folder: Path, other: Path, result: Result, capsys
) -> None:
    found = compare(read_report(folder), read_report(other / "report.json"))
    assert [each["name"] for each in found["told"]] == ["settings seed"]
    assert (found["told"][0]["a"], found["told"][0]["b"]) == (7, 8)
    assert all(each["overlap"] for each in found["regimes"])
    (differing,) = found["records"]
    first = result.records[0]
    assert (differing["claim"], differing["quantity"]) == (first.claim, first.quantity)
    assert not differing["overlap"]
    assert (differing["a"]["low"], differing["b"]["low"]) == (first.low, 0.8)
    assert main(["report", "compare", str(folder), str(other)]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^settings seed +7 +8$", told, re.MULTILINE)
    assert re.search(r"0\.85 \[0\.8, 0\.9\], violated +disjoint$", told, re.MULTILINE)
    assert "at most 1e-06 + 1e-06" in told
    assert main(["report", "compare", str(folder), str(folder), "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert same["told"] == same["records"] == []
    assert same["alone"] == {"a": 0, "b": 0}


def test_intervals_overlap_up_to_rounding_and_unknown_ends_reach_everywhere(
    with_records: Callable[..., Result], record: Callable[..., Record]
) -> None:
    exact = {"claim": "4.8", "bound": 0.9, "n": 0, "alpha": 0.0, "rounding": 1e-9}
    values = {
        "same": (0.5, 0.5 + 1.5e-9),
        "computed": (0.5, 0.5 + 3e-9),
    }
    reports = [
        report.to_json(
            with_records(
                *(
                    record(instance=name, estimate=v[k], low=v[k], high=v[k], **exact)
                    for name, v in values.items()
                ),
                *([record("4.8", instance="of A alone")] if k == 0 else []),
            )
        )
        | {"path": str(k)}
        for k in (0, 1)
    ]
    end = reports[0]["regimes"]["intervals"][0]["end"]
    end["low"] = end["high"] = None
    reports[1]["regimes"]["intervals"][0]["end"] |= {"sigma": 99.0, "low": 98.0, "high": 100.0}
    found = compare(*reports)
    assert [each["instance"] for each in found["records"]] == ["computed"]
    assert found["alone"] == {"a": 1, "b": 0}
    assert all(each["overlap"] for each in found["regimes"])
    end |= {"low": 0.1, "high": 0.2}
    assert [e["end"] for e in compare(*reports)["regimes"] if not e["overlap"]] == ["small, end"]
    reports[0]["regimes"]["intervals"][0]["empty"] = True
    small = compare(*reports)["regimes"][:2]
    assert [(e["a"], e["overlap"]) for e in small] == [(None, False)] * 2
    assert all(e["b"] for e in small)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "report.json is not there; give a folder of wildmiddle verify"),
        ("{", "is no report of wildmiddle verify"),
        ("[]", "is no report of wildmiddle verify"),
        ('{"schema": "wildmiddle-zone/1"}', "is of the kind 'wildmiddle-zone/1'"),
        ('{"schema": "wildmiddle-report/2"}', "is damaged (KeyError: 'records')"),
        ({"estimate": [], "verdict": "violated"}, "is damaged (TypeError: "),
    ],
)
def test_what_is_no_report_is_refused_in_a_line(
    folder: Path, tmp_path: Path, capsys, content, said
) -> None:
    if isinstance(content, dict):
        written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        written["records"][0] |= content
        content = json.dumps(written)
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    assert main(["report", "compare", str(folder), str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert said in printed.err


# In a browser

FRAMES = """
<title>waiting</title>
<script>
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument;
    const table = page.querySelector("table.sortable");
    const last = table.tHead.rows[0].cells.length - 1;
    const column = () => [...table.tBodies].flatMap((body) => [...body.rows])
      .filter((row) => row.cells.length > last).map((row) => row.cells[last].textContent.trim());
    const button = table.tHead.rows[0].cells[last].querySelector("button");
    const before = column();
    button.focus();
    const focused = page.activeElement === button;
    button.click();
    const up = column(), first = table.tHead.rows[0].cells[last].ariaSort;
    button.click();
    found[frame.id] = {
      wide: page.documentElement.scrollWidth - page.documentElement.clientWidth,
      focused, before, up, down: column(), first,
      then: table.tHead.rows[0].cells[last].ariaSort,
    };
  }
  document.title = JSON.stringify(found);
});
</script>
"""


@pytest.fixture(scope="module")
def in_browser(site: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    """What a browser finds of each page on a phone and on a screen, and what its console says."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("needs a browser")
    frames = []
    for name in (*PAGES, "index"):
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        printed = text.replace("@media print", "@media all").replace("@media screen", "@media tty")
        printed = printed.replace("<details>", "<details open>")
        for width, shown in ((390, text), (1280, text), (718, printed)):  # 718: A4 less margins
            attributes = f'id="{name} {width}" width="{width}" height="800"'
            frames.append(f'<iframe {attributes} srcdoc="{html.escape(shown)}"></iframe>')
    folder = tmp_path_factory.mktemp("browser")
    (folder / "frames.html").write_text(FRAMES + "\n".join(frames), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000"]
    done = subprocess.run(
        [*command, "--dump-dom", (folder / "frames.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (title,) = re.findall(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[:1]
    return json.loads(html.unescape(title)), done.stderr


def test_no_page_is_cut_on_a_phone_or_on_paper_or_writes_to_the_console(in_browser) -> None:
    found, console = in_browser
    assert len(found) == 3 * (len(PAGES) + 1)
    assert {name: each["wide"] for name, each in found.items() if each["wide"] > 0} == {}
    assert "CONSOLE" not in console


def test_a_table_is_sorted_up_and_down_by_a_button_of_its_header(in_browser) -> None:
    def number(text: str) -> float:
        return float(text.split()[0].replace("−", "-").replace("∞", "inf"))

    for name, each in in_browser[0].items():
        assert each["focused"], name
        assert (each["first"], each["then"]) == ("ascending", "descending"), name
        assert sorted(each["up"]) == sorted(each["down"]) == sorted(each["before"]), name
    zone = in_browser[0]["zone 1280"]
    values = [number(cell) for cell in zone["up"] if cell]
    assert values == sorted(values)
    assert len(set(values)) > 1
    down = [number(cell) for cell in zone["down"] if cell]
    assert down == values[::-1] or down == sorted(values, reverse=True)
