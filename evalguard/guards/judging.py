"""Judge guarded calls: their joined trace against labels and reference; repair on request.

Longer than 300 lines because one object turns calls into a report, also again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.recording.fingerprints import FingerprintColumn
from evalguard.core import repair
from evalguard.core.confirmed import ANY_ORDER, TOGETHER, Scored, one_for_each_sample, sample_of_each
from evalguard.core.findings import Reason
from evalguard.core.judge import Judgement, judge, unproven
from evalguard.core.label_table import LabelTable, for_inputs
from evalguard.core.matching import is_comparable
from evalguard.core.plural import plural
from evalguard.core.policy import Policy, Verdict
from evalguard.core.report import Report
from evalguard.core.returned import as_returned
from evalguard.core.target_comparison import in_form_of
from evalguard.core.trace import ALTERED, UNKNOWN, Trace
from evalguard.core.trace_join import join_traces
from evalguard.errors import LabelsError
from evalguard.guards import predictions
from evalguard.guards.calls import ROW_METHODS, GuardedCall
from evalguard.guards.confirming import Confirmation, joined_columns, row_columns
from evalguard.guards.environment import versions
from evalguard.guards.metric_impact import impact
from evalguard.guards.metrics import Metric
from evalguard.guards.missing_rows import predict_missing
from evalguard.guards.outcome import Outcome, already_returned, refused, replace_outcome
from evalguard.labels.mismatch import explain_mismatch
from evalguard.labels.reference import Reference

# From the best to the worst.
WORSE = (Verdict.PASS, Verdict.REPAIRED, Verdict.UNPROVEN, Verdict.FAIL)
OVERLAP = (
    "calls were made in several threads or tasks, and nothing shows which one's rows come first; make them one after "
    "the other in one thread, or give each its labels and its guard"
)


@dataclass(slots=True, eq=False)
class CallJudge:
    """Judges calls, alone or several as one evaluation.

    Attributes:
        name: Name of the evaluation.
        policy: What the caller demands.
        reference: Inputs in label order, or None.
        fingerprinted: Labels with the fingerprints of their reference, by the
            specs of the inputs; kept by the guard.
        metrics: Metrics for which the report shows what a misalignment did.
        returned: What is judged from here on has been returned to the caller already.
    """

    name: str
    policy: Policy
    reference: Reference | None
    fingerprinted: dict[Any, LabelTable]
    metrics: tuple[Metric, ...]
    returned: bool = False

    def judge(
        self, calls: list[GuardedCall], labels: LabelTable | None, result: Any, start: float, *, in_parts: bool = False
    ) -> Outcome:
        """The outcome of calls that answer the labels together.

        Args:
            calls: In the order made.
            labels: In label order; None where there is only a reference.
            result: What the caller got; a list with one entry per call
                where there are several.
            start: ``time.perf_counter()`` from which judging counts as the guard's own time.
            in_parts: The calls have no order among them.
        """
        trace, labels, not_proven = self.joined(calls, labels, in_parts=in_parts)
        judged = one_for_each_sample(trace, labels, self._any_order(trace)) if in_parts else trace
        judgement = self._judge(judged, labels, not_proven)
        outcome = Outcome(
            judgement.report,
            judgement,
            labels,
            result,
            sample_of_each(trace, labels) if in_parts else judgement.samples,
            trace if in_parts else judgement.trace,
            len(calls),
            columns=joined_columns([call.columns for call in calls]),
            outputs=calls[0].recorder.outputs,
            notes=not_proven,
        )
        self._add_metrics(outcome, calls)
        # Of several calls the caller already has the parts; `_add_cost` reports their padding as a hazard.
        if judgement.padding and len(calls) == 1 and trace.method in ROW_METHODS:
            kept = np.arange(len(labels))
            outcome.predictions = predictions.take(result, kept)
            outcome.columns = outcome.columns and tuple(column[kept] for column in outcome.columns)
        if judgement.report.verdict is Verdict.FAIL and self.policy.on_failure == "repair":
            outcome = self._repaired(outcome, calls)
        self._add_cost(outcome, calls, start)
        return outcome

    def _any_order(self, trace: Trace) -> str:
        """Why it is not known which rows of several calls are scored where."""
        return TOGETHER if self.policy.scope == "call" else ANY_ORDER if trace.ordered else ""

    def joined(
        self, calls: list[GuardedCall], labels: LabelTable | None, *, in_parts: bool
    ) -> tuple[Trace, LabelTable, tuple[str, ...]]:
        """The calls as one trace, the labels with the fingerprints of their inputs, and what these could not prove."""
        values = None if labels is None else labels.values
        traces = [
            replace(call.trace, targets=in_form_of(values, call.trace.targets, call.recorder.outputs)) for call in calls
        ]
        trace = join_traces(
            named_by_part(in_label_order(traces, labels)) if in_parts else in_label_order(traces, labels)
        )
        if trace.ordered and not in_parts and overlap(calls):
            trace = replace(trace, ordered=False, unobserved="; ".join(filter(None, (OVERLAP, trace.unobserved))))
        # Digests are of the bytes that were fed, so the reference can be cast as one call was fed only.
        fed = dict.fromkeys(dtypes for call in calls if (dtypes := dtypes_of(call)))
        if len(fed) > 1:
            trace = replace(trace, fingerprints=None)
        labels, not_proven = self.with_reference(labels, calls[0].recorder.fingerprints, trace)
        if len(fed) > 1:
            types = " and ".join(", ".join(dtypes) for dtypes in fed)
            not_proven = (*not_proven, f"content: the calls were fed {types}; give all of them inputs of one type")
        if in_parts:
            ended = tuple(call.start + call.seconds for call in calls)
            in_threads = len(set(map(_maker, calls))) > 1
            trace = replace(as_returned(trace, labels), ended=ended, in_threads=in_threads)
        return trace, labels, not_proven

    def _judge(
        self, trace: Trace, labels: LabelTable, notes: tuple[str, ...], scored: Scored | None = None
    ) -> Judgement:
        return judge(
            trace,
            labels,
            self.policy,
            scored=scored,
            name=self.name,
            versions=versions(),
            checked_at_ms=int(time.time() * 1000),
            not_proven=notes,
        )

    def confirmed(self, outcome: Outcome, confirmation: Confirmation) -> Outcome:
        """The outcome, judged by what the caller scores."""
        trace, labels = outcome.trace, outcome.labels
        if trace is None or labels is None:
            return outcome
        repaired = outcome.report.verdict is Verdict.REPAIRED
        trace = trace_of_returned(outcome, trace, labels)
        choices = confirmation.against(outcome.columns, labels, outcome.outputs)
        judged = [self._judge(trace, labels, outcome.notes, scored) for scored in choices]
        # Outputs of few values may hold the same rows: the one that is scored fits best.
        judgement = min(judged, key=lambda each: (WORSE.index(each.report.verdict), len(each.report.wrong_rows)))
        found = judgement.report
        if repaired and found.verdict is Verdict.PASS:
            found = replace(outcome.report, chain=(*outcome.report.chain[:-1], found.chain[-1]))
        impact_of_scores = outcome.report.impact
        if judgement.trace.confirmed and confirmation.y_pred is not None:
            impact_of_scores = impact(self.metrics, judgement, labels, confirmation.y_pred, judgement.trace)
        report = replace(found, impact=impact_of_scores, cost=outcome.report.cost)
        return replace(outcome, report=report)

    def _add_metrics(self, outcome: Outcome, calls: list[GuardedCall]) -> None:
        judgement, labels, trace = outcome.judgement, outcome.labels, outcome.trace
        if judgement is None or labels is None or trace is None:
            return
        # The rows of parts are where the caller puts them.
        if trace.ended:
            return
        # `evaluate` has computed its metrics inside Keras; only predicted rows can be scored again.
        if self.metrics and trace.method in ROW_METHODS:
            whole = predictions.join_results([call.predictions for call in calls])
            outcome.report = replace(outcome.report, impact=impact(self.metrics, judgement, labels, whole, trace))
        names = tuple(dict.fromkeys(name for call in calls for name in call.metrics))
        if names and judgement.report.verdict is Verdict.FAIL:
            unfit = f"metrics unfit for use: {', '.join(names)}"
            outcome.report = replace(outcome.report, not_proven=(unfit, *outcome.report.not_proven))

    def _add_cost(self, outcome: Outcome, calls: list[GuardedCall], start: float) -> None:
        """Add the guard's own time and memory, and a hazard for padding that was returned."""
        # The recorder measures its work during the call; `start` is taken when judging begins.
        own = sum(call.recorder.seconds for call in calls) + time.perf_counter() - start
        whole = sum(call.seconds for call in calls)
        size = 0 if outcome.trace is None else outcome.trace.n_bytes
        cost = {"seconds": round(own, 6), "share": round(own / whole, 6) if whole else 0.0, "bytes": size}
        hazards = outcome.report.hazards
        judgement, labels = outcome.judgement, outcome.labels
        if judgement is not None and labels is not None and judgement.padding and self.returned:
            left = f"what was returned before this verdict ends with {judgement.padding} rows of padding"
            hazards = (*hazards, f"{left}: keep its first {len(labels)} rows")
        outcome.report = replace(outcome.report, cost=cost, hazards=hazards)

    def _repaired(self, outcome: Outcome, calls: list[GuardedCall]) -> Outcome:
        """The outcome with rows in label order, or with the reason why that was refused."""
        judgement, labels, trace = outcome.judgement, outcome.labels, outcome.trace
        if judgement is None or labels is None or trace is None:
            return outcome
        if trace.method not in ROW_METHODS:
            return refused(outcome, f"{trace.method} returns metrics, not rows")
        if self.returned:
            return refused(outcome, already_returned(trace.method, self.policy.scope, len(calls)))
        again = predict_missing(calls[0], trace, judgement, labels)
        fixed = predictions.repaired(outcome.predictions, judgement, len(labels), again)
        if isinstance(fixed, str):
            return refused(outcome, fixed)
        if any(finding.reason is Reason.COMPUTED for finding in judgement.report.findings):
            return refused(outcome, "the model moves rows, and only the rows of one batch were tested")
        # Wrong labels are not a matter of order: moved rows would still be scored against them.
        if says_labels_are_wrong(judgement.report):
            return refused(outcome, "the stream's own targets contradict the labels; moving rows cannot fix that")
        # A key or an index says which sample a row was to be when it was emitted, not what it held when it was fed.
        altered = trace.rows_tagged(ALTERED).size
        if altered and {item["identity"] for item in judgement.report.identities if item.get("used")} != {"content"}:
            return refused(outcome, f"{plural(altered, 'row')} changed on the way: only content shows what was fed")
        samples = np.arange(len(labels))
        report = replace(
            outcome.report,
            verdict=Verdict.REPAIRED,
            counts={**outcome.report.counts, "n_predictions": len(labels)},
            repair={**fixed.steps, "summary": repair.summary(fixed.steps), "refused": ""},
        )
        return replace(
            replace_outcome(outcome, report, fixed.predictions, samples), columns=row_columns(fixed.predictions)
        )

    def with_fingerprints(self, labels: LabelTable | None, fed: FingerprintColumn) -> LabelTable:
        """Labels with the fingerprints of the reference, cast as this model is fed.

        Raises:
            LabelsError: There is no reference, or it differs from the labels in length.
        """
        if self.reference is None:
            msg = f"{self.name}: expected a reference, found none"
            raise LabelsError(msg)
        # A reference by sample index ends with the labels, and these may have come late.
        if labels is not None and self.reference.n_labels is None:
            self.reference.n_labels = len(labels)
        # Keras casts arrays to `floatx` before it feeds them (keras 3.15, trainers/data_adapters/array_slicing.py), and
        # digests are of the bytes that were fed: each dtype needs its own pass over the reference.
        key = (fed.specs, fed.float64, None if labels is None else labels.digest)
        if key not in self.fingerprinted:
            self.fingerprinted[key] = combined(labels, self.reference, fed)
        found = self.fingerprinted[key]
        # The digest does not include the weights.
        return found if labels is None or found.weights is labels.weights else replace(found, weights=labels.weights)

    def with_reference(
        self, labels: LabelTable | None, fed: FingerprintColumn, trace: Trace
    ) -> tuple[LabelTable, tuple[str, ...]]:
        """Labels with the fingerprints of their inputs, and what they could not prove.

        Raises:
            LabelsError: There are neither labels nor a reference, or they
                differ in length.
        """
        # Without specs no batch was observed, and the reference cannot be cast as the model was fed.
        if self.reference is None or not fed.specs:
            if labels is None:
                msg = f"{self.name}: neither labels nor a reference that rows could be compared with"
                raise LabelsError(msg)
            return for_inputs(labels, tuple(map(str, fed.specs))), ()
        found = self.with_fingerprints(labels, fed)
        if fed.first_row is None or not is_other_data(trace, found):
            return found, ()
        return found, (f"content: {explain_mismatch(self.reference, fed.first_row, fed.specs)}",)

    def unproven(self, labels: LabelTable | None, reason: str) -> Report:
        """A report that says why there is no verdict on the predictions."""
        return unproven(
            labels, self.policy, reason, name=self.name, versions=versions(), checked_at_ms=int(time.time() * 1000)
        )


