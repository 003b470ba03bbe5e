"""Words that all forms of a report share, as raw text; each form escapes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from evalguard.core.diagnosis.catalogue import UNKNOWN_CAUSE
from evalguard.core.findings import VALUES, Cause
from evalguard.core.policy import Proof, Verdict
from evalguard.core.report import Report
from evalguard.core.report_counts import grouped
from evalguard.core.row_names import OF_PANDAS

# Counts that are faults, the worst first, and counts that are not.
WRONG = ("misaligned", "missing", "duplicate", "foreign", "reordered", "label_disagreements")
NEUTRAL = ("padding", "equal_samples")
PROOFS = {
    Proof.IDENTITY: "the sample of every row is known, and is the one whose label the row is scored against",
    Proof.LABELS: "the stream's own target equals the label at every row, and no sample is repeated",
    Proof.SAMPLE: "rows sampled by position match their labels, and there are as many rows as labels",
    Proof.DECLARED: "by its position in the caller's array, or the key beside it, each row is its label's: declared",
    Proof.TRANSPORT: "rows arrived in the order the source emitted them; the order inside the source was not observed",
    Proof.COUNT: "there are as many rows as labels; nothing else is known",
    Proof.NONE: "nothing shows which sample each row is",
}
# The same for a FAIL, which must not claim that the rows are right.
KNOWN = {
    **PROOFS,
    Proof.IDENTITY: "the sample of every row is known",
    Proof.DECLARED: "the sample of every row is declared, by its position in the caller's array or the key beside it",
}
# Metrics that the sentence about the score names.
MAX_EFFECTS = 2
# Names of metric values where they are not those of the attributes.
METRIC_NAMES = {
    "realigned": "after realignment",
    "with_own_targets": "scored with the stream's own labels",
    "of_those_predicted": "over the samples predicted",
}

# What a metric value is the value of.
METRIC_MEANINGS = {
    "as_scored": "prediction i against label i, as the caller would score them",
    "realigned": "the prediction of each sample against its label: the number to quote once the order is repaired",
    "with_own_targets": "the predictions against the labels that the stream gave with its inputs",
    "difference": "as scored minus after realignment",
    "of_those_predicted": "over the samples that have exactly one prediction",
    "at_least": "whatever the missing predictions are",
    "at_most": "whatever the missing predictions are",
}


def plain(report: Report) -> Report:
    """The report after a round trip through JSON, so that a stored report renders to the same bytes."""
    return Report.from_dict(json.loads(report.to_json()))


def count(report: Report, name: str) -> str:
    """A count as it is shown: ``98``, ``at least 98`` or, where it is not known, a dash."""
    return f"{'at least ' * report.is_at_least(name)}{grouped(report.counts[name])}"


def count_name(name: str) -> str:
    """A count's name as it is shown."""
    return name.replace("_", " ")


def n_wrong(report: Report) -> int:
    """Number of wrong rows, whose first are in ``wrong_rows``: misaligned rows, or else rows with another target."""
    return report.counts["misaligned"] or report.counts["label_disagreements"] or 0


def wrong_row(row: Mapping[str, Any], shown: Any = str) -> str:
    """``row 7: prediction of sample 12, scored against label 7``, with keys where they are known.

    Args:
        row: One of ``report.wrong_rows``.
        shown: Escapes a key and cuts it, so that the text after a long key stays visible.
    """
    sample, label = row.get("sample"), row.get("label")
    carried = f" ({shown(row['sample_key'])})" if "sample_key" in row else ""
    wanted = f" ({shown(row['label_key'])})" if "label_key" in row else ""
    if sample is not None:
        what = f"prediction of sample {grouped(sample)}{carried}"
    elif carried:
        what = f"prediction of a row that is not a labelled sample{carried}"
    else:
        what = "prediction"
    where = "beyond the last label" if label is None else f"scored against label {grouped(label)}{wanted}"
    return f"row {grouped(row.get('row'))}: {what}, {where}"


def lead(report: Report) -> str:
    """What the verdict means for the score, in one or two sentences; empty for a PASS, which needs none."""
    effects = [
        f"{metric} is {metric_value(values.as_scored)} as scored, {metric_value(values.realigned)} after realignment"
        for metric, values in sorted((report.impact or {}).items())
        if values.as_scored is not None and values.realigned is not None
    ]
    effect = "; ".join(effects[:MAX_EFFECTS])
    if report.verdict is Verdict.REPAIRED:
        quote = "Quote the value after realignment" if effect else "Quote a score of the rows that the call returned"
        return f"{quote}, not one of the order in which the model computed them{effect and f': {effect}'}."
    if report.verdict is Verdict.FAIL:
        return f"Do not quote a score of this call{effect and f': {effect}'}."
    if report.verdict is Verdict.UNPROVEN:
        return "The score may be right or wrong: nothing shows that each prediction is scored against its own label."
    return ""


