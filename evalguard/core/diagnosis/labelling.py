"""Rows paired with the wrong labels: a label file in another order, targets that belong to other rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evalguard.core import target_comparison
from evalguard.core.checks import shifted_by
from evalguard.core.diagnosis.catalogue import cause, given_labels
from evalguard.core.diagnosis.orders import same_values
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause, Finding
from evalguard.core.plural import plural, verb
from evalguard.core.shifts import shift_of_samples
from evalguard.core.shown_keys import shown_key

# Other rows may have the same label, so a cause is certain only if at least one label in so many differs.
FEW = 4
# ``float32(10, 3)``: rows of 10 steps.
STEPS = re.compile(r"\((\d+)")


def label_file(view: View) -> Cause | None:
    """The stream is in order, yet its own targets differ from the labels."""
    differ = view.against_rows.rows
    if not view.aligned or not differ.size:
        return None
    shift = _shift(view)
    permuted = target_comparison.same_multiset(view.trace.targets, view.labels.values)
    if shift and not permuted:
        return None
    evidence = (
        f"{'every row is in position' if view.trace.ordered else 'each sample has one row'}, and "
        f"{plural(differ.size, 'row')} {verb(differ.size, 'carries', 'carry')} "
        "another target than the label"
    )
    if shift:
        evidence += f"; label i + {shift:,} matches row i" if shift > 0 else f"; label i - {-shift:,} matches row i"
    elif permuted:
        evidence += ", of the same values in another order"
    given = given_labels(view)
    return cause(
        view,
        "label_file" if permuted else "other_labels",
        # A few corrected labels may hold the same values as before by chance; and where the stream's own targets are
        # scored, either side may be wrong.
        certain=permuted and view.by_content and view.trace.ordered and FEW * differ.size >= view.n,
        evidence=evidence,
        fixes=("label_file",),
        given=given,
        # An array has no keys.
        table="table" if given == "y_true" or ".npy" in given else given,
    )


def class_codes(view: View, findings: Sequence[Finding], mapping: Mapping[Any, Any]) -> Cause:
    """Model, labels and stream number the classes differently, by their names or by the values of equal rows.

    Args:
        view: What was observed.
        findings: Those about classes.
        mapping: Class number in the stream → the label that it stands for, where they differ.
    """
    by_row = view.against_rows.rows.size > 0
    name, given = ("codes_differ" if by_row else "classes"), given_labels(view)
    # If both sides have the same numbers, a person may have swapped two classes; an encoder gives other numbers.
    certain = not by_row or mapping.keys() != set(mapping.values())
    return cause(view, name, certain=certain, evidence=findings[0].message, given=given)


def other_order(view: View) -> Cause | None:
    """The stream's targets are the labels in another order; nothing shows which sample a row is."""
    known = view.samples is not None or not view.trace.ordered or not view.against_rows.rows.size
    if known or _shift(view) or not target_comparison.same_multiset(view.trace.targets, view.labels.values):
        return None
    facts = view.facts
    if facts.get("shuffle") or "shuffle_buffer" in facts or facts.get("unordered") or view.used_before:
        return None
    rows = plural(view.against_rows.rows.size, "row")
    evidence = f"at {rows} the stream's target is not the label, and both sides hold each value as often"
    evidence += "; nothing in the source changes the order" if view.keeps_order else ""
    return cause(view, "other_order", certain=False, evidence=evidence, given=given_labels(view))


def unpaired(view: View) -> Cause | None:
    """The target of a row is not the label of the sample in the row."""
    if view.samples is None or view.aligned or not view.moved:
        return None
    differ = view.against_samples.rows.size if same_values(view) else 0
    branches = view.fact("shuffled_branches")
    if not differ and (branches < 2 or view.trace.targets is None):
        return None
    clues = []
    if differ:
        named = plural(int(np.count_nonzero(view.known)), "row")
        clues.append(f"at {differ:,} of {named} the stream's target is not the label of the sample in the row")
        if not view.against_rows.rows.size:
            clues.append("it equals the label at the row's own index, so a comparison of targets finds nothing wrong")
    if branches > 1:
        clues.append(f"the {view.name} joins {branches:,} branches that are each shuffled separately")
    return cause(view, "unpaired", certain=bool(differ) and branches > 1, evidence="; ".join(clues))