def trace_of_returned(outcome: Outcome, trace: Trace, labels: LabelTable) -> Trace:
    """The trace of the rows that the caller has: repaired ones are in label order, where they were proven again."""
    if outcome.report.verdict is not Verdict.REPAIRED:
        return trace
    index = np.arange(len(labels))
    return Trace(len(index), np.full(len(index), UNKNOWN), index, method=trace.method, sources=trace.sources)


def overlap(calls: list[GuardedCall]) -> bool:
    """Whether several threads or tasks made calls, so that nothing shows which one's rows the caller puts first."""
    # Also where they did not overlap in time: which one begins first is then a matter of chance.
    if len(set(map(_maker, calls))) > 1:
        return True
    in_time = sorted(calls, key=lambda call: call.start)
    return any(after.start < before.start + before.seconds for before, after in pairwise(in_time))


def named_by_part(traces: list[Trace]) -> list[Trace]:
    """The traces of parts: a place in the array that one of them was passed is no label row."""
    named = any(trace.index_source == "part" for trace in traces)
    return [
        trace
        if trace.index_source == "part" or (trace.index_source == "stated" and trace.index is not None)
        else replace(trace, index=np.full(trace.n_rows, UNKNOWN) if named else None, index_source="part")
        for trace in traces
    ]


def _maker(call: GuardedCall) -> tuple[int, int]:
    thread, task = call.made_by
    return id(thread), id(task)


