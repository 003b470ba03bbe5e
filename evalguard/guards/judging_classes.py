"""A trace judged with what is known of the classes: labels in the form of the stream's targets, and their findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evalguard.core.checks import first_cases
from evalguard.core.class_names import (
    NO_NAME,
    class_numbers_in,
    numbered,
    numbered_otherwise,
    numbers_present,
    otherwise_text,
    translation,
)
from evalguard.core.findings import Finding, Reason
from evalguard.core.judge import Judgement
from evalguard.core.label_table import LabelTable
from evalguard.core.report import Report
from evalguard.core.trace import Trace
from evalguard.guards.class_numbers import ClassNumbers, holds_numbers
from evalguard.guards.other_numbers import contradict, one_to_one

ASSUMED_DIFFER = "the stream's own targets differ from the labels with names numbered in sorted order"
NO_NUMBERS = (
    "no numbering of the names makes the stream's own targets equal to the labels: rows were exchanged, or the labels "
    "are another version"
)
HOW_TO_SAY = "pass the names in the model's order: classes=[...]"


def judge_with_classes(
    classes: ClassNumbers, judge: Callable[..., Judgement], trace: Trace, labels: LabelTable
) -> Judgement:
    """The judgement of a trace, with what is found of the classes.

    Args:
        classes: How they are numbered.
        judge: Judges a trace against labels; takes further findings, too.
        trace: What was observed.
        labels: As they were given.
    """
    notes: tuple[str, ...] = ()
    hazards = classes.hazards
    targets = trace.targets if trace.scored_targets is None else trace.scored_targets
    in_numbers = targets is not None and holds_numbers(targets)
    if classes.assumed:
        judgement = judge(trace, classes.as_numbers(labels) if in_numbers else labels, classes.findings)
        if in_numbers and not _agree(judgement.report):
            fitting, doubt = _beside(classes, targets, labels, judgement.samples)
            judgement = judge(trace, fitting, classes.findings, doubt)
            listed = "; ".join(numbered(names) for names in classes.names.values() if names.assumed)
            hazards += (f"{ASSUMED_DIFFER} ({listed}), so they were not compared; {HOW_TO_SAY}",)
        elif in_numbers:
            notes = (f"which number each name in the labels has: sorted order was assumed; {HOW_TO_SAY}",)
    else:
        as_numbers = classes.as_numbers(labels) if in_numbers else labels
        judgement = _with_stream(classes, judge, trace, as_numbers)
        placed = trace.ordered or judgement.samples is not None
        if in_numbers and placed and classes.values and Reason.LABELS.value not in judgement.report.checks:
            _, doubt = _beside(classes, targets, labels, judgement.samples)
            judgement = judge(trace, as_numbers, classes.findings, doubt) if doubt else judgement
    report, about = judgement.report, _about(classes)
    if hazards or about:
        hazards, notes = (*report.hazards, *hazards), (*report.not_proven, *notes)
        report = replace(report, hazards=hazards, not_proven=notes, labels={**report.labels, **about})
    return replace(judgement, report=report)


def _beside(classes: ClassNumbers, targets: Any, labels: LabelTable, samples: Any) -> tuple[LabelTable, str]:
    """The labels as the stream numbers them, and why no numbering of some of them gives the stream's targets."""
    both = {"": targets} if "" in classes.values else targets
    if not isinstance(both, Mapping):
        return labels, ""
    fits, encoded, doubts = {}, {}, []
    for output, values in classes.values.items():
        numbers = class_numbers_in(both.get(output))
        at = np.arange(len(values)) if samples is None else np.asarray(samples)
        if numbers is None or len(numbers) != len(at):
            continue
        known = (at >= 0) & (at < len(values)) & (numbers >= 0)
        ours, theirs = values[at[known]], numbers[known]
        if np.array_equal(ours, theirs):
            fits[output] = values
        elif (codes := one_to_one(ours, theirs)) is not None and values.max() < len(codes):
            encoded[output] = codes[values]
        elif contradict(ours, theirs):
            doubts.append(f"output {output!r}: {NO_NUMBERS}" if output else NO_NUMBERS)
    doubt = "; ".join(doubts)
    if isinstance(labels.values, Mapping) and labels.values.keys() - encoded.keys():
        # With the stream's own numbers the other outputs can be compared; these numbers are no evidence.
        fits |= encoded
    return (replace(classes, values=fits).as_numbers(labels), doubt) if fits else (labels, doubt)


def _with_stream(classes: ClassNumbers, judge: Callable[..., Judgement], trace: Trace, labels: LabelTable) -> Judgement:
    """The judgement, where the stream may number the classes otherwise than the labels, and says how."""
    ours, theirs = classes.stream, classes.names.get("")
    numbers = class_numbers_in(trace.targets) if classes.stream_differs and not classes.findings else None
    if ours is None or theirs is None or numbers is None:
        return judge(trace, labels, classes.findings)
    present = numbers_present(numbers)
    differ = numbered_otherwise(ours, theirs, present)
    # Too few names cannot be the names of these numbers.
    if not differ or present[-1] >= len(ours.names):
        return judge(trace, labels, ())
    rows = np.flatnonzero(np.isin(numbers, differ))
    message = otherwise_text("the stream's targets", ours, theirs, differ)
    finding = Finding(Reason.CLASSES, len(rows), message, first_cases(rows))
    # Names say themselves which class they mean.
    as_it_is = None if classes.values else judge(trace, labels, ())
    if (classes.given and not trace.ordered) or (as_it_is is not None and _agree(as_it_is.report)):
        # The model scored the stream's numbers, or the labels have them.
        return judge(trace, labels, (finding,))
    number_of = translation(ours, theirs)
    known = (numbers >= 0) & (numbers < len(number_of))
    translated = np.where(known, number_of[np.where(known, numbers, 0)], NO_NAME)
    again = judge(replace(trace, targets=translated), labels, ())
    return again if as_it_is is None or _agree(again.report) else as_it_is


def _about(classes: ClassNumbers) -> dict[str, Any]:
    """For the report: the names that were used, and where they come from."""
    used = {**classes.names, **classes.given}
    if not used:
        return {}
    origins = ", ".join(dict.fromkeys(names.source for names in used.values()))
    every = {output: list(names.names) for output, names in used.items()}
    return {"classes": every[""] if list(every) == [""] else every, "classes_from": origins}


def _agree(report: Report) -> bool:
    """Whether the stream's targets were compared with the labels, and are equal to them."""
    return Reason.LABELS.value in report.checks and not report.counts["label_disagreements"]
