"""The tutorial as a notebook: ``python docs/site/notebook.py docs/tutorial.ipynb`` writes it.

Its code is that of ``docs/tutorial.md``, whose blocks in Python and for the shell become cells.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

TUTORIAL = Path(__file__).parents[1] / "tutorial.md"
_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```\n", re.M | re.S)
_START = {"python": "", "sh": "%%sh\n"}  # a cell of %%sh fails where its last command does


def cells(markdown: str) -> list[dict[str, Any]]:
    """The cells of a page: its text, and its code."""
    found: list[dict[str, Any]] = []
    # What stands between blocks, then the language and the content of each block in turn.
    text, *blocks = _BLOCK.split(markdown)
    for language, code, after in [("", "", text), *zip(*[iter(blocks)] * 3, strict=True)]:
        if code:
            more = {"execution_count": None, "outputs": []}
            found.append(_cell("code", _START[language] + code, len(found)) | more)
        if after.strip():
            found.append(_cell("markdown", after, len(found)))
    return found


def _cell(kind: str, source: str, number: int) -> dict[str, Any]:
    lines = source.strip().splitlines(keepends=True)
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": lines}


def notebook(markdown: str) -> str:
    """A page as the text of a notebook."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells(markdown),
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(notebook(TUTORIAL.read_text(encoding="utf-8")), encoding="utf-8")
