"""A report for people and for machines: pure functions of the report."""

from __future__ import annotations

from collections.abc import Mapping

from evalguard.core.report import Report
from evalguard.render.html import to_frame, to_html
from evalguard.render.intoto import to_statement
from evalguard.render.junit import to_junit
from evalguard.render.svg import to_svg
from evalguard.render.tables import to_csv
from evalguard.render.text import print_report, to_text

__all__ = [
    "artifacts",
    "print_report",
    "to_csv",
    "to_frame",
    "to_html",
    "to_junit",
    "to_statement",
    "to_svg",
    "to_text",
]


def artifacts(report: Report, subjects: Mapping[str, str] | None = None) -> dict[str, str]:
    """File name → content of everything that is rendered from a report.

    Args:
        report: What to render.
        subjects: Name of each file that was judged → its SHA-256; without it
            there is no ``attestation.json``.
    """
    statement = {"attestation.json": to_statement(report, subjects)} if subjects else {}
    return {
        "report.json": report.to_json(),
        "report.txt": to_text(report),
        "report.html": to_html(report),
        "junit.xml": to_junit(report),
        "wrong_rows.csv": to_csv(report),
        **statement,
    }