def classes(report: Report, shown: Any = str) -> tuple[str, ...]:
    """``classes 0 to 3: bird, cat, dog, frog (from classes=)``; nothing where no names were used."""
    names, origin = report.labels.get("classes"), report.labels.get("classes_from", "")
    if not names:
        return ()
    several = names if isinstance(names, Mapping) else {"": names}
    listed = (f"{output}: {metric_value(part)}" if output else metric_value(part) for output, part in several.items())
    return (f"classes by number: {shown('; '.join(listed))} (from {shown(origin)})",)


def certainty(cause: Cause) -> str:
    """``certain``, ``likely``, or ``unknown`` if only a pattern is described."""
    if cause.cause.startswith(UNKNOWN_CAUSE):
        return "unknown"
    return "certain" if cause.certain else "likely"


def by_index(report: Report) -> str:
    """``, key: index of pandas`` if that key was used; else empty."""
    used = [item for item in report.identities if item.get("used") and item.get("identity") == "key"]
    return f", key: {OF_PANDAS}" if any(OF_PANDAS in str(item.get("says")) for item in used) else ""


def source(report: Report) -> str:
    """Kind, type and place of the source: ``pydataset Digits from images/``; empty if not known."""
    named = (str(report.source.get(part, "unknown")) for part in ("kind", "type"))
    kind = " ".join(dict.fromkeys(part for part in named if part not in {"unknown", ""}))
    place = report.source.get("place")
    return " from ".join(part for part in (kind, str(place or "")) if part)


def model(report: Report) -> str:
    """``digits (Functional, 12,345 parameters), models/digits.keras``; empty where no model was called."""
    about = report.model
    parts = [str(about["class"])] if about.get("class") else []
    if "parameters" in about:
        size = about["parameters"]
        parts.append(f"{grouped(size)} parameter{'s' * (size != 1)}")
    named = " ".join(part for part in (str(about.get("name") or ""), f"({', '.join(parts)})" if parts else "") if part)
    where = [str(about[name]) for name in ("path", "uri", "function") if about.get(name)]
    # The JSON and the table have all of it.
    digest = [f"digest {str(about['digest'])[:16]}"] if about.get("digest") else []
    return ", ".join([*filter(None, (named,)), *where, *digest])


def caller(report: Report) -> str:
    """``evaluate.py:12``, or ``step.yaml (evalguard run step.yaml)``; empty where it is not known."""
    step, command = report.caller.get("step", ""), report.caller.get("command", "")
    if step and command:
        return f"{step} ({command})"
    return step or command or report.caller.get("line", "")


def labels(report: Report) -> str:
    """``labels.csv, column label, key id``; empty where no labels are known."""
    about = report.labels
    column = about.get("column")
    columns = (
        ", ".join(f"{name} for {output}" for output, name in column.items()) if isinstance(column, Mapping) else column
    )
    named = [str(about.get("path") or about.get("name") or "")]
    named += [f"{what} {name}" for what, name in (("column", columns), ("key", about.get("key"))) if name]
    return ", ".join(filter(None, named))


def moment(milliseconds: float) -> str:
    """``2026-11-23 16:30:05 UTC``; empty if no time was given or it is out of range."""
    if not milliseconds:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def impact(report: Report) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each metric with its values: ``("accuracy", [("as scored", "0.1"), ("after realignment", "0.95"), …])``."""
    for metric, values in sorted((report.impact or {}).items()):
        found = {name: getattr(values, name) for name in (*VALUES, "error", "note")}
        # NaN, which is unequal to itself, is a value that JSON cannot hold.
        present = [(name, value) for name, value in found.items() if value is not None and value == value]
        yield metric, [(metric_name(name), metric_value(value)) for name, value in present]


def explained(report: Report) -> dict[str, str]:
    """Name of each metric value that the report has → what it is; empty where there is only one kind."""
    shown = {name for values in (report.impact or {}).values() for name in VALUES if getattr(values, name) is not None}
    if len(shown) < 2:
        return {}
    return {metric_name(name): METRIC_MEANINGS[name] for name in VALUES if name in shown}


def metric_name(name: str) -> str:
    """The name of a metric value as it is shown: ``as scored``; empty for a note, which is a sentence."""
    return "" if name == "note" else METRIC_NAMES.get(name, name.replace("_", " "))


def metric_value(value: object) -> str:
    """A float with six digits, an integer with thousands separators, anything else as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ", ".join(map(metric_value, value)) if isinstance(value, (list, tuple)) else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
