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
from evalguard.core.report_counts import CHECK_OF, COUNT_NAMES
from evalguard.core.row_names import OF_PANDAS
from evalguard.core.shown_keys import stored_key
from evalguard.core.trace import UNKNOWN, Trace

MAX_WRONG_ROWS = 20


def counts(evidence: Evidence) -> dict[str, int | None]:
    """The report's counts; every name of ``COUNT_NAMES`` is present, with None where nothing shows the number."""
    result: dict[str, int | None] = dict.fromkeys(COUNT_NAMES)
    result |= {"n_labels": len(evidence.labels), "n_predictions": evidence.n_rows}
    if not evidence.trace.one_to_one:
        return result
    result["padding"] = evidence.padding
    if evidence.used is not None and evidence.used.identity == "content":
        result["equal_samples"] = evidence.labels.equal_samples
    found, made = _found(evidence), _row_checks(evidence)
    # A zero is known only where all rows were checked.
    return result | {name: found.get(name) or (0 if check in made else None) for name, check in CHECK_OF.items()}


def _found(evidence: Evidence) -> dict[str, int]:
    """What the checks counted, made of all rows or of some."""
    samples, trace = evidence.samples, evidence.trace
    found = {"label_disagreements": int(evidence.comparison.rows.size)}
    if samples is None:
        # Whatever samples the rows are, this many labels have none.
        return found if trace.stopped else found | {"missing": max(0, len(evidence.labels) - evidence.n_rows)}
    found |= {finding.reason.value: finding.count for finding in evidence.order}
    if trace.stopped:
        found.pop(Reason.MISSING, None)
    if trace.ordered and not isinstance(samples, range):
        found["misaligned"] = int(np.count_nonzero(arrivals.misaligned(samples)))
    return found


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
    made = _row_checks(evidence)
    if evidence.trace.one_to_one and evidence.n_rows and evidence.trace.transport_intact is not None:
        made.append(Reason.TRANSPORT)
    return tuple(reason.value for reason in made)


def _row_checks(evidence: Evidence) -> list[Reason]:
    """The checks that could be made of all rows, but that of the transport, which takes a pass over them."""
    trace = evidence.trace
    if not trace.one_to_one or not evidence.n_rows:
        return []
    # After a stop, rows that are not there yet are not missing.
    made = [Reason.COUNT] * (not trace.stopped)
    if _samples_known(evidence):
        made += [Reason.FOREIGN, *[Reason.MISSING] * (not trace.stopped), Reason.DUPLICATE]
        made += [Reason.REORDERED] * (trace.ordered and not trace.not_confirmed)
    return made + [Reason.LABELS] * _all_compared(evidence)


def _samples_known(evidence: Evidence) -> bool:
    """Whether the sample of each row that the caller got is known."""
    used, trace = evidence.used, evidence.trace
    if used is None or not used.complete or evidence.samples is None or trace.unobserved or trace.not_returned:
        return False
    # A place that is declared, and contradicted by the stream's targets, says nothing of any row.
    return used.observed or not evidence.comparison.rows.size


def _all_compared(evidence: Evidence) -> bool:
    """Whether the target of each row was compared with a label."""
    samples, trace = evidence.samples, evidence.trace
    if not evidence.comparison.comparable:
        return False
    # Where targets are compared with the labels of their samples, rows of no known sample are left out.
    if samples is None or isinstance(samples, range) or (trace.ordered and trace.scored is None):
        return True
    return bool(arrivals.known(samples, len(evidence.labels)).all())


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
