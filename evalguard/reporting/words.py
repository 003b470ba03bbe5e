"""What a report says, in the words that all its forms share: raw text, for each form to make inert."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from evalguard.core.diagnosis.unknown import UNKNOWN_CAUSE
from evalguard.core.findings import VALUES, Cause
from evalguard.core.policy import Proof
from evalguard.core.report import Report

STAGES = ("source", "transport", "labels")
# Counts, the gravest first, and those that are no fault by themselves.
WRONG = ("misaligned", "missing", "duplicate", "foreign", "reordered", "label_disagreements")
NEUTRAL = ("padding", "equal_samples")
PROOFS = {
    Proof.IDENTITY: "every row's sample is known, and is the label row it is scored against",
    Proof.LABELS: "the stream's own target equals the label at every row, and no sample is repeated",
    Proof.SAMPLE: "rows chosen by their place are the samples of their labels, and the number of rows is right",
    Proof.TRANSPORT: "rows came out as the source emitted them; the source's own order is not known",
    Proof.COUNT: "only the number of rows is known to be right",
    Proof.NONE: "nothing is known of which row answers which label",
}
# The same where something is wrong: what is known, though it is not what was hoped for.
KNOWN = {**PROOFS, Proof.IDENTITY: "every row's sample is known"}


def plain(report: Report) -> Report:
    """The report as it comes back from its JSON form: what is rendered now is rendered later, byte for byte."""
    return Report.from_dict(json.loads(report.to_json()))


def wrong_row(row: Mapping[str, Any], shown: Any = str) -> str:
    """``row 7: prediction of sample 12, scored against label 7``, with keys where they are known.

    Args:
        row: One of ``report.wrong_rows``.
        shown: Makes a key inert; its own limit keeps what stands behind a long key in sight.
    """
    sample, label = row.get("sample"), row.get("label")
    carried = f" ({shown(row['sample_key'])})" if "sample_key" in row else ""
    wanted = f" ({shown(row['label_key'])})" if "label_key" in row else ""
    if sample is not None:
        what = f"prediction of sample {sample}{carried}"
    elif carried:
        what = f"prediction of a row that is no labelled sample{carried}"
    else:
        what = "prediction"
    where = "beyond the last label" if label is None else f"scored against label {label}{wanted}"
    return f"row {row.get('row')}: {what}, {where}"


def certainty(cause: Cause) -> str:
    """``certain``, ``likely``, or ``unknown`` where only a pattern is described."""
    if cause.cause.startswith(UNKNOWN_CAUSE):
        return "unknown"
    return "certain" if cause.certain else "likely"


def source(report: Report) -> str:
    """Kind and type of what was streamed: ``pydataset Digits``; empty where it is not known."""
    named = (str(report.source.get(part, "unknown")) for part in ("kind", "type"))
    return " ".join(dict.fromkeys(part for part in named if part not in {"unknown", ""}))


def moment(milliseconds: float) -> str:
    """``2026-11-23 16:30:05 UTC``; empty where no time was given, or none that a calendar has."""
    if not milliseconds:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def impact(report: Report) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each metric with its figures: ``("accuracy", [("as scored", "0.1"), ("realigned", "0.95"), …])``."""
    for metric, values in sorted((report.impact or {}).items()):
        found = {name: getattr(values, name) for name in (*VALUES, "error", "note")}
        # NaN, which is unequal to itself, is a value that has no form in JSON.
        present = [(name, value) for name, value in found.items() if value is not None and value == value]
        # A note is a sentence of its own.
        yield (
            metric,
            [("" if name == "note" else name.replace("_", " "), metric_value(value)) for name, value in present],
        )


def metric_value(value: object) -> str:
    """A number to six digits, a whole number with its thousands apart, anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ", ".join(map(metric_value, value)) if isinstance(value, (list, tuple)) else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
