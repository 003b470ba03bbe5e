"""The fields of a report beside its verdict, as plain values: counts, first wrong rows, identities, order."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalguard.core import arrivals
from evalguard.core.columns.chunks import first_true
from evalguard.core.evidence import Evidence, order_findings
from evalguard.core.findings import Reason
from evalguard.core.matching import Match
from evalguard.core.order_metrics import order_metrics
from evalguard.core.plot_data import aligned_runs, alignment_runs
from evalguard.core.plural import plural
from evalguard.core.report import COUNT_NAMES
from evalguard.core.row_names import OF_PANDAS
from evalguard.core.shown_keys import stored_key
from evalguard.core.trace import UNKNOWN, Trace

MAX_WRONG_ROWS = 20


def counts(evidence: Evidence) -> dict[str, int]:
    """The report's counts; every name of ``COUNT_NAMES`` is present."""
    result = dict.fromkeys(COUNT_NAMES, 0)
    n_labels = len(evidence.labels)
    result["n_labels"] = n_labels
    result["n_predictions"] = evidence.n_rows
    result["padding"] = evidence.padding
    result["label_disagreements"] = int(evidence.comparison.rows.size)
    if evidence.used is not None and evidence.used.identity == "content":
        result["equal_samples"] = evidence.labels.equal_samples
    samples = evidence.samples
    if samples is None:
        known = evidence.trace.one_to_one and not evidence.trace.stopped
        result["missing"] = max(0, n_labels - evidence.n_rows) if known else 0
        return result
    by_reason = {finding.reason: finding.count for finding in evidence.order}
    for reason in (Reason.MISSING, Reason.DUPLICATE, Reason.FOREIGN, Reason.REORDERED):
        result[reason.value] = by_reason.get(reason, 0)
    if evidence.trace.stopped:
        result["missing"] = 0
    if evidence.trace.ordered and not isinstance(samples, range):
        result["misaligned"] = int(np.count_nonzero(arrivals.misaligned(samples)))
    return result


def wrong_rows(evidence: Evidence) -> tuple[dict[str, Any], ...]:
    """The first rows that are not at the index of their label."""
    rows = evidence.comparison.rows[:MAX_WRONG_ROWS]
    if evidence.samples is None:
        return tuple({"row": int(row), "sample": None, "label": int(row)} for row in rows)
    if not evidence.trace.ordered:
        return tuple({"row": int(row), "sample": (at := int(evidence.samples[row])), "label": at} for row in rows)
    if isinstance(evidence.samples, range):
        return ()
    rows = first_true(arrivals.misaligned(evidence.samples), MAX_WRONG_ROWS)
    return tuple(_wrong_row(int(row), int(evidence.samples[row]), len(evidence.labels), evidence) for row in rows)


def _wrong_row(row: int, sample: int, n_labels: int, evidence: Evidence) -> dict[str, Any]:
    known = 0 <= sample < n_labels
    entry: dict[str, Any] = {
        "row": row,
        "sample": sample if known else None,
        "label": row if row < n_labels else None,
    }
    keys = evidence.labels.keys
    if keys is not None:
        carried = evidence.trace.keys
        if known:
            entry["sample_key"] = stored_key(keys[sample])
        elif carried is not None:
            entry["sample_key"] = stored_key(carried[row])
        if row < n_labels:
            entry["label_key"] = stored_key(keys[row])
    return entry


def identities(evidence: Evidence) -> tuple[dict[str, Any], ...]:
    """What each available identity shows, strongest first."""
    return tuple(_identity_dict(match, evidence) for match in evidence.matches)


def _identity_dict(match: Match, evidence: Evidence) -> dict[str, Any]:
    if isinstance(evidence.samples, range):
        return {"identity": match.identity, "says": f"{_whose(match, evidence)}aligned", "used": match is evidence.used}
    n_labels = len(evidence.labels)
    samples = match.samples[: evidence.n_rows]
    used, ordered = match is evidence.used, evidence.trace.ordered
    found = evidence.order if used else order_findings(samples, n_labels, ordered=ordered)
    if not match.comparable:
        says = "nothing: almost none of the rows match"
    elif not match.complete:
        says = f"{plural(int((samples == UNKNOWN).sum()), 'row')} unidentified"
    elif not found:
        says = "aligned"
    else:
        says = f"{plural(int(np.count_nonzero(arrivals.misaligned(samples))), 'row')} misaligned"
    return {"identity": match.identity, "says": _whose(match, evidence) + says, "used": used}


def _whose(match: Match, evidence: Evidence) -> str:
    return f"{OF_PANDAS}: " if match.identity == "key" and evidence.labels.keyed_by_index else ""


def checks_made(evidence: Evidence) -> tuple[str, ...]:
    """Reasons of the checks that could be made; no other check has passed because it has no finding."""
    trace, made = evidence.trace, []
    if evidence.n_rows and len(evidence.labels):
        made.append(Reason.COUNT)
    if evidence.used is not None and evidence.used.complete and evidence.samples is not None:
        made += [Reason.FOREIGN, Reason.MISSING, Reason.DUPLICATE, *[Reason.REORDERED] * trace.ordered]
    made += [Reason.LABELS] * evidence.comparison.comparable
    made += [Reason.TRANSPORT] * (trace.transport_intact is not None)
    return tuple(reason.value for reason in made)


def order(evidence: Evidence) -> dict[str, Any] | None:
    """Order metrics of a stream that is out of order; None if it is in order."""
    if evidence.samples is None or not evidence.order or not evidence.trace.ordered:
        return None
    trace = evidence.trace
    sizes = np.asarray(trace.batch_sizes) if not evidence.padding else None
    return order_metrics(np.asarray(evidence.samples), len(evidence.labels), sizes)


def plot(evidence: Evidence) -> dict[str, Any] | None:
    """The alignment as data for the plot; None if samples are unknown or the order does not matter."""
    if evidence.samples is None or not evidence.trace.ordered:
        return None
    n_labels = len(evidence.labels)
    if isinstance(evidence.samples, range):
        return aligned_runs(n_labels)
    whole = not evidence.order and len(evidence.samples) == n_labels and bool((evidence.samples >= 0).all())
    return aligned_runs(n_labels) if whole else alignment_runs(evidence.samples, n_labels)


def source(trace: Trace) -> dict[str, Any]:
    """What is known about the source of the stream."""
    state = trace.source
    return {
        "kind": state.kind,
        "type": state.type_name,
        "pulled": state.pulled,
        "delivered": sum(item.delivered for item in trace.sources),
        "started": state.started,
        "handed_before": state.calls_before,
        "facts": dict(state.facts),
    }
