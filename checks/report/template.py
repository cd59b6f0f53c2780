"""The templates of both pages, with the filters that they share."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from wildmiddle.checks.report.formatting import format_interval, format_number


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
        "interval": format_interval,
        "data_uri": svg_data_uri,
        **filters,
    }
    return environment.get_template(name)


def svg_data_uri(svg: str) -> str:
    """An SVG file as the address of an image: it loads nothing, and its identifiers are its own."""
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
