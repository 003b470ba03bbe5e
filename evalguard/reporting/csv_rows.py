"""The first wrong rows as CSV."""

from __future__ import annotations

import csv
import io

from evalguard.core.report import Report
from evalguard.reporting import words
from evalguard.reporting.escape import cell

COLUMNS = ("row", "sample", "sample_key", "label", "label_key")


def to_csv(report: Report) -> str:
    """A header, and one line for each of ``report.wrong_rows``; fields are empty if they are not known."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in words.plain(report).wrong_rows:
        values = (row.get(column) for column in COLUMNS)
        writer.writerow(["" if value is None else cell(value) for value in values])
    return stream.getvalue()