def shifted(view: View) -> Cause | None:
    """Every target equals the label a fixed number of rows away, such as where windows get labels of other steps."""
    shift = _shift(view)
    if not shift or not (view.samples is None or view.aligned):
        return None
    # If both sides hold the same values, `label_file` names the cause.
    if view.aligned and target_comparison.same_multiset(view.trace.targets, view.labels.values):
        return None
    evidence = shifted_by(shift)
    steps, window = _steps(view), ""
    if steps > 2 and abs(shift) == steps - 1:
        evidence += f"; that fits windows of {steps:,} steps, as each row holds: {abs(shift):,} = {steps:,} - 1"
        window = "window"
    if not window and view.samples is None:
        evidence += "; nothing shows which of the two is wrong"
    fix = f"{window or 'labels'}_{'late' if shift < 0 else 'early'}"
    certain = view.aligned and view.by_content
    given, by = given_labels(view), abs(shift)
    return cause(view, "shifted", certain=certain, evidence=evidence, fixes=(fix,), given=given, by=by)


def fewer_windows(view: View) -> Cause | None:
    """The stream's targets are the first labels, and one label less than a window has steps is left over."""
    steps, left = _steps(view), view.n - view.n_rows
    compared = view.against_rows
    if steps < 3 or left != steps - 1 or not compared.comparable or compared.rows.size:
        return None
    if view.trace.targets is None or (view.samples is not None and not view.in_order):
        return None
    evidence = (
        f"{plural(view.n_rows, 'window')} of {steps:,} steps for {plural(view.n, 'label')}: target i is label i, "
        f"so the last {plural(left, 'label')} have no window"
    )
    return cause(view, "fewer_windows", certain=False, evidence=evidence, given=given_labels(view))


def shifted_rows(view: View) -> Cause | None:
    """Row i is sample i + k, by its content or key."""
    if view.kind not in {"arrays", "batch"} or view.samples is None or not view.trace.ordered:
        return None
    if not view.by_content and numbered_from_one(view) is not None:
        return None
    shift = shift_of_samples(view.samples, view.n)
    # Fewer rows that all have a label are a part that was chosen.
    if not shift or (view.n_rows < view.n and not view.foreign):
        return None
    way = f"begin {plural(shift, 'row')} late" if shift > 0 else f"begin with {plural(-shift, 'row')} of other samples"
    evidence = f"row i is sample i {'+' if shift > 0 else '-'} {abs(shift):,}: the inputs {way}"
    return cause(view, "shifted_rows", certain=True, evidence=evidence, by=abs(shift))


def numbered_from_one(view: View) -> Cause | None:
    """The label rows that the source states are 1 to n instead of 0 to n - 1."""
    index = view.trace.index
    if index is None or view.trace.index_source != "stated" or len(index) != view.n:
        return None
    rows = np.asarray(index)
    if rows.min() != 1 or rows.max() != view.n or len(np.unique(rows)) != view.n:
        return None
    certain = view.by_content and view.samples is not None and np.array_equal(rows - 1, view.samples)
    evidence = f"the rows are numbered from 1 to {view.n:,}, label rows from 0 to {view.n - 1:,}"
    evidence += "; the content of each row is that of the sample before" if certain else ""
    return cause(view, "numbered_from_one", certain=certain, evidence=evidence, given=given_labels(view))


def unlike_index(view: View) -> Cause | None:
    """The pandas index of the inputs, or of the reference, is not that of the labels."""
    found = view.labels.by_index
    if found is None or found.of not in {"inputs", "reference"}:
        return None
    if found.finding is not None:
        return cause(view, "index_of_reference", certain=True, evidence=found.finding.message)
    if found.keys is None or view.in_order or not view.known.any():
        return None
    ours, theirs = found.keys
    least = min(len(ours), len(theirs))
    apart = np.flatnonzero(ours[:least] != theirs[:least])
    if not apart.size:
        return None
    first = int(apart[0])
    evidence = (
        f"at {apart.size:,} of {plural(least, 'row')} they differ, first at row {first:,}: "
        f"'{shown_key(ours[first])}' in x, '{shown_key(theirs[first])}' in the labels; "
    )
    if not view.foreign and not view.missing.size:
        evidence += "they hold the same names in another order"
        return cause(view, "index", certain=True, evidence=evidence)
    without = plural(view.missing.size, "label")
    evidence += f"{plural(view.foreign, 'row')} of x without a label, {without} without a row"
    return cause(view, "index", certain=True, evidence=evidence, fixes=("index_of_other_rows",))


def _shift(view: View) -> int:
    """The k with target i = label i + k; 0 where there is none."""
    if not (view.trace.ordered and view.against_rows.comparable):
        return 0
    return target_comparison.shift(view.trace.targets, view.labels.values)


def _steps(view: View) -> int:
    """How many steps a row has, where rows are windows of a series; 0 where its shape is not known."""
    found = STEPS.search(view.trace.spec[0]) if len(view.trace.spec) == 1 else None
    return int(found[1]) if found else 0
