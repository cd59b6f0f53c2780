"""The report of a run: one page, one JSON file, one short Markdown file."""

from wildmiddle.checks.report.files import CURVES, SCHEMA, to_json, to_text, write
from wildmiddle.checks.report.page import to_html

__all__ = ["CURVES", "SCHEMA", "to_html", "to_json", "to_text", "write"]
