"""``report.html``: complete, self-contained, and readable without colour."""

import csv
import re
import warnings
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from wildmiddle.checks import report
from wildmiddle.checks.records import Record
from wildmiddle.checks.report import drawing
from wildmiddle.checks.report.figures import (
    certified_levels,
    regime_chart,
    sensitivity_decay,
    weight_and_coverage,
    weight_between_bounds,
    weight_thresholds,
    zone_by_size,
)
from wildmiddle.checks.report.formatting import (
    answer_sentence,
    format_number,
    format_slack,
    format_truth,
    regime_cells,
    size_cells,
    verdict_sentence,
    zone_cells,
)
from wildmiddle.checks.report.page import mathml
from wildmiddle.checks.verify import Result
from wildmiddle.theory.claims import CLAIMS

Make = Callable[..., Record]


class Page(HTMLParser):
    """Elements with their attributes, and the text outside of style and title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] not in ("style", "title", "script"):
            self.text += data


def test_page_needs_no_network_and_runs_one_script_alone(page: str, folder: Path) -> None:
    elements = Page(page).elements
    assert not {"link", "iframe", "object"} & {tag for tag, _ in elements}
    for tag, attributes in elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        target = attributes.get("href") or "#"
        assert target.startswith("#") or (folder / target).is_file(), (tag, attributes)
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    sources = [attributes["src"] or "" for _, attributes in elements if "src" in attributes]
    assert len(sources) == 9
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src"
    assert f"{policy} 'sha256-{digest}'\"" in page
    assert "@import" not in page
    assert "url(" not in page


def test_page_has_no_identifier_twice_and_every_reference_leads_somewhere(page: str) -> None:
    elements = Page(page).elements
    known = Counter(attributes["id"] for _, attributes in elements if "id" in attributes)
    assert [name for name, count in known.items() if count > 1] == []
    targets = [attributes.get("href") or "" for _, attributes in elements]
    references = {target[1:] for target in targets if target.startswith("#")}
    assert references <= set(known)
    assert len(references) == 8


def test_page_shows_the_zone_first_and_then_every_claim_and_comparison(
    result: Result, page: str
) -> None:
    text = Page(page).text
    positions = [text.index(claim.title) for claim in result.claims]
    assert positions == sorted(positions)
    order = [answer_sentence(result), verdict_sentence(result), "the paper’s Figure 3"]
    places = [text.index(each) for each in (*order, "Read off the two curves")]
    assert places == sorted(places)
    assert max(places) < min(positions)
    assert page.count('<table class="records">') == len(result.claims)
    assert text.count("coverage C_sigma") == len(result.records)
    for r in result.records:
        assert format_slack(r)[1] in text
    assert page.count('<div class="statement">') == len(result.claims)


def test_page_says_how_far_an_equality_is_off_and_what_slack_an_inequality_has(
    result: Result, page: str
) -> None:
    (equality,) = [r for r in result.records if r.relation == "=="]
    (inequality,) = [r for r in result.records if r.claim == "4.11"]
    off, slack = (
        format_number(abs(equality.estimate - equality.bound)),
        format_number(inequality.slack),
    )
    assert f"<dt>off by</dt><dd>{off}</dd>" in page
    assert f"<td>off by {off}</td>" in page
    assert f"<dt>slack</dt><dd>{slack}</dd>" in page
    assert f"<td>{slack}</td>" in page
    assert format_number(equality.slack) not in page


def test_page_names_what_is_not_compared_on_one_line(result: Result, page: str) -> None:
    (line,) = [line for line in page.splitlines() if 'class="unchecked"' in line]
    left_out = [claim for claim in CLAIMS if claim not in result.claims]
    assert line.count(",") == len(left_out) - 1
    assert "Eq. 1, " in line
    assert not [claim.title for claim in left_out if claim.title in line]


def test_page_shows_the_sharper_forms_after_the_regimes(result: Result, page: str) -> None:
    section = page.split('<section id="sharper">')[1].split("</section>")[0]
    assert page.index('<section id="claims">') < page.index(section)
    text = Page(section).text.replace("\u00a0", " ")
    for row in result.sharper:
        for word in (row.quantity, format_number(row.ours), format_truth(row), row.gain):
            assert word in text, row
        assert row.paper is None or format_number(row.paper) in text
    assert section.count('<th role="rowheader"') == len(result.sharper)
    assert '<figure id="figure-weight-bounds">' in section


def table_rows(section: str) -> list[list[str]]:
    """The cells of each row, as words."""
    rows = re.findall('<tr role="row">(.*?)</tr>', section, re.DOTALL)
    return [[re.sub("<.*?>", "", cell) for cell in re.split("</t[hd]>", row)[:-1]] for row in rows]


def test_page_shows_the_predicted_zone_in_chart_and_table(result: Result, page: str) -> None:
    section = page.split('<section id="regimes">')[1].split("</section>")[0]
    rows = table_rows(section)
    for name, zone in result.study.zone.parts.items():
        assert [f"predicted, {name}", *zone_cells(zone)] in rows
    assert "predicted" in words_in(picture(page, "regimes"))
    shown = words_in(picture(page, "zone-by-size"))
    assert "zone ends at the latest" in shown
    assert "collapse scale" in shown
    by_copying = result.study.danger_by_copying
    assert [by_copying.name, *regime_cells(by_copying)] in rows
    for cells in size_cells(result):
        assert list(cells) in rows


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves all figures but one out: they are slow and do not matter to the words."""
    monkeypatch.setattr(
        "wildmiddle.checks.report.page.figures", lambda result: {"regimes": regime_chart(result)}
    )


