"""Matplotlib drawings as inline SVG that take colours, font and dark mode from the page.

A drawing is made with placeholder colours, which become CSS variables of the page. Its identifiers
bear the figure's name, so that many drawings can stand in one page.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Colours that nothing else in a drawing has; a page's style sheet gives the variables.
INK, MUTED, GRID = "#010101", "#010102", "#010103"
WEIGHT, SELF, COVERAGE, DANGER = "#010104", "#010105", "#010106", "#010107"
_CSS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    GRID: "var(--rule)",
    WEIGHT: "var(--weight)",
    SELF: "var(--self)",
    COVERAGE: "var(--coverage)",
    DANGER: "var(--danger)",
}

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 3.2,
    "hatch.linewidth": 0.7,
}

Draw = Callable[[Figure, bool], None]
"""Draws into an empty figure; the flag says whether there is room, as on a desktop."""


@dataclass(frozen=True)
class Key:
    """An entry of a legend, which the page sets itself; ``kind`` names a swatch of the template."""

    label: str
    colour: str
    kind: str

    @property
    def css(self) -> str:
        """The colour in the page's terms."""
        return _CSS[self.colour]


@dataclass(frozen=True)
class Drawing:
    """A figure of the report, drawn once for wide and once for narrow pages."""

    name: str
    title: str
    caption: str
    legend: tuple[Key, ...]
    wide: Markup
    narrow: Markup


def drawing(
    name: str,
    draw: Draw,
    *,
    title: str,
    caption: str,
    legend: tuple[Key, ...] = (),
    wide: tuple[float, float] = (7.6, 3.3),
    narrow: tuple[float, float] = (3.7, 3.1),
) -> Drawing:
    """Draw a figure at both sizes, in inches; the same drawing always gives the same bytes."""
    return Drawing(
        name=name,
        title=title,
        caption=caption,
        legend=legend,
        wide=_inline(f"{name}-wide", title, draw, wide, True),
        narrow=_inline(f"{name}-narrow", title, draw, narrow, False),
    )


def _inline(name: str, title: str, draw: Draw, size: tuple[float, float], roomy: bool) -> Markup:
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with context(["default", _STYLE]), mpl.rc_context({"svg.hashsalt": name}):
        figure = Figure(figsize=size)
        draw(figure, roomy)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]  # an XML declaration has no place inside a page
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    # Matplotlib counts its groups from 1 in every figure.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg.replace("xlink:href", "href"))
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    svg = re.sub(r"<[^>]+>", _rounded, svg)
    for placeholder, css in _CSS.items():
        svg = svg.replace(placeholder, css)
    # No width and no height: the page scales it.
    head = rf'<svg viewBox="\1" role="img" aria-label="{Markup.escape(title)}">'
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', head, svg, count=1)
    return Markup(svg.strip())


def _rounded(tag: re.Match[str]) -> str:
    # A hundredth of a point is finer than any screen; the numbers in a text stay as they are.
    return re.sub(r"\d+\.\d{3,}", lambda value: f"{float(value[0]):.2f}", tag[0])


def panels(
    figure: Figure,
    columns: int = 1,
    rows: int = 1,
    *,
    left: float = 40,
    right: float = 10,
    top: float = 8,
    bottom: float = 34,
    gap: float = 34,
) -> list[Axes]:
    """Axes in a grid with the margins and the gap given in points, row by row.

    Fixed margins keep the figures of a page aligned, at half the time of a layout engine.
    """
    width, height = figure.get_size_inches() * 72
    across = (width - left - right - gap * (columns - 1)) / columns
    up = (height - top - bottom - gap * (rows - 1)) / rows
    return [
        figure.add_axes(
            (
                (left + column * (across + gap)) / width,
                (bottom + (rows - 1 - row) * (up + gap)) / height,
                across / width,
                up / height,
            )
        )
        for row in range(rows)
        for column in range(columns)
    ]


def over_sigma(axes: Axes, low: float, high: float) -> None:
    """Make the horizontal axis the noise level, on a log scale."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xlabel("noise level σ")
    plain_log(axes, "x")


def plain_log(axes: Axes, which: str) -> None:
    """Label a log axis whose limits are known by plain numbers, in the page's font."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    steps = (1.0,) if high / low > 80 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=steps, numticks=9))
    axis.set_minor_locator(LogLocator(subs=(2.0, 5.0), numticks=9))  # eight a decade are slow
    axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    axis.set_minor_formatter(NullFormatter())


def power(value: float) -> str:
    """A number on a log axis in few characters: 0.02, 10, 10⁻⁶."""
    exponent = round(float(np.log10(value)))
    if -3 <= exponent <= 3:
        return f"{value:g}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
