"""The validations of one ``fit``, compared with each other: metrics of different samples are not comparable.

The first validation takes the role of the labels. Its rows are the samples, in
any order, and each later validation must hold each of them once, with its target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalguard.core.diagnosis.validation import drift
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Finding, Reason
from evalguard.core.judge import Judgement, judge, unproven
from evalguard.core.label_table import LabelTable, Values
from evalguard.core.plural import plural, verb
from evalguard.core.policy import Policy, Verdict
from evalguard.core.report import Report
from evalguard.core.trace import FIT, Trace

# Name of the labels of such a report, up to the number of the epoch.
SCORED = "validation of epoch"
MAX_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """The rows that one epoch was validated on.

    Attributes:
        epoch: Number of the epoch, from 1.
        trace: The rows that were scored, with their fingerprints.
    """

    epoch: int
    trace: Trace


@dataclass(frozen=True, slots=True, eq=False)
class _ComparedEpoch:
    """A later validation, judged against the first one."""

    epoch: int
    trace: Trace
    judgement: Judgement

    @property
    def verdict(self) -> Verdict:
        return self.judgement.report.verdict

    @property
    def wrong(self) -> int:
        """Number of rows that differ from those of the first validation, or are missing."""
        counts = {name: count or 0 for name, count in self.judgement.report.counts.items()}
        if self.judgement.samples is None:
            return max(counts["label_disagreements"], abs(counts["n_predictions"] - counts["n_labels"]))
        return max(counts["missing"], counts["foreign"] + counts["duplicate"], counts["label_disagreements"])


def judge_validations(validations: Sequence[Validation], policy: Policy, **context: Any) -> Report:
    """Judge whether all validations were scored on the samples of the first one.

    Args:
        validations: The validations of one ``fit``, oldest first.
        policy: What the caller requires. With ``require="labels"``, equal
            targets in the same order are enough, for inputs that are augmented
            at random.
        **context: Further fields of ``Report``.
    """
    problem = _unjudged(validations)
    if problem:
        report = unproven(
            _as_labels(validations[0]) if validations and validations[0].trace.n_rows else None,
            policy,
            problem,
            **context,
        )
        return replace(report, method=FIT, calls=tuple(item.trace.n_rows for item in validations))
    first, labels = validations[0], _as_labels(validations[0])
    compared = [_compare(item, labels, policy, context) for item in validations[1:]]
    wrong = [item for item in compared if item.verdict is Verdict.FAIL]
    weak = [item for item in compared if item.verdict is Verdict.UNPROVEN]
    # The report shows the details of the first epoch that differs or is not proven.
    shown = (wrong or weak or compared)[0]
    report = replace(
        shown.judgement.report, calls=tuple(item.trace.n_rows for item in validations), wrong_rows=(), advice=""
    )
    if wrong:
        return _failed(report, first, wrong, shown, labels, len(validations))
    if weak:
        return replace(report, not_proven=tuple(_notes(weak, first)), advice=_ADVICE)
    return replace(report, not_proven=())


_ADVICE = 'evalguard.ValidationGuard(require="labels")  # if the validation data is augmented at random'


def _unjudged(validations: Sequence[Validation]) -> str:
    if not validations:
        return (
            "no validation inside `fit` was observed: there was no validation data, or the model overrides "
            "how it validates"
        )
    for item in validations:
        if item.trace.unobserved:
            return f"epoch {item.epoch}: not every row was observed: {item.trace.unobserved}"
        if not item.trace.n_rows or item.trace.fingerprints is None:
            return f"epoch {item.epoch}: no row of the validation was observed"
    if len(validations) == 1:
        return f"only one validation was observed (epoch {validations[0].epoch}), so there is none to compare it with"
    return ""


def _as_labels(first: Validation) -> LabelTable:
    targets, trace = first.trace.targets, first.trace
    values: Values | None = targets
    if isinstance(targets, (tuple, list)):
        values = {str(number): part for number, part in enumerate(targets)}
    return LabelTable(values=values, fingerprints=trace.fingerprints, spec=trace.spec, name=f"{SCORED} {first.epoch}")


def _compare(item: Validation, labels: LabelTable, policy: Policy, context: Mapping[str, Any]) -> _ComparedEpoch:
    trace = replace(item.trace, ordered=False, method=FIT)
    return _ComparedEpoch(item.epoch, trace, judge(trace, labels, policy, **context))


def _failed(
    report: Report,
    first: Validation,
    wrong: Sequence[_ComparedEpoch],
    shown: _ComparedEpoch,
    labels: LabelTable,
    total: int,
) -> Report:
    each = ", ".join(f"{item.wrong:,} of {item.trace.n_rows:,} in epoch {item.epoch}" for item in wrong[:MAX_NAMED])
    message = (
        f"{_epochs(wrong)} ({plural(total, 'validation')} in all) {verb(len(wrong), 'was', 'were')} validated on "
        f"other samples than epoch {first.epoch}. Wrong or missing rows: {each}"
    )
    return replace(
        report,
        findings=(Finding(Reason.DRIFT, sum(item.wrong for item in wrong), message),),
        diagnosis=(drift(View(shown.trace, labels, shown.judgement.samples_array)),),
        not_proven=(f"not comparable with epoch {first.epoch}: the val_* metrics of {_epochs(wrong)}",),
        chain=(),
    )


def _epochs(items: Sequence[_ComparedEpoch]) -> str:
    """``epoch 2``, or ``epochs 2, 3, 5``."""
    named = ", ".join(str(item.epoch) for item in items[:MAX_NAMED])
    more = f" and {len(items) - MAX_NAMED:,} more" if len(items) > MAX_NAMED else ""
    return f"epoch{'' if len(items) == 1 else 's'} {named}{more}"


def _notes(weak: Sequence[_ComparedEpoch], first: Validation) -> list[str]:
    item = weak[0]
    notes = [f"{_epochs(weak)}: {note}" for note in item.judgement.report.not_proven]
    if item.judgement.samples is None:
        notes.insert(
            0,
            f"{_epochs(weak)}: almost none of the rows match those of epoch {first.epoch}, although the targets are "
            "equal: the inputs are augmented at random, or these are other samples with equal targets",
        )
    return notes