@pytest.mark.usefixtures("no_figures")
def test_page_says_each_verdict_in_words_and_by_a_shape(result: Result, record: Make) -> None:
    bad = record("4.2.1", low=0.6, high=0.7, estimate=0.65)
    coarse = record("4.8", low=0.3, high=0.6)
    page = report.to_html(
        replace(
            result,
            records=(
                bad,
                coarse,
                record("4.11"),
            ),
        )
    )
    claims = page[page.index('<table class="claims"') : page.index('<section id="sharper"')]
    shapes = set()
    for verdict in ("violated", "inconclusive", "holds"):
        marks = claims.split(f'<span class="verdict {verdict}">')[1:]
        assert len(marks) == 2, verdict  # the claim's and its comparison's
        shape, word = marks[0].split("</span>")[0].split("</svg>")
        assert word == verdict
        shapes.add(shape)
    assert len(shapes) == 3


@pytest.mark.usefixtures("no_figures")
def test_page_shows_hostile_words_as_words(result: Result, record: Make) -> None:
    hostile = "<script>alert('&amp;')</script>"
    odd = record("4.8", instance=hostile, parameters={hostile: hostile})
    claims = tuple(claim for claim in result.claims if claim.id == odd.claim)
    data = replace(result.data, name=hostile)
    named = replace(result, records=(odd,), claims=claims, data=data)
    parsed = Page(report.to_html(named))
    assert [tag for tag, _ in parsed.elements].count("script") == 1  # the page's own
    assert parsed.text.count(hostile) >= 4


@pytest.mark.usefixtures("no_figures")
def test_page_says_when_the_danger_zone_is_empty(result: Result, page: str) -> None:
    at = replace(result.study.settings, weight_high=0.99, coverage_high=0.999)
    study = replace(result.study, settings=at)
    vars(study)["curves"] = result.study.curves
    empty = replace(result, study=study)
    assert next(regime for regime in study.regimes if regime.name == "danger").empty
    said = "On these data the danger zone is empty"
    told = report.to_html(empty)
    assert said in told
    assert said not in page
    assert "The danger zone is empty" in told
    assert "empty" in words_in(picture(told, "regimes"))
    assert "the danger zone is empty" in weight_and_coverage(empty).caption


def test_error_rate_adds_up_to_no_more_than_the_total(page: str) -> None:
    text = " ".join(Page(page).text.split())
    assert "3e-07 of 1e-06" in text


