"""A report for people and for machines: pure functions of the report, one module per form.

========== ==================================================================
text       for a terminal, at most 25 lines
html       one self-contained page; in a frame for a notebook
markdown   for a merge request or a wiki
svg        the plots of the page, and the alignment as a file
png        the alignment as a picture, for viewers without SVG
junit      for continuous integration
intoto     a statement about the files that were judged
csv_rows   the first wrong rows as CSV
escape     hostile text made inert, for all forms
========== ==================================================================
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from evalguard.core.report import Report, show_as
from evalguard.reporting import long_stages as long_stages  # registers how stages are shown
from evalguard.reporting.text import print_report, to_text

__all__ = ["artifacts", "print_report", "to_text"]

# Form, as `show_as` has it → module and function.
RENDERERS = {
    "frame": ("html", "to_frame"),
    ".html": ("html", "to_html"),
    ".txt": ("text", "to_text"),
    ".md": ("markdown", "to_markdown"),
    ".xml": ("junit", "to_junit"),
    ".csv": ("csv_rows", "to_csv"),
}


def artifacts(
    report: Report, subjects: Mapping[str, str] | None = None, rows: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, str]:
    """All rendered files of a report: file name → content.

    Args:
        report: What to render.
        subjects: Name of each judged file → its SHA-256; without it there is
            no ``attestation.json``.
        rows: What ``attestation.json`` states of a table of the rows; see
            ``guards.attested.rows``.
    """
    # Imported when the first report is rendered, as `import evalguard` does not need them.
    from evalguard.reporting.csv_rows import to_csv
    from evalguard.reporting.html import to_html
    from evalguard.reporting.intoto import to_statement
    from evalguard.reporting.junit import to_junit

    statement = {"attestation.json": to_statement(report, subjects, rows)} if subjects else {}
    return {
        "report.json": report.to_json(),
        "report.txt": to_text(report),
        "report.html": to_html(report),
        "junit.xml": to_junit(report),
        "wrong_rows.csv": to_csv(report),
        **statement,
    }


def _rendered(report: Report, form: str) -> str:
    """The report in one form, whose renderer is imported when it is first asked for."""
    name, function = RENDERERS[form]
    render: Callable[[Report], str] = getattr(importlib.import_module(f"evalguard.reporting.{name}"), function)
    return render(report)


show_as(_rendered)
