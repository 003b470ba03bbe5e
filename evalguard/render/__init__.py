"""A report for people and for machines: pure functions of the report."""

from __future__ import annotations

from evalguard.core.report import Report
from evalguard.render.text import print_report, to_text

__all__ = ["artifacts", "print_report", "to_text"]


def artifacts(report: Report) -> dict[str, str]:
    """File name → content of everything that is rendered from a report."""
    return {"report.json": report.to_json(), "report.txt": to_text(report)}
