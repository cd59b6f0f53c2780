"""LaTeX of the theory's statements as plain text, for a terminal.

Parsing and symbols are pylatexenc's. What it leaves out is added here: parentheses where LaTeX
shows by position what belongs together, and the spaces of the source.
"""

import re
from collections.abc import Sequence
from typing import Any

from pylatexenc import latex2text, latexwalker
from pylatexenc.macrospec import MacroSpec

_FONTS = ("mathbb", "mathrm", "text")
_FUNCTIONS = ("cos", "exp", "log", "max", "min", "sin")
_BREAK = "\u2003"
_WORDS = {
    "bmod": "mod",
    "implies": "⟹",
    "ne": "≠",
    "quad": _BREAK,
    **dict.fromkeys(("left", "right", "Big"), ""),
}
"""Macros that pylatexenc has no text for, or another."""

_SYMBOLS = latex2text.get_default_latex_context_db()

_FACTOR = re.compile(r"\d+|[^\W\d]\w*\u0305?(\^\w)?(\([^()]*\))?")
"""What needs no parentheses in a fraction: a number, a symbol, its power, a function of it."""


def plain_text(latex: str) -> str:
    """The statement in plain text, a line for each of its parts.

    Raises ValueError for a macro that has no plain text.
    """
    macros = latexwalker.get_default_latex_context_db()
    macros.add_context_category("more", macros=[MacroSpec("tfrac", "{{")], prepend=True)
    walker = latexwalker.LatexWalker(latex, latex_context=macros, tolerant_parsing=False)
    text = re.sub(r" +", " ", _text(walker.get_latex_nodes()[0])).strip()
    text = re.sub(r"(?<=[(\[{⟨]) | (?=[)\],;}⟩])", "", text)
    text = re.sub(r"(?<=\))(?=log)|(?<=[\w)])(?=[∑∏])", " ", text)
    text = re.sub(rf"(?<=[,;]) ?{_BREAK} ?", "\n", text)
    return re.sub(rf" ?{_BREAK} ?", " ", text)


def _text(nodes: Sequence[Any]) -> str:
    text, before = "", ""
    for node in nodes:
        name = getattr(node, "macroname", "")
        part = _macro(node) if name else _group(node)
        if name.endswith("frac") and before in _FUNCTIONS:
            part = f"({part})"
        # The parser leaves out the space between two macros or groups.
        text += " " * node.parsing_state.s[: node.pos][-1:].isspace() + part
        before = name
    return text


def _group(node: Any) -> str:
    # A subscript or an exponent, or characters as they stand.
    if not hasattr(node, "nodelist"):
        return str(node.latex_verbatim())
    text = _text(node.nodelist).strip()
    return text if re.fullmatch(r"\w*", text) else f"({text})"


def _macro(node: Any) -> str:
    name = node.macroname
    given: Sequence[Any] = node.nodeargd.argnlist if node.nodeargd else ()
    parts = [_text(getattr(each, "nodelist", [each])).strip() for each in given if each]
    if name.endswith("frac"):
        return "/".join(part if _FACTOR.fullmatch(part) else f"({part})" for part in parts)
    if name == "sqrt" and len(parts) == 1:
        return f"√({parts[0]})"
    if name == "bar":
        return parts[0] + "\u0305"
    if name in _FONTS:
        return _text(given[-1].nodelist)
    known = _SYMBOLS.get_macro_spec(name)
    word = _WORDS.get(name, known.simplify_repl if known else None)
    if not isinstance(word, str) or parts:
        raise ValueError(f"no plain text is known for \\{name}")
    return word
