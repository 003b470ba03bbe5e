"""What exceptions and warnings say."""

from __future__ import annotations

from evalguard.core.report import Report
from evalguard.reporting.escape import visible
from evalguard.reporting.words import wrong_row


def message(report: Report) -> str:
    """What an exception or a warning says: the verdict, the first rows, the cause, the next step."""
    lines = [f"{report.name}: {report.headline}"]
    lines += [f"  {finding.message}" for finding in report.findings]
    # Three rows and one cause: a traceback is read in a terminal, the whole report is in `error.report`.
    lines += [f"  {wrong_row(row, visible)}" for row in report.wrong_rows[:3]]
    for cause in report.diagnosis[:1]:
        lines += [f"  cause: {cause.cause} ({cause.evidence})", *(f"  {line}" for line in cause.remedy.splitlines())]
    lines += [f"  not proven: {note}" for note in report.not_proven]
    if report.repair and report.repair.get("refused"):
        lines.append(f"  not repaired: {report.repair['refused']}")
    if report.advice:
        lines.append(f"  to prove it: {report.advice}")
    return "\n".join(lines)