def dtypes_of(call: GuardedCall) -> tuple[str, ...]:
    """The types of the inputs that were fingerprinted; empty if none were."""
    return tuple(spec.dtype for spec in call.recorder.fingerprints.specs)


def in_label_order(traces: list[Trace], labels: LabelTable | None) -> list[Trace]:
    """The traces, where an index that counts in a source's own list of keys is a label row, or left out.

    An image iterator counts in its own list of files. If the labels list other files, or the same in another order,
    such a number is no label row, and the file identifies the row instead. If they have no keys, they are declared to
    be in the iterator's order.
    """
    label_keys = None if labels is None else labels.keys
    listed = [trace for trace in traces if trace.index_source == "listed"]
    unused: dict[str, Any] = {}
    if label_keys is not None:
        # Of all calls alike: the traces are joined, and keep only what all of them have.
        unused["keys" if all(_lists_as(trace, label_keys) for trace in listed) else "index"] = None
    return [
        replace(trace, index_source="stated", **unused) if trace.index_source == "listed" else trace for trace in traces
    ]


def _lists_as(trace: Trace, label_keys: NDArray[Any]) -> bool:
    """Whether each row's key is the key of the label row that its index would be."""
    if trace.index is None or trace.keys is None:
        return False
    index = np.asarray(trace.index)
    inside = not len(index) or (index.min() >= 0 and index.max() < len(label_keys))
    return bool(inside) and np.array_equal(label_keys[index], trace.keys)


