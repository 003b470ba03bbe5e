"""Judge guarded calls: their joined trace against labels and reference; repair on request.

Longer than 300 lines because one object judges, confirms and repairs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evalguard.capture.recording.fingerprints import FingerprintColumn
from evalguard.core import repair
from evalguard.core.class_names import ClassNames
from evalguard.core.columns.chunks import n_distinct
from evalguard.core.confirmed import (
    ANY_ORDER,
    OTHER_ORDER,
    TOGETHER,
    Scored,
    one_for_each_sample,
    sample_of_each,
)
from evalguard.core.evidence import contradicted
from evalguard.core.findings import Finding, MetricImpact, Reason
from evalguard.core.judge import Judgement, judge, unproven
from evalguard.core.label_changes import checksum
from evalguard.core.label_origin import LabelOrigin
from evalguard.core.label_table import LabelTable, for_inputs
from evalguard.core.matching import is_comparable
from evalguard.core.own_errors import swallow
from evalguard.core.plural import plural
from evalguard.core.policy import Policy, Verdict
from evalguard.core.report import NO_CALL, Report
from evalguard.core.returned import as_returned
from evalguard.core.row_names import against_reference
from evalguard.core.trace import ALTERED, UNKNOWN, Int64, Trace
from evalguard.errors import LabelsError
from evalguard.guards import predictions
from evalguard.guards.by_index import by_index, keyed, named_by_files
from evalguard.guards.calls import ROW_METHODS, GuardedCall
from evalguard.guards.class_numbers import ClassNumbers, of_calls
from evalguard.guards.confirming import Confirmation, joined_columns, row_columns
from evalguard.guards.environment import versions
from evalguard.guards.joining import dtypes_of, one_trace
from evalguard.guards.judging_classes import judge_with_classes
from evalguard.guards.metric_impact import impact
from evalguard.guards.metrics import Metric
from evalguard.guards.missing_rows import predict_missing
from evalguard.guards.outcome import Outcome, already_returned, refused, replace_outcome
from evalguard.guards.predicted_classes import hazards_of
from evalguard.labels.mismatch import explain_mismatch
from evalguard.labels.reference import Reference

WORSE = tuple(Verdict)
CHANGED_LABELS = (
    "the arrays of labels or weights were changed in place since the guard was entered (a shuffle, a sort, a loop that "
    "fills them), so nothing shows which label belongs to which row; pass a copy, or set g.labels when they are whole"
)
CHANGED_REFERENCE = (
    "the arrays of the reference were changed in place since the guard was entered (a shuffle, a sort), so nothing "
    "shows which label belongs to which of their rows; pass a copy"
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
        as_read: The labels that were read at the entry, and a checksum of what they held then.
        late_changed: Whether labels that came later were changed after they were set.
        class_names: How the model numbers its classes, by output, as far as that was given.
    """

    name: str
    policy: Policy
    reference: Reference | None
    fingerprinted: dict[Any, LabelTable]
    metrics: tuple[Metric, ...]
    returned: bool = False
    as_read: tuple[LabelTable, int | None] | None = None
    late_changed: Callable[[], bool] = lambda: False
    class_names: Mapping[str, ClassNames] = field(default_factory=dict)

    def _changed(self, labels: LabelTable) -> str:
        """Why it is not known which labels are scored: the caller changed arrays since they were given."""
        if self.reference is not None and self.reference.changed:
            return CHANGED_REFERENCE
        if self.as_read is None:
            return CHANGED_LABELS if self.late_changed() else ""
        table, before = self.as_read
        if labels.values is not table.values:
            # Other labels have been set since.
            return CHANGED_LABELS if self.late_changed() else ""
        return CHANGED_LABELS if before is not None and checksum(table) != before else ""

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
        if changed := self._changed(labels):
            judged = replace(judged, not_confirmed="; ".join(filter(None, (judged.not_confirmed, changed))))
        classes = of_calls(self.class_names, labels, [call.source for call in calls], calls[0].predictions)
        judgement = self._judge(judged, labels, not_proven, classes)
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
            classes=classes,
        )
        self._add_classes(outcome, calls)
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
        labels = named_by_files([call.trace for call in calls], labels)
        trace = one_trace(calls, labels, in_parts=in_parts)
        # Digests are of the bytes that were fed, so the reference can be cast as one call was fed only.
        fed = dict.fromkeys(dtypes for call in calls if (dtypes := dtypes_of(call)))
        if len(fed) > 1:
            trace = replace(trace, fingerprints=None)
        labels, not_proven = self.with_reference(labels, calls[0].recorder.fingerprints, trace)
        if len(fed) > 1:
            types = " and ".join(", ".join(dtypes) for dtypes in fed)
            not_proven = (*not_proven, f"content: the calls were fed {types}; give all of them inputs of one type")
        trace, labels = by_index(trace, labels)
        return as_returned(trace, labels) if in_parts else trace, labels, not_proven

    def _judge(
        self,
        trace: Trace,
        labels: LabelTable,
        notes: tuple[str, ...],
        classes: ClassNumbers,
        scored: Scored | None = None,
    ) -> Judgement:
        def judged(trace: Trace, labels: LabelTable, found: Sequence[Finding], doubt: str = "") -> Judgement:
            return judge(
                trace,
                labels,
                self.policy,
                scored=scored,
                found=found,
                doubt="; ".join(filter(None, (classes.doubt, doubt))),
                name=self.name,
                versions=versions(),
                checked_at_ms=int(time.time() * 1000),
                not_proven=notes,
            )

        return judge_with_classes(classes, judged, trace, labels)

    def _judge_scored(
        self,
        trace: Trace,
        labels: LabelTable,
        notes: tuple[str, ...],
        classes: ClassNumbers,
        scored: Scored,
        confirmation: Confirmation,
    ) -> Judgement:
        """What is scored, judged; rows that were sorted or chosen together with their labels are no fault."""
        judgement = self._judge(trace, labels, notes, classes, scored)
        if judgement.report.verdict is Verdict.FAIL and judgement.trace.confirmed:
            samples = judgement.samples_array
            if samples is not None and _each_once(samples, labels) and confirmation.is_beside(samples, labels):
                unknown = "; ".join(filter(None, (scored.unknown, OTHER_ORDER)))
                # A fault of the rows as they were returned stays a fault.
                as_returned_only = replace(scored, rows=None, unknown=unknown, findings=())
                return self._judge(trace, labels, notes, classes, as_returned_only)
        return judgement

    def confirmed(self, outcome: Outcome, confirmation: Confirmation) -> Outcome:
        """The outcome, judged by what the caller scores."""
        trace, labels = outcome.trace, outcome.labels
        if trace is None or labels is None:
            return outcome
        repaired = outcome.report.verdict is Verdict.REPAIRED
        trace = trace_of_returned(outcome, trace, labels)
        beside = outcome.classes.as_scored(confirmation.y_true, labels)
        choices = confirmation.against(outcome.columns, beside, outcome.outputs)
        if changed := self._changed(labels):
            # Labels that were passed before the change, or after it, differ from these.
            choices = [
                replace(each, findings=(), unknown="; ".join(filter(None, (each.unknown, changed)))) for each in choices
            ]
        judged = [
            self._judge_scored(trace, labels, outcome.notes, outcome.classes, scored, confirmation)
            for scored in choices
        ]
        # Outputs of few values may hold the same rows: the one that is scored fits best.
        judgement = min(judged, key=lambda each: (WORSE.index(each.report.verdict), len(each.report.wrong_rows)))
        found = judgement.report
        if repaired and found.verdict is Verdict.PASS:
            found = replace(outcome.report, chain=(*outcome.report.chain[:-1], found.chain[-1]))
        impact_of_scores = outcome.report.impact
        if judgement.trace.confirmed and confirmation.y_pred is not None:
            impact_of_scores = self._impact(judgement, labels, outcome.classes, confirmation.y_pred, judgement.trace)
        report = replace(found, impact=impact_of_scores, cost=outcome.report.cost)
        return replace(outcome, report=report)

    def _add_classes(self, outcome: Outcome, calls: list[GuardedCall]) -> None:
        """Add what the predictions show of the classes, unless the numbers are already known to differ."""
        report, labels = outcome.report, outcome.labels
        found = {finding.reason for finding in report.findings}
        if (
            calls[0].trace.method not in ROW_METHODS
            or labels is None
            or labels.values is None
            or Reason.CLASSES in found
        ):
            return
        samples = outcome.samples
        if samples is None and not found and outcome.trace is not None and outcome.trace.n_rows == len(labels):
            samples = range(len(labels)) if len(calls) == 1 or not outcome.trace.ended else None
        try:
            whole = predictions.join_results([call.predictions for call in calls])
            hazards = hazards_of(outcome.classes, whole, samples, labels)
        except Exception as error:  # noqa: BLE001 - unusual outputs must cost neither predictions nor verdict
            swallow(error)
            return
        outcome.report = replace(report, hazards=(*report.hazards, *hazards))
        outcome.classes = replace(outcome.classes, hazards=(*outcome.classes.hazards, *hazards))

    def _impact(
        self, judgement: Judgement, labels: LabelTable, classes: ClassNumbers, whole: Any, trace: Trace
    ) -> dict[str, MetricImpact] | None:
        """The metrics: those with a name take labels as class numbers, the caller's take them as they were given."""
        numbers = classes.as_numbers(labels)
        if numbers is labels:
            return impact(self.metrics, judgement, labels, whole, trace)
        each = (impact([one], judgement, numbers if one.by_name else labels, whole, trace) for one in self.metrics)
        return {name: value for found in each for name, value in (found or {}).items()} or None

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
            found = self._impact(judgement, labels, outcome.classes, whole, trace)
            outcome.report = replace(outcome.report, impact=found)
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
            padding, rows = plural(judgement.padding, "row"), plural(len(labels), "row")
            left = f"the rows returned before this verdict end with {padding} of padding"
            hazards = (*hazards, f"{left}: keep the first {rows}")
        outcome.report = replace(outcome.report, cost=cost, hazards=hazards)

    def _repaired(self, outcome: Outcome, calls: list[GuardedCall]) -> Outcome:
        """The outcome with rows in label order, or with the reason why that was refused."""
        judgement, labels, trace = outcome.judgement, outcome.labels, outcome.trace
        if judgement is None or labels is None or trace is None:
            return outcome
        if trace.method not in ROW_METHODS:
            return refused(outcome, f"{trace.method} returns metrics, not rows")
        if judgement.report.proof < self.policy.required_proof:
            return refused(outcome, f"the proof is {judgement.report.proof}, weaker than {self.policy.require}")
        if self.returned:
            return refused(outcome, already_returned(trace.method, self.policy.scope, len(calls)))
        if labels.keyed_by_index and labels.row_names is not None and labels.row_names.was_by_default:
            return refused(outcome, "the pandas index may have been reset on one side (reset_index); pass key=")
        again = predict_missing(calls[0], trace, judgement, labels)
        fixed = predictions.repaired(outcome.predictions, judgement, len(labels), again)
        if isinstance(fixed, str):
            return refused(outcome, fixed)
        if any(finding.reason is Reason.COMPUTED for finding in judgement.report.findings):
            return refused(outcome, "the model moves rows, and only the rows of one batch were tested")
        if any(item.reason is Reason.CLASSES for item in judgement.report.findings):
            return refused(outcome, "the labels number the classes otherwise; moving rows cannot fix that")
        # Wrong labels are not a matter of order: moved rows would still be scored against them.
        numbers = labels if outcome.classes.assumed else outcome.classes.as_numbers(labels)
        samples = judgement.samples_array
        if says_labels_are_wrong(judgement.report) or (
            samples is not None and contradicted(judgement.trace, numbers, samples)
        ):
            return refused(outcome, "the stream's own targets contradict the labels; moving rows cannot fix that")
        # A key or an index says which sample a row was to be when it was emitted, not what it held when it was fed.
        altered = trace.rows_tagged(ALTERED).size
        if altered and {item["identity"] for item in judgement.report.identities if item.get("used")} != {"content"}:
            return refused(outcome, f"{plural(altered, 'row')} changed before the model: only content identifies them")
        samples = np.arange(len(labels))
        report = replace(
            outcome.report,
            verdict=Verdict.REPAIRED,
            counts={**outcome.report.counts, "n_predictions": len(labels)},
            repair={**fixed.steps, "summary": repair.summary(fixed.steps), "refused": ""},
        )
        # What was moved has the digests that it had.
        known = outcome.columns if not fixed.steps["predicted_again"] else None
        columns = row_columns(fixed.predictions) if known is None else tuple(column[fixed.rows] for column in known)
        return replace(replace_outcome(outcome, report, fixed.predictions, samples), columns=columns)

    def with_fingerprints(self, labels: LabelTable | None, fed: FingerprintColumn) -> LabelTable:
        """Labels with the fingerprints of the reference, cast as for this model.

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
        found = self.fingerprinted.get(key)
        # The digest of labels with keys is that of any order; the fingerprints are in the order of the reference.
        if found is None or not (labels is None or _in_same_order(found, labels)):
            found = self.fingerprinted[key] = combined(labels, self.reference, fed)
        if labels is None:
            return found
        # The digest includes neither weights, nor an index, nor names of classes, nor the dtype of the labels.
        others = ("values", "weights", "row_names", "by_index", "keys", "classes")
        if any(getattr(found, name) is not getattr(labels, name) for name in others):
            found = replace(found, **{name: getattr(labels, name) for name in others})
        if self.reference.row_names is None or labels.row_names is None or labels.keys is not None:
            return found
        return keyed(found, against_reference(self.reference.row_names, labels.row_names))

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
                msg = f"{self.name}: expected labels or a reference to compare rows with, found neither"
                raise LabelsError(msg)
            return for_inputs(labels, tuple(map(str, fed.specs))), ()
        found = self.with_fingerprints(labels, fed)
        if fed.first_row is None or not is_other_data(trace, found):
            return found, ()
        return found, (f"content: {explain_mismatch(self.reference, fed.first_row, fed.specs)}",)

    def unproven(
        self, labels: LabelTable | None, reason: str, n_predictions: int | None = None, method: str = NO_CALL
    ) -> Report:
        """A report that says why there is no verdict on the predictions."""
        return unproven(
            labels,
            self.policy,
            reason,
            n_predictions=n_predictions,
            method=method,
            name=self.name,
            versions=versions(),
            checked_at_ms=int(time.time() * 1000),
        )


def _each_once(samples: Int64, labels: LabelTable) -> bool:
    """Whether each of these is a labelled sample, and none comes twice."""
    known = bool(((samples >= 0) & (samples < len(labels))).all())
    return known and n_distinct(samples) == len(samples)


def _in_same_order(found: LabelTable, labels: LabelTable) -> bool:
    """Whether labels with the same digest have the same rows in the same order."""
    if labels.keys is None or labels.keyed_by_index or labels.keys is found.keys:
        return True
    return found.keys is not None and np.array_equal(found.keys, labels.keys)


def trace_of_returned(outcome: Outcome, trace: Trace, labels: LabelTable) -> Trace:
    """The trace of the rows that the caller has: repaired ones are in label order, where they were proven again."""
    if outcome.report.verdict is not Verdict.REPAIRED:
        return trace
    index = np.arange(len(labels))
    return Trace(len(index), np.full(len(index), UNKNOWN), index, method=trace.method, sources=trace.sources)


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
        origin = LabelOrigin(row_lengths=reference.row_lengths)
        return LabelTable(fingerprints=rows, spec=spec, name="reference", ambiguous=ambiguous, origin=origin)
    if len(rows) != len(labels):
        msg = f"reference: expected one row for each of the {plural(len(labels), 'label')}, found {len(rows):,}"
        raise LabelsError(msg)
    origin = replace(labels.origin, row_lengths=reference.row_lengths)
    return replace(labels, fingerprints=rows, spec=spec, ambiguous=ambiguous, float64_fingerprints=None, origin=origin)


def says_labels_are_wrong(report: Report) -> bool:
    """Whether the stream itself contradicts the labels, which no reordering of rows can fix."""
    wrong = {finding.reason for finding in report.findings}
    # Targets that differ only because rows moved with them say nothing against the labels.
    moved = wrong & {Reason.REORDERED, Reason.DUPLICATE, Reason.MISSING, Reason.FOREIGN, Reason.COUNT}
    return Reason.IDENTITIES in wrong or (bool(wrong & {Reason.LABELS, Reason.CLASSES}) and not moved)
