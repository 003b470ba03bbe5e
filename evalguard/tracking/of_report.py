"""What a record takes from a report: what it is about, its counts and its metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from evalguard.core.report import Report


def about(report: Report) -> dict[str, Any]:
    """What the record names beside the verdict: model, location of the data, file of the labels, caller."""
    plain = report.to_dict()
    labels = {
        part: plain["labels"][part]
        for part in ("name", "path", "column", "key", "values_digest")
        if part in plain["labels"]
    }
    source = {part: plain["source"][part] for part in ("kind", "type", "place") if part in plain["source"]}
    return {"model": plain["model"], "source": source, "labels": labels, "caller": plain["caller"]}


def known_counts(report: Report) -> dict[str, int]:
    """The counts that are known, by name, the most important first."""
    found = {"violations": report.violations, **report.counts}
    return {name: int(count) for name, count in found.items() if count is not None}


def impact_metrics(report: Report) -> Iterator[tuple[str, float]]:
    """Yield names and values of the metrics before and after realignment; the difference is an absolute value."""
    # Of values with the same time, MLflow shows the largest. As 0 is the good value of the absolute difference, a small
    # difference does not hide a large one. NaN is left out, because MLflow stores it as 0 (sqlalchemy_store.py,
    # `sanitize_metric_value`).
    for metric, impact in (report.impact or {}).items():
        for name, value in impact.to_dict().items():
            if isinstance(value, (int, float)) and math.isfinite(value):
                yield f"{metric}/{name}", abs(float(value)) if name == "difference" else float(value)


def one_line(text: str) -> str:
    """A text as one line for a tag; characters that UTF-8 cannot encode are escaped."""
    # A file name with undecodable bytes has lone surrogates, on which the request with the verdict would fail.
    return " ".join(str(text).encode("utf-8", "backslashreplace").decode().split())