def is_other_data(trace: Trace, labels: LabelTable) -> bool:
    """Whether almost none of the rows that were fed match a sample of the reference."""
    rows, known = trace.fingerprints, labels.fingerprints
    return rows is not None and known is not None and not is_comparable(rows, known)


def combined(labels: LabelTable | None, reference: Reference, fed: FingerprintColumn) -> LabelTable:
    """Labels with the fingerprints of their reference inputs.

    Raises:
        LabelsError: Reference and labels differ in length.
    """
    rows, _ = reference.fingerprints(fed.specs)
    spec = tuple(str(leaf) for leaf in fed.specs)
    ambiguous = reference.is_ambiguous(rows, float64=fed.float64)
    if labels is None:
        return LabelTable(fingerprints=rows, spec=spec, name="reference", ambiguous=ambiguous)
    if len(rows) != len(labels):
        msg = f"reference: expected one row for each of the {len(labels)} labels, found {len(rows)}"
        raise LabelsError(msg)
    return replace(labels, fingerprints=rows, spec=spec, ambiguous=ambiguous, float64_fingerprints=None)


def says_labels_are_wrong(report: Report) -> bool:
    """Whether the stream itself contradicts the labels, which no reordering of rows can fix."""
    wrong = {finding.reason for finding in report.findings}
    # Targets that differ only because rows moved with them say nothing against the labels.
    moved = wrong & {Reason.REORDERED, Reason.DUPLICATE, Reason.MISSING, Reason.FOREIGN, Reason.COUNT}
    return Reason.IDENTITIES in wrong or (bool(wrong & {Reason.LABELS, Reason.CLASSES}) and not moved)
