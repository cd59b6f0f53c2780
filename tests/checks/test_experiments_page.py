"""The page of all experiments: what it says of known outcomes, and of damaged files."""

import json
from base64 import b64encode
from dataclasses import asdict, replace
from html.parser import HTMLParser
from math import inf, isnan, nan
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="needs the extra verify")
pytest.importorskip("matplotlib", reason="needs the extra verify")

from wildmiddle.checks.experiments import page as module
from wildmiddle.checks.experiments.page import place, read, title, to_html, write_with_page
from wildmiddle.checks.experiments.results import ExperimentResult, Run, write
from wildmiddle.checks.records import Comparison
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.statistics import from_proportion

RUN = Run(
    scale="laptop",
    data="digits <b>",
    train_size=1400,
    test_size=300,
    image_shape=(1, 8, 8),
    value_range=(-1.0, 1.0),
    centred=False,
    sha256="sha256:0123",
    memorizing=100,
    generalizing=1399,
    settings=asdict(Settings(seed=7, alpha=1e-3, device="cpu")),
    versions={"python": "3.11.7", "torch": "2.13.0"},
)


def record(instance: str, relation, count: int, **more):
    comparison = Comparison(
        claim="x", instance=instance, quantity="copies", relation=relation, bound=0.5, **more
    )
    return from_proportion(comparison, count, 100, alpha=5e-4, seed=7)


def outcome(name: str, *records, **more) -> ExperimentResult:
    def draw(figure) -> None:
        figure.subplots().plot([0, 1])

    return ExperimentResult(
        name, "the middle & <i>only</i> it.", records, ("a",), ((1,),), draw, **more
    )


@pytest.fixture
def folder(tmp_path) -> Path:
    """Table 1 with one verdict of each kind, and Figure 2 without any."""
    kinds = (
        record("no swap", ">=", 97, parameters={"paper": 0.922}),
        record("small <noise>", ">=", 32, parameters={"paper": "about 91%"}),
        record("middle", "<=", 47, parameters={"sigma from": 0.3}),
    )
    table = outcome("table1", *kinds, tables={"thresholds": (("t",), ((0.5,),))})
    folder = tmp_path / "found"
    write(table, folder, RUN)
    write(outcome("figure2"), folder, RUN)
    return folder