def test_every_statement_of_the_paper_becomes_mathml() -> None:
    for claim in CLAIMS:
        parts = ElementTree.fromstring(f"<p>{mathml(claim.statement)}</p>")
        assert len(parts) == claim.statement.count(r"\quad") + 1, claim.id
        for part in parts:
            assert part[0].tag.endswith("}math"), claim.id
            words = "".join(part.itertext())
            assert words.strip(), claim.id
            assert "\\" not in words, (claim.id, words)


# Figures


NAMES = (
    "regimes",
    "weight-bounds",
    "curves",
    "coverage",
    "self",
    "thresholds",
    "large-noise",
    "sensitivity",
)
SVG = "{http://www.w3.org/2000/svg}"


def image(page: str, name: str) -> dict[str, str | None]:
    """The attributes of the one image in a figure."""
    figure = page.split(f'<figure id="figure-{name}">')[1].split("</figure>")[0]
    (attributes,) = (attributes for tag, attributes in Page(figure).elements if tag == "img")
    return attributes


def picture(page: str, name: str) -> ElementTree.Element:
    """A figure's drawing."""
    return ElementTree.fromstring(b64decode((image(page, name)["src"] or "").split(",")[1]))


def words_in(svg: ElementTree.Element) -> set[str | None]:
    return {text.text for text in svg.iter(f"{SVG}text")}


