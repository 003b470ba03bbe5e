"""Rows paired with the wrong labels: a label file in another order, targets that belong to other rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalguard.core import target_comparison
from evalguard.core.diagnosis.catalogue import cause
from evalguard.core.diagnosis.orders import same_values
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause, Finding
from evalguard.core.plural import plural
from evalguard.core.trace import Int64

MAX_SHIFT = 16


def label_file(view: View) -> Cause | None:
    """The stream is in order, yet its own targets differ from the labels."""
    differ = view.against_rows.rows
    if not view.aligned or not differ.size:
        return None
    shift = _shift(view)
    permuted = shift is not None or target_comparison.same_multiset(view.trace.targets, view.labels.values)
    evidence = (
        f"every row is in position, and {plural(differ.size, 'row')} {'carries' if differ.size == 1 else 'carry'} "
        "another target than the label"
    )
    if shift is not None:
        evidence += f"; label i + {shift} matches row i" if shift > 0 else f"; label i - {-shift} matches row i"
    elif permuted:
        evidence += ", of the same values in another order"
    given = _given_labels(view)
    return cause(
        view,
        "label_file" if permuted else "other_labels",
        certain=permuted and view.by_content,
        evidence=evidence,
        fixes=("label_file",),
        given=given,
        table="table" if given == "y_true" else given,
    )


def class_codes(view: View, findings: Sequence[Finding]) -> Cause:
    """Model, labels and stream number the classes differently, by their names or by what stands at the same rows."""
    by_row = view.against_rows.rows.size > 0
    name, given = ("codes_differ" if by_row else "classes"), _given_labels(view)
    return cause(view, name, certain=True, evidence=findings[0].message, given=given)


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
        clues.append(f"the {view.name} joins {branches} branches that are each shuffled separately")
    return cause(view, "unpaired", certain=bool(differ) and branches > 1, evidence="; ".join(clues))


def shifted(view: View) -> Cause | None:
    """With samples unknown: every target equals the label a fixed number of rows away."""
    if view.samples is not None or not view.against_rows.rows.size:
        return None
    shift = _shift(view)
    if shift is None:
        return None
    way = "ahead of" if shift > 0 else "behind"
    evidence = (
        f"the stream's targets are {plural(abs(shift), 'row')} {way} the labels; "
        "nothing shows which of the two is wrong"
    )
    return cause(view, "shifted", certain=False, evidence=evidence, given=_given_labels(view))


def _given_labels(view: View) -> str:
    """The labels as code: the file name if they came from a file, else ``y_true``."""
    name = view.labels.name
    return repr(name) if "." in name else "y_true"


def _shift(view: View) -> int | None:
    """The likely shift k with target i = label i + k at every row, modulo the length; None if there is none."""
    if not (view.trace.ordered and view.against_rows.comparable) or view.n_rows != view.n:
        return None
    sizes = {1, 2, *range(MAX_SHIFT + 1)} | {view.batch * count for count in (1, 2, 3, 4)}
    shifts = sorted({sign * size for size in sizes for sign in (1, -1)} - {0}, key=lambda shift: (abs(shift), -shift))
    fits = [shift for shift in shifts if abs(shift) <= view.n // 2 and _fits(view, shift)]
    return fits[0] if fits else None


def _fits(view: View, shift: int) -> bool:
    samples: Int64 = (np.arange(view.n) + shift) % view.n
    targets, values = view.trace.targets, view.labels.values
    if isinstance(targets, np.ndarray) and view.n > 1000:
        head = target_comparison.compare_labels(targets[:1000], values, samples[:1000])
        if head.rows.size:
            return False
    comparison = target_comparison.compare_labels(targets, values, samples)
    return comparison.comparable and not comparison.rows.size