class Page(HTMLParser):
    """The text of a page by section, its links and its pictures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: dict[str, list[str]] = {"": []}
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.hidden = False
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.hidden = tag in ("style", "script")
        if tag == "section":
            self.sections[values["id"] or ""] = []
        if tag == "a":
            self.links.append(values["href"] or "")
        if tag == "img":
            self.images.append(values)

    def handle_endtag(self, tag) -> None:
        self.hidden = False

    def handle_data(self, data) -> None:
        if not self.hidden:
            list(self.sections.values())[-1].append(data)

    def text(self, section: str) -> str:
        words = " ".join(self.sections[section]).replace("\u00a0", " ").split()
        return " ".join(words)


def test_known_outcomes_stand_beside_the_paper(folder) -> None:
    page = Page(to_html(folder))
    top = page.text("")
    assert "2 experiments of" in top
    assert "3 comparisons: 1 holds, 1 is violated, 1 is inconclusive" in top
    table = page.text("table1")
    assert "The middle & <i>only</i> it." in table
    assert "1 of 3 comparisons hold, 1 violated, 1 inconclusive" in table
    assert "copies no swap 0.922 ≥ 0.5 0.97 [0.8605, 0.9988] 100 holds" in table
    assert "small <noise> about 91% ≥ 0.5 0.32 [0.173, 0.4973] 100 violated" in table
    assert "middle, sigma from = 0.3 no number ≤ 0.5 0.47 [0.2" in table
    assert "| middle, sigma from = 0.3: copies | <= 0.5 |" in (folder / "table1.md").read_text()
    assert "Verdicts: table1.json" in table
    picture = page.text("figure2")
    assert "no verdict" in picture
    assert "A picture; nothing is compared" in picture
    assert "Claim tested" not in picture
    run = page.text("run")
    for said in (
        "Experiments Figure 2, Table 1 Scale laptop",
        "the memorizing model sees 100 images, the generalizing one 1399",
        "digits <b>: 1400 training and 300 held-out images of shape 1 × 8 × 8",
        "−1 to 1, not centred",
        "sha256:0123",
        "c = 5.0, w = 0.95, copies within = 0.0, delta = 0.05, seed = 7, samples = 20000, "
        "alpha = 0.001, device = cpu, memory = 1GB (alpha is for each experiment)",
        "python 3.11.7, torch 2.13.0",
    ):
        assert said in run, said
    rate = page.text("error-rate")
    assert "Table 1 3 0.0015 0.001" in rate
    assert "Figure 2 0 none spent 0.001" in rate
    assert "Together 3 0.0015 0.001" in rate


def test_the_page_is_whole_and_escapes_what_it_shows(folder) -> None:
    html = to_html(folder)
    page = Page(html)
    assert "<i>only" not in html
    assert "<noise>" not in html
    assert "digits <b>" not in html
    assert not page.tags & {"link", "iframe", "i", "noise"}
    assert html.count("<script>") == 1
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha" in html
    assert "http" not in html.replace("Content-Security-Policy", "").replace("http-equiv", "")
    targets = [link for link in page.links if not link.startswith("#")]
    assert targets == [
        "figure2.svg",
        "figure2.png",
        "figure2.csv",
        "figure2.json",
        "table1.svg",
        "table1.png",
        "table1.csv",
        "table1-thresholds.csv",
        "table1.json",
    ]
    assert all((folder / link).is_file() for link in targets)
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    assert anchors == {"overview", "figure2", "table1", "run", "error-rate"}
    svg = (folder / "table1.svg").read_bytes()
    assert page.images[1]["src"] == "data:image/svg+xml;base64," + b64encode(svg).decode()
    assert page.images[1]["alt"] == (
        "Table\u00a01 as found here; its numbers are in table1.csv, table1-thresholds.csv"
    )
    again = write_with_page(outcome("figure2"), folder, RUN)
    assert again.read_text() == html + "\n" == to_html(folder) + "\n"


def test_separate_runs_add_up_in_the_papers_order(folder, monkeypatch) -> None:
    order = ["figure4", "table1", "figure2", "figure1"]
    monkeypatch.setattr(module, "EXPERIMENTS", dict.fromkeys(order, ""))
    write(
        outcome("figure4", record("gap", ">=", 99)),
        folder,
        replace(RUN, settings={**RUN.settings, "seed": 8}),
    )
    write(outcome("figure1"), folder)
    (folder / "figure99.json").write_text("{}")
    page = Page(to_html(folder))
    assert list(page.sections)[1:-2] == ["overview", "figure1", "figure2", "table1", "figure4"]
    run = page.text("run")
    assert "Experiments Figure 1 Run Not recorded" in run
    assert "Experiments Figure 2, Table 1 Scale" in run
    assert "Experiments Figure 4 Scale" in run
    assert "seed = 8" in run
    assert "Not run into this folder" not in page.text("overview")


def test_names_in_the_papers_order() -> None:
    names = ["figures17-19", "figure10", "figures11-16", "figure3", "table1", "figure2", "figure1"]
    ordered = ["figure1", "figure2", "table1", "figure3", "figure10", "figures11-16"]
    assert sorted(names, key=place) == [*ordered, "figures17-19"]
    assert title("figures11-16") == "Figures\u00a011–16"
    assert title("table1") == "Table\u00a01"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[: len(text) // 2], "JSONDecodeError"),
        (lambda text: "[]", "TypeError"),
        (lambda text: "{}", "KeyError: 'records'"),
        (lambda text: text.replace('">="', '"<b>"'), "relation '<b>'"),
        (lambda text: text.replace('"table1.csv"', '"../x.csv"'), "'../x.csv' is not in"),
        (lambda text: text.replace('"table1.csv"', '"gone.csv"'), "'gone.csv' is not in"),
        (lambda text: text.replace('"estimate": 0.97', '"estimate": null'), "TypeError"),
        (lambda text: text.replace('"settings"', '"others"'), "KeyError"),
        (lambda text: text.replace('"alpha": 0.001', '"beta": 0.001'), "KeyError: 'alpha'"),
        (lambda text: text.replace('"seed": 7,\n   "samples"', '"sead": 7,\n   "samples"'), "sead"),
        (lambda text: text.replace('"memory": 1073741824', '"memory": "1GB"'), "TypeError"),
        (lambda text: text.replace('"weight_low": 0.1', '"weight_low": 0.9'), "ValueError"),
        (lambda text: text.replace("the middle", "\udcff"), "UnicodeDecodeError"),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_shown(folder, change, reason) -> None:
    (folder.parent / "x.csv").touch()
    path = folder / "table1.json"
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text), errors="surrogateescape")
    page = Page(to_html(folder))
    assert "table1" not in page.sections
    assert "A picture" in page.text("figure2")
    overview = page.text("overview")
    assert "Table 1 cannot be shown" in overview
    assert reason in overview
    assert "wildmiddle reproduce table1" in overview
    assert "1 experiment of" in page.text("")


def test_what_is_missing_is_said(folder) -> None:
    (folder / "table1.svg").unlink()
    page = Page(to_html(folder))
    assert len(page.images) == 1
    assert "table1.svg is missing" in page.text("table1")
    assert "Figure 1" in page.text("overview").split("Not run into this folder:")[1]
    empty = folder / "empty"
    empty.mkdir()
    assert "0 experiments of" in Page(to_html(empty)).text("")


def test_numbers_that_are_not_finite_survive_the_file(tmp_path) -> None:
    odd = replace(record("odd", "<=", 3), low=-inf, high=inf, estimate=inf, detectable=nan)
    write(outcome("figure1", odd), tmp_path, RUN)
    text = (tmp_path / "figure1.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    found = read(tmp_path, "figure1")
    assert (found.records[0].low, found.records[0].high) == (-inf, inf)
    assert isnan(found.records[0].detectable)
    assert found.run == RUN
    assert "∞ [−∞, ∞]" in Page(to_html(tmp_path)).text("figure1")


def test_the_name_of_a_file_is_shown_as_it_is(folder) -> None:
    name = '"onload="x<i>.csv'
    (folder / name).touch()
    path = folder / "table1.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "tables": [name]}))
    page = Page(to_html(folder))
    image = page.images[1]
    assert image["alt"] == f"Table\u00a01 as found here; its numbers are in {name}"
    assert set(image) == {"src", "alt"}
    assert "i" not in page.tags


def test_images_keep_their_colours_in_dark_mode_and_curves_do_not(folder) -> None:
    write(outcome("figure10", shows_images=True), folder, RUN)
    html = to_html(folder)
    sections = {name: html.split(f'<section id="{name}">')[1] for name in ("figure10", "figure2")}
    kinds = {name: text.split('<div class="picture')[1][:8] for name, text in sections.items()}
    assert kinds["figure10"].startswith(' images"')
    assert kinds["figure2"].startswith('"')
    dark = html.split("@media screen and (prefers-color-scheme: dark)")[2].split("\n}")[0]
    assert ".picture img { filter: invert(1) hue-rotate(180deg); }" in dark
    assert ".picture.images img { filter: none; background: #fff; }" in dark


def test_the_same_figure_gives_the_same_bytes(folder, tmp_path) -> None:
    write(outcome("figure2"), tmp_path / "again", RUN)
    name = "figure2.svg"
    assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert b"metadata" not in (folder / name).read_bytes()
