"""The templates of the pages, with the filters and the script that they share."""

import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from wildmiddle.checks.report.formatting import format_instance, format_interval, format_number


def load_template(name: str, **filters: Callable[..., Any]) -> Template:
    """A template of ``checks/report/templates``; a variable that it lacks is an error."""
    environment = Environment(
        loader=PackageLoader("wildmiddle.checks.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "number": format_number,
        "instance": format_instance,
        "interval": format_interval,
        "data_uri": svg_data_uri,
        **filters,
    }
    # No page runs anything but this one script: its hash stands in the page's policy.
    script = environment.get_template("sort.js").render()
    environment.globals["script"] = Markup(script)  # noqa: S704, a file of ours
    digest = hashlib.sha256(script.encode()).digest()
    environment.globals["script_hash"] = "sha256-" + _base64(digest)
    return environment.get_template(name)


def svg_data_uri(svg: str) -> str:
    """An SVG file as the address of an image: it loads nothing, and its identifiers are its own."""
    return "data:image/svg+xml;base64," + _base64(svg.encode())


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
