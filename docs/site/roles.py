"""Cross-references of docstrings, ``:func:`name` ``, as the code that they name."""

import re
from typing import Any

import griffe


class Roles(griffe.Extension):
    """Rewrite every docstring once it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Replace the roles in the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            text = re.sub(r":\w+:`~?(?:wildmiddle\.)?([^`]+)`", r"`\1`", obj.docstring.value)
            obj.docstring.value = text.replace("``", "`")
