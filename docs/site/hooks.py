"""What the site does to a page: formulas become MathML, links out of docs/ the paths they name."""

import re

from latex2mathml.converter import convert

_FORMULA = re.compile(r"^\$\$(.+?)\$\$$", re.M | re.S)
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)#]+)[^)]*\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Rewrite the source of a page before it is rendered."""
    # The repository is not part of the site: a link to a file of it is that file's path.
    markdown = _OUTSIDE.sub(lambda link: link[1] if "`" in link[1] else f"`{link[2]}`", markdown)
    return _FORMULA.sub(_mathml, markdown)


def _mathml(found: re.Match[str]) -> str:
    rendered = convert(found[1].strip(), display="block")
    return f'<div class="formula">{rendered}</div>'