def styles(svg: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Every property of every style attribute, with its value."""
    for element in svg.iter():
        for each in element.attrib.get("style", "").split(";"):
            if ":" in each:
                name, _, value = each.partition(":")
                yield name.strip(), value.strip()


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("regimes", {"small", "large", "0.01", "10", "15", "800"}),
        ("curves", {"probability", "0.2", "1.0", "0.01", "15"}),
        ("coverage", {"coverage", "0.2", "1.0", "0.001", "10⁻⁶"}),
        ("self", {"mean posterior weight", "0.2", "1.0", "0.01"}),
        ("weight-bounds", {"posterior weight W", "σ₋", "σ₊", "0.2", "1.0", "0.01"}),
        ("thresholds", {"σ₋", "σ₊", "0.2", "1.0", "0.01"}),
        ("large-noise", {"slope −2", "10", "10⁵"}),
        ("sensitivity", {"1", "4", "0.1", "0.01"}),
    ],
)
def test_figures_label_their_axes_by_numbers_as_they_are(
    page: str, name: str, labels: set[str]
) -> None:
    words = words_in(picture(page, name))
    assert labels <= words
    assert len(words) >= 9  # numbers on both axes


def test_figure_of_large_noise_counts_in_powers_of_ten(page: str) -> None:
    words = words_in(picture(page, "large-noise"))
    assert len([word for word in words if (word or "").startswith("10⁻")]) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_figures_have_one_style_and_one_palette(page: str, name: str) -> None:
    svg = picture(page, name)
    palette = {*drawing.CYCLE, drawing.INK, drawing.MUTED, drawing.GRID}
    found = {value for key, value in styles(svg) if key in ("fill", "stroke")} - {"none"}
    assert {colour for colour in found if colour.startswith("#")} <= palette
    assert len(found & set(drawing.CYCLE)) >= 1
    assert float(svg.attrib["viewBox"].split()[2]) == pytest.approx(72 * drawing.WIDTH)
    # On a phone the page shows the figure 38rem wide: no text falls far below 9 pixels.
    assert "min-width: 38rem" in page
    sizes = [
        float(value.split("px")[0])
        for key, value in styles(svg)
        if key.startswith("font") and "px" in value
    ]
    assert len(sizes) >= 9
    assert min(sizes) * 38 * 16 / (72 * drawing.WIDTH) > 8.6


@pytest.mark.parametrize("name", NAMES)
def test_figures_load_nothing_and_say_nothing_of_their_making(page: str, name: str) -> None:
    svg = picture(page, name)
    tags = {element.tag.rpartition("}")[2] for element in svg.iter()}
    assert not tags & {"metadata", "script", "image", "foreignObject", "a"}
    ids = Counter(element.attrib["id"] for element in svg.iter() if "id" in element.attrib)
    assert set(ids.values()) == {1}
    text = ElementTree.tostring(svg, encoding="unicode")
    references = [v for e in svg.iter() for k, v in e.attrib.items() if k.endswith("href")]
    references += [part.split(")")[0] for part in text.split("url(")[1:]]
    assert references
    assert all(reference[0] == "#" and reference[1:] in ids for reference in references)


def test_figures_are_named_and_described(page: str) -> None:
    for name in NAMES:
        alt = image(page, name)["alt"] or ""
        title = alt.removesuffix("; described below")
        assert title != alt
        assert f"<h3>{title}</h3>" in page


def test_figures_are_the_same_bytes_each_time(result: Result, page: str) -> None:
    svg = weight_and_coverage(result).picture.svg
    assert image(page, "curves")["src"] == (
        "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
    )


def test_figures_are_files_with_their_numbers(result: Result, page: str, folder: Path) -> None:
    for name in (*NAMES, "zone-by-size"):
        files = [folder / f"report-{name}.{kind}" for kind in ("svg", "png", "csv")]
        assert all(f'href="{path.name}"' in page for path in files)
        svg = b64decode((image(page, name)["src"] or "").split(",")[1])
        assert files[0].read_bytes().strip() == svg.strip()
        with Image.open(files[1]) as drawn:
            assert drawn.size[0] == int(144 * drawing.WIDTH)
    with (folder / "report-curves.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves = result.study.curves
    for series, known in (("posterior weight", curves.max_weight), ("coverage", curves.coverage)):
        own = [row for row in rows if row["series"] == series]
        for name, values in (
            ("sigma", curves.sigmas),
            ("value", known.mean),
            ("low", known.low),
            ("high", known.high),
        ):
            assert [float(row[name]) for row in own] == values.tolist()


def test_sensitivity_of_flat_and_of_colour_images(result: Result) -> None:
    rng = np.random.default_rng(5)
    for shape, distance in (((48,), 24), ((4, 4, 3), 2)):
        images = rng.uniform(-1, 1, (9, *shape))
        study = replace(result.study, images=images, held_out=images)
        assert str(distance) in words_in(
            ElementTree.fromstring(sensitivity_decay(study).picture.svg)
        )


def test_figures_of_theorem_4_2_say_that_it_takes_each_image_once(
    result: Result, page: str
) -> None:
    assert "each once" not in page
    train = result.study.train.copy()
    train[8] = train[7] = train[3]
    for images, prior in ((train, True), (np.repeat(result.study.train[:30], 2, axis=0), False)):
        study = replace(result.study, images=images)
        for figure in (weight_thresholds, weight_between_bounds):
            drawn = figure(replace(result, study=study))
            assert ("the distinct images, each once" in drawn.caption) == prior
            assert {"σ₋", "σ₊"} <= set(words_in(ElementTree.fromstring(drawn.picture.svg)))


def test_a_weight_that_is_always_high_ends_no_zone_and_draws_no_warning(result: Result) -> None:
    train = np.concatenate([np.repeat(result.study.train[:1], 500, axis=0), result.study.train])
    study = replace(result.study, images=train)
    heavy = replace(result, study=study)
    assert study.zone.possible.end == np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (regime_chart, weight_and_coverage, zone_by_size):
            figure(heavy)


def test_certified_levels_of_theorem_4_2_are_of_distinct_images(result: Result) -> None:
    train = result.study.train.copy()
    train[8] = train[7] = train[3]
    below, above = certified_levels(replace(result.study, images=train))
    assert (len(below), len(above)) == (58, 58)
    assert (below > 0).all()
    assert below.max() < above.min()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.002, "0.002"), (5, "5"), (5000, "5000"), (10_000, "10⁴"), (2e5, "2·10⁵"), (5e-7, "5·10⁻⁷")],
)
def test_numbers_on_a_log_axis_are_what_they_say(value, text) -> None:
    assert drawing.format_power(value) == text
