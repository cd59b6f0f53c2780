"""The templates of the pages, with the words that all of them use."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from wildmiddle.checks.report.words import interval, number


def template(name: str, **filters: Callable[..., Any]) -> Template:
    """A template of ``checks/report/templates``; a name that it asks for in vain is an error."""
    environment = Environment(
        loader=PackageLoader("wildmiddle.checks.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"number": number, "interval": interval, **filters}
    return environment.get_template(name)
