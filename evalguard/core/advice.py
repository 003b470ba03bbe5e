"""What was not proven, and the line to paste that would prove it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evalguard.core import arrivals, key_differences
from evalguard.core.columns.chunks import counts_up
from evalguard.core.confirmed import ANY_ORDER, TOGETHER
from evalguard.core.evidence import Evidence, padding_rows
from evalguard.core.findings import Reason
from evalguard.core.matching import Match
from evalguard.core.plural import plural
from evalguard.core.policy import Policy, Proof
from evalguard.core.row_names import OF_PANDAS
from evalguard.core.shown_keys import shown_key
from evalguard.core.trace import ALTERED, UNKNOWN
from evalguard.core.visible import visible

MAX_KEY = 80
LOOP = "for x, y in g.collecting(dataset): ...  # predict this x; this y is its label"
PREPARED_LOOP = "for x, y in g.collecting(prepared): ...  # x as the model receives it; or reference=prepared(x_test)"


def not_proven(evidence: Evidence, proof: Proof, policy: Policy) -> list[str]:
    """What was not proven, one sentence each."""
    notes: list[str] = []
    if evidence.trace.stopped:
        rows, total = evidence.trace.n_rows, len(evidence.labels)
        notes.append(f"stopped after {rows:,} of {total:,} rows (fail_fast): {evidence.trace.stopped}")
    if evidence.trace.unobserved:
        notes.append(
            ("" if evidence.trace.no_output_rows else "not every row was observed: ") + evidence.trace.unobserved
        )
    if evidence.trace.not_returned:
        notes.append(f"what was returned: {evidence.trace.not_returned}")
    if evidence.trace.not_confirmed:
        notes.append(f"what is scored: {evidence.trace.not_confirmed}")
    if evidence.trace.key_asked and (evidence.trace.keys is None or evidence.labels.keys is None):
        without = "the stream has no key for each row" if evidence.trace.keys is None else "the labels have no keys"
        notes.append(f"key: {without}, so keys identify no row")
    if evidence.doubt:
        notes.append(evidence.doubt)
    if evidence.labels.by_index is not None and evidence.labels.by_index.note:
        notes.append(evidence.labels.by_index.note)
    for match in evidence.matches:
        if not match.comparable:
            notes.append(_no_match(evidence, match))
            fed, known = evidence.trace.spec, evidence.labels.spec
            if match.identity == "content" and fed != known:
                inputs, reference = ", ".join(fed), ", ".join(known)
                notes.append(f"content: the model receives {inputs}; the fingerprints are of {reference}")
        elif not match.complete:
            unnamed = plural(int((match.samples == UNKNOWN).sum()), "row")
            notes.append((match.why or match.identity + ": the source did not identify {}").format(unnamed))
    if proof is Proof.LABELS:
        notes.append(
            "which of several samples with equal labels a row is; metrics computed from the labels are right either way"
        )
    if proof is Proof.DECLARED and proof < policy.required_proof:
        notes.append(
            "which sample each row is: its position in the array, or the key beside it, is declared by the caller"
        )
    if proof < Proof.DECLARED:
        notes += _why_not_labels(evidence, policy)
    return notes


def _no_match(evidence: Evidence, match: Match) -> str:
    """The note on an identity that almost no row matches; for keys with one example of each side."""
    carried, keys = evidence.trace.keys, evidence.labels.keys
    if match.identity == "key" and carried is not None and keys is not None:
        stream, label, difference = key_differences.example(carried, keys)
        whose = f"{OF_PANDAS}: " if evidence.labels.keyed_by_index else ""
        return (
            f"key: {whose}no key in the stream matches a label key. "
            f"Stream: '{shown_key(stream)}'; labels: '{shown_key(label)}'.{visible(difference, MAX_KEY)}"
        )
    matched = int(np.count_nonzero(arrivals.known(match.samples, len(evidence.labels))))
    return (
        f"{match.identity}: almost none of the rows match the reference ({matched:,} of {evidence.trace.n_rows:,}), "
        "so it shows nothing about their order"
    )


def _why_not_labels(evidence: Evidence, policy: Policy) -> list[str]:
    comparison = evidence.comparison
    if not comparison.comparable:
        return [f"which sample each row is: {comparison.why_not}"] if comparison.why_not else []
    if comparison.rows.size:
        return []
    if not evidence.trace.pairs_x_with_y:
        return ["that x and y of a batch belong together: the dataset zips rows that it shuffles with others"]
    if evidence.repeated.size and policy.duplicate_inputs == "forbid":
        row, rows = int(evidence.repeated[0]), plural(evidence.repeated.size, "row")
        return [f"that no sample is repeated: the inputs of {rows} equal those of an earlier one (first: row {row:,})"]
    return []


def advice_for(evidence: Evidence, policy: Policy) -> str:
    """One line to paste: it proves or disproves the alignment, or allows what was found; empty if there is none."""
    if evidence.trace.not_confirmed in {ANY_ORDER, TOGETHER} and evidence.samples is not None:
        return "g.confirm(y_pred, y_true)  # the array that is scored, in label order"
    option = _fitting_option(evidence, policy)
    if option:
        return option
    if evidence.labels.keyed_by_index and evidence.used is None:
        return "evalguard.guard(labels=labels.to_numpy())  # if the index does not name rows: they count by position"
    several = len(evidence.trace.calls) > 1
    if evidence.samples is not None and evidence.used is not None and evidence.used.complete:
        # What is scored has the order that the caller gave it.
        in_order_made = several and not evidence.trace.confirmed
        return LOOP if in_order_made and any(item.reason is Reason.REORDERED for item in evidence.order) else ""
    if evidence.trace.rows_tagged(ALTERED).size:
        # No option proves anything of rows that were overwritten on their way; the diagnosis has the fix.
        return ""
    if evidence.comparison.comparable and evidence.repeated.size and policy.duplicate_inputs == "forbid":
        return 'evalguard.guard(labels=..., duplicate_inputs="allow")  # if the data has equal inputs; else reference=x'
    if any(match.identity == "content" and not match.comparable for match in evidence.matches):
        if several:
            return PREPARED_LOOP
        return "evalguard.guard(labels=..., reference=prepared(x_test))  # prepared as the model receives it"
    if evidence.labels.fingerprints is not None and evidence.trace.fingerprints is not None:
        return (
            'evalguard.guard(labels=..., key="id")  # or sample_indices(batch_index): content does not name every row'
        )
    if evidence.trace.method == "check":
        # Finished tables have no inputs; the diagnosis has the fix for keys that do not meet.
        return ""
    kind = evidence.trace.source.kind
    if evidence.labels.keys is not None and evidence.trace.keys is None:
        return 'evalguard.guard(labels=..., key="id")  # name of the entry of x that holds the key'
    if several:
        return f"{LOOP}; or reference=x_test"
    lines: Mapping[str, str] = {
        "generator": "evalguard.guard(labels=..., reference=x_test)  # inputs in label order",
        "pydataset": "def sample_indices(self, batch_index): ...  # label rows of that batch; or reference=x_test",
        "tf.data": "labels = evalguard.Labels.collect(dataset)  # labels and inputs in one pass; or reference=x_test",
    }
    return lines.get(kind, "evalguard.guard(labels=..., reference=x_test)  # inputs in label order")


def _fitting_option(evidence: Evidence, policy: Policy) -> str:
    """The option that allows what was found: padding, or a session of several calls."""
    n_labels, samples, trace = len(evidence.labels), evidence.samples, evidence.trace
    if samples is None or isinstance(samples, range):
        return ""
    head = samples[:n_labels]
    whole = len(samples) > n_labels and counts_up(head)
    if policy.padding == "forbid" and whole and padding_rows(trace, samples, n_labels):
        return "evalguard.guard(labels=..., padding='trim')  # if the rows after the last label are padding"
    short = trace.one_to_one and 0 < len(samples) < n_labels and bool(samples[0] >= 0)
    alone = policy.scope == "call" and len(trace.calls) < 2
    if trace.method != "check" and alone and short and counts_up(samples, int(samples[0])):
        return (
            "evalguard.guard(labels=..., scope='session')  # if several calls answer the labels together; or, in a "
            "loop over batches, for x, y in g.collecting(dataset)"
        )
    return ""
