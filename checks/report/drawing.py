"""The one style of all figures: palette, fonts, axes and legend, and how a figure becomes SVG.

The pages embed the SVG as an image on a transparent ground. In dark mode their style sheet inverts
its lightness, so that a figure is drawn once. As PNG it has a white ground.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.style import context
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray

from wildmiddle.checks.output import write_csv, write_text
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.theory.schedules import ddpm_sigmas, edm_sigmas

Array = NDArray[np.float64]
Draw = Callable[[Figure], None]
"""Draws into an empty figure."""

INK, MUTED, GRID = "#20242a", "#646a73", "#d6d2ca"
WEIGHT, SELF, COVERAGE, DANGER = "#1f5fb4", "#0a7f6a", "#c2560c", "#b4232a"
PURPLE = "#7a4fa0"
CYCLE = (WEIGHT, COVERAGE, SELF, DANGER, PURPLE)
"""Colours of named curves, in the order in which they are drawn."""

WIDTH = 7.3
"""Width of every figure in inches: then text has the same size in all of them."""

DASHED, DOTTED = (0, (5, 2)), (0, (1, 2))

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "wildmiddle",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.prop_cycle": cycler(color=CYCLE),
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "savefig.transparent": True,
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
}


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure as drawn; the same drawing always gives the same bytes."""

    figure: Figure
    svg: str

    def write(self, folder: Path, name: str) -> None:
        """Write ``NAME.svg`` and ``NAME.png``; a name may have dots of its own."""
        write_text(folder / f"{name}.svg", self.svg)
        with context(["default", STYLE]):
            self.figure.savefig(
                folder / f"{name}.png", dpi=144, transparent=False, metadata={"Software": None}
            )


Rows = Sequence[tuple[str, float | str, float, float, float]]
"""What a figure shows: of each point its series, its place, its value and both ends."""


@dataclass(frozen=True)
class Drawing:
    """A figure of a page with its title above, its caption below, and its numbers."""

    name: str
    title: str
    caption: str
    picture: Picture
    rows: Rows
    along: str = "sigma"
    """What the second column of the rows is."""

    def write(self, folder: Path) -> None:
        """Write ``report-NAME.svg``, ``.png``, and ``.csv`` with the numbers."""
        name = f"report-{self.name}"
        self.picture.write(folder, name)
        write_csv(folder / f"{name}.csv", ("series", self.along, "value", "low", "high"), self.rows)


def rows_of(name: str, along: NDArray[Any], values: Array | Estimate) -> Rows:
    """A curve as rows; values that are computed are their own ends."""
    if isinstance(values, Estimate):
        columns = along, values.mean, values.low, values.high
    else:
        columns = along, values, values, values
    return [(name, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def draw_figure(draw: Draw, height: float) -> Picture:
    """A figure of this height in inches."""
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height), dpi=72)
        FigureCanvasSVG(figure)  # so that the layout measures text as the file has it
        draw(figure)
        ConstrainedLayoutEngine().execute(figure)  # as the figure's own it needs a second drawing
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    return Picture(figure, buffer.getvalue())


def add_legend(figure: Figure | SubFigure, columns: int = 3) -> None:
    """Name every labelled artist once, above the axes of a figure or of a part of it."""
    handles = {
        label: handle
        for axes in figure.get_axes()
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=columns)


def draw_curve(
    axes: Axes, sigmas: Array, estimate: Estimate, colour: str, marker: str, label: str = ""
) -> None:
    """Draw a curve with the band of its intervals."""
    # A log axis cannot show 0: the band and the line leave the picture below instead.
    mean, low, high = (np.maximum(v, 1e-12) for v in (estimate.mean, estimate.low, estimate.high))
    axes.fill_between(sigmas, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.plot(sigmas, mean, marker=marker, color=colour, label=label)


def set_unit_axis(axes: Axes, label: str) -> None:
    """Make the vertical axis run from 0 to 1."""
    axes.set_ylim(-0.02, 1.03)
    axes.set_ylabel(label)


def set_sigma_axis(axes: Axes, low: float, high: float) -> None:
    """Make the horizontal axis the noise level, on a log scale."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xlabel("noise level σ")
    label_log_axis(axes, "x")


def sigma_limits(sigmas: Array) -> tuple[float, float]:
    """Ends of a horizontal axis that is a little longer than a schedule ``sigmas`` (K,)."""
    return float(sigmas.min()) * 0.85, float(sigmas.max()) * 1.15


def add_edm_axis(axes: Axes) -> None:
    """Mark the steps of the 18-step EDM schedule along the top."""
    top = axes.secondary_xaxis("top")
    top.set_xticks(edm_sigmas(18), [str(step) for step in range(18)])
    top.set_xticks([], minor=True)
    top.set_xlabel("step of the 18-step EDM schedule")


def add_ddpm_axis(
    axes: Axes, side: Literal["top", "bottom"], sigmas: ArrayLike | None = None
) -> None:
    """Mark timesteps of DDPM along the top, or along the bottom under the noise level.

    ``sigmas`` are those of the timesteps, the usual 1,000 by default.
    """
    table = ddpm_sigmas() if sigmas is None else np.asarray(sigmas)
    shown = [t for t in (0, 10, 50, 100, 200, 300, 400, 600, 800) if t < len(table)]
    second = axes.secondary_xaxis(side)
    if side == "bottom":
        second.spines["bottom"].set_position(("outward", 36))
    second.set_xticks(table[shown], [str(timestep) for timestep in shown])
    second.set_xticks([], minor=True)
    second.set_xlabel(f"DDPM timestep of {len(table)}")


def label_log_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    """Label a log axis whose limits are known by plain numbers."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    if high / low < 8:
        axis.set_major_locator(MaxNLocator(5))
        axis.set_minor_locator(NullLocator())
    else:
        steps = (1.0,) if high / low > 80 else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=steps, numticks=9))
        axis.set_minor_locator(LogLocator(subs=(2.0, 5.0), numticks=9))  # eight a decade are slow
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_power(value)))
    axis.set_minor_formatter(NullFormatter())


def format_power(value: float) -> str:
    """A number on a log axis in few characters: 0.02, 10, 10⁻⁶."""
    if value <= 0:
        return ""  # a tick below the view, which matplotlib asks about all the same
    exponent = int(np.floor(np.log10(value) + 1e-9))
    if -3 <= exponent <= 3:
        return f"{value:g}"
    power = "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    front = f"{value / 10.0**exponent:.3g}"
    return power if front == "1" else f"{front}·{power}"
