"""Paragraphs and tables as Markdown, for files, and in aligned columns, for a terminal."""

import html
import re
from collections.abc import Callable, Container, Sequence
from textwrap import fill, wrap
from typing import NamedTuple

WIDTH = 100
"""Columns of a terminal that text and tables take, where a table's words allow it."""
_NARROWEST = 12
_GAP = "  "

Table = Callable[[Sequence[str], Sequence[Sequence[str]], Container[int]], str]
"""Of a header and rows; the columns whose numbers are in the last are aligned at the right."""


class Layout(NamedTuple):
    """How the parts of a text are written."""

    heading: Callable[[str], str]
    prose: Callable[[str], str]
    """A paragraph, which may have names from outside in it, as of files."""
    code: Callable[[str], str]
    table: Table


def escape_markdown(text: str) -> str:
    """A text from outside, such as a file's name, so that Markdown shows it as it is."""
    return re.sub(r"([\\`|*\[\]])", r"\\\1", html.escape(" ".join(text.splitlines()), quote=False))


def code_span(text: str) -> str:
    """A text as code, whatever backticks it holds itself."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{' '.join(text.split())}{pad}{fence}"


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Container[int] = ()
) -> str:
    """A table in Markdown; the columns whose numbers are in ``right`` are aligned there."""
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def wrap_text(text: str, indent: str = "") -> str:
    """A text in lines for a terminal, whose words are left whole."""
    return fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def aligned_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Container[int] = ()
) -> str:
    """A table in columns, of which the widest are broken into lines until all fit side by side."""
    widths = [max(1, *map(len, column)) for column in zip(header, *rows, strict=True)]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > WIDTH and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    lines = []
    for cells in (header, *rows):
        broken = [
            wrap(cell, width, break_on_hyphens=False)
            for cell, width in zip(cells, widths, strict=True)
        ]
        for k in range(max(1, *map(len, broken))):
            parts = [part[k] if k < len(part) else "" for part in broken]
            lines.append(
                _GAP.join(
                    part.rjust(width) if column in right else part.ljust(width)
                    for column, (part, width) in enumerate(zip(parts, widths, strict=True))
                ).rstrip()
            )
    return "\n".join(lines)


MARKDOWN = Layout("# {}".format, escape_markdown, code_span, markdown_table)
TERMINAL = Layout(str, wrap_text, str, aligned_table)
