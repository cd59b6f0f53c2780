"""Names of files, data and classes are shown as they are, and nothing of them runs."""

import json
import re
import shutil
import subprocess
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="needs the extra verify")
pytest.importorskip("matplotlib", reason="needs the extra verify")

from wildmiddle.checks import report
from wildmiddle.checks.experiments.page import to_html, write_with_page
from wildmiddle.checks.experiments.results import ExperimentResult, Run
from wildmiddle.checks.layout import MARKDOWN, code_span, escape_markdown
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.verify import Result

HOSTILE = (
    "x\"'><script>document.title='run'</script>"
    "<img src=x onerror=document.title='run'></title></style>--><svg onload=document.title='run'>"
    "{{ 7*7 }}`|&lt;"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Markup(HTMLParser):
    """Tags and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data) -> None:
        self.text += data


@pytest.fixture
def verified(result: Result, monkeypatch) -> Result:
    """A run on data with hostile names, without the figures, which hold no names."""
    monkeypatch.setattr("wildmiddle.checks.report.page.figures", lambda _: {})
    records = tuple(
        replace(r, instance=HOSTILE, method=HOSTILE, parameters={HOSTILE: HOSTILE})
        for r in result.records
    )
    data = replace(result.data, name=HOSTILE, classes=(HOSTILE,), sha256=HOSTILE)
    return replace(result, data=data, records=records, versions={HOSTILE: HOSTILE})


@pytest.fixture
def experiments(record, tmp_path: Path) -> str:
    """The page of an experiment whose data, values and files have hostile names."""
    run = Run(
        scale=HOSTILE,
        data=HOSTILE,
        train_size=4,
        test_size=2,
        image_shape=(8, 8),
        value_range=(-1.0, 1.0),
        centred=False,
        sha256=HOSTILE,
        memorizing=2,
        generalizing=4,
        settings=asdict(Settings(device="cpu")),
        versions={HOSTILE: HOSTILE},
    )
    found = record(instance=HOSTILE, quantity=HOSTILE, parameters={"paper": HOSTILE})
    outcome = ExperimentResult(
        "figure2", HOSTILE, (found,), ("a",), ((1,),), lambda figure: figure.subplots()
    )
    write_with_page(outcome, tmp_path, run)
    path = tmp_path / "figure2.json"
    name = HOSTILE.replace("/", "")
    (tmp_path / name).touch()
    path.write_text(json.dumps({**json.loads(path.read_text()), "tables": [name]}))
    (tmp_path / "figure3.json").write_text(json.dumps({HOSTILE: [], "records": HOSTILE}))
    return to_html(tmp_path)


@pytest.fixture
def pages(verified: Result, experiments: str) -> dict[str, str]:
    return {"verify": report.to_html(verified), "reproduce": experiments}


def test_hostile_names_are_text_in_every_page(pages) -> None:
    for html in pages.values():
        page = Markup(html)
        assert HOSTILE in page.text
        assert page.tags.count("script") == 1  # the page's own
        assert not {"iframe", "object", "embed", "link", "form", "base"} & set(page.tags)
        assert not [name for name in page.attributes if name.startswith("on")]
        assert "src=x" not in html.replace("&lt;img src=x", "")
        assert "49" not in re.findall(r"x&#34;.{0,400}", html)[0]


def test_a_browser_runs_nothing_of_them(pages, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("needs a browser")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000"]
    control = "<title>a</title><img src=x onerror=document.title='run'>"
    titles = {}
    for name, html in (pages | {"control": control}).items():
        path = tmp_path / f"{name}.html"
        path.write_text(html, encoding="utf-8")
        done = subprocess.run(
            [*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
        )
        (titles[name],) = re.findall(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[:1]
    assert titles.pop("control") == "run"
    assert "run" not in titles.values()
    assert all("wildmiddle" in title or "experiments" in title for title in titles.values())


def test_hostile_names_are_text_in_markdown(verified: Result) -> None:
    text = report.to_text(verified, MARKDOWN)
    (command,) = [line for line in text.splitlines() if line.startswith("Command: ")]
    assert command.startswith("Command: `` wildmiddle verify ")
    assert command.endswith(" ``")
    assert "``" not in command[11:-2]
    outside = text.replace(command, "")
    assert "<script" not in outside
    assert "<img" not in outside
    assert escape_markdown("a<b>|`c`\n# d") == r"a&lt;b&gt;\|\`c\` # d"
    assert escape_markdown("digits_2, cat + dog") == "digits_2, cat + dog"
    assert code_span("a `` b") == "``` a `` b ```"
    assert code_span("wildmiddle verify") == "`wildmiddle verify`"
