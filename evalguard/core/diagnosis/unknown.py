"""No cause is recognised: the pattern in words, and the row to check first."""

from __future__ import annotations

import numpy as np

from evalguard.core import arrivals
from evalguard.core.diagnosis.catalogue import DROPPING, cause
from evalguard.core.diagnosis.view import View, listed, named
from evalguard.core.findings import Cause
from evalguard.core.plural import plural
from evalguard.core.trace import UNKNOWN, Int64

OTHER_DATA = "these are other data, such as a training set, or they were prepared otherwise"


def unknown(view: View) -> Cause:
    """A cause that says the cause is unknown and describes the pattern."""
    values = {"pattern": _pattern(view), "row": _first_wrong(view), "which": _which(view, view.again)}
    evidence, fixes = _counts_text(view), (_fix(view),)
    return cause(view, "unknown", certain=False, evidence=evidence, fixes=fixes, dropping=DROPPING, **values)


def _fix(view: View) -> str:
    """The table of the fix."""
    if view.samples is None:
        if not view.trace.ordered:
            return "unknown_in_any_order"
        return "unknown_samples" if view.labels.fingerprints is None else "unknown_content"
    if view.trace.ordered:
        return "unknown"
    return "repeated_in_any_order" if view.again.size else "left_out"


def _first_wrong(view: View) -> int:
    if view.samples is None:
        rows = view.against_rows.rows
        return int(rows[0]) if rows.size else min(view.n_rows, view.n)
    wrong = _wrong_rows(view)
    return int(wrong[0]) if wrong.size else view.n_rows


def _wrong_rows(view: View) -> Int64:
    return np.flatnonzero(arrivals.misaligned(view.rows) | (view.rows == UNKNOWN))


def _pattern(view: View) -> str:
    if view.samples is None:
        return _pattern_of_labels(view)
    if not view.trace.ordered:
        return _pattern_in_any_order(view)
    wrong = _wrong_rows(view)
    if not wrong.size:
        return f"the first {plural(view.n_rows, 'row')} match, and the last {view.n - view.n_rows:,} are missing"
    if view.moved == 2 and view.n_rows == view.n and wrong.size == 2:
        return f"rows {wrong[0]:,} and {wrong[1]:,} are swapped"
    if not view.moved and not view.foreign:
        return _pattern_of_counts(view, int(wrong[0]))
    return f"{plural(wrong.size, 'row')} out of position"


def _pattern_in_any_order(view: View) -> str:
    """Which samples come how often: a row that has no position is named by its sample."""
    again, missing, differ = view.again, view.missing, view.against_samples.rows.size
    parts = [f"{plural(again.size, 'row')} repeated: {_which(view, again)}"] if again.size else []
    parts += [f"{plural(missing.size, 'sample')} left out: {_which(view, missing)}"] if missing.size else []
    parts += [f"{plural(view.foreign, 'row')} that no label has"] if view.foreign else []
    return "; ".join(parts) or f"{plural(differ, 'row')} with another target than the label"


def _which(view: View, samples: Int64) -> str:
    """The first of some samples, by their keys where they have any."""
    samples, keys = np.unique(samples), view.labels.keys
    if keys is not None:
        return named(keys, samples)
    return f"{'sample' if len(samples) == 1 else 'samples'} {listed(samples, 3)}"


def _pattern_of_counts(view: View, row: int) -> str:
    start = int(view.rows[row])
    if view.missing.size and not view.duplicates:
        return f"{plural(view.missing.size, 'sample')} left out from row {row:,} on, the others in order"
    if view.duplicates and not view.missing.size:
        return f"{plural(view.duplicates, 'row')} repeated from row {row:,} on, beginning with sample {start:,}"
    lost, again = plural(view.missing.size, "sample"), plural(view.duplicates, "row")
    return f"{lost} left out and {again} repeated, in order otherwise"


def _pattern_of_labels(view: View) -> str:
    extra = view.n_rows - view.n
    if extra:
        return f"{plural(abs(extra), 'row')} too {'many' if extra > 0 else 'few'}"
    if view.against_rows.rows.size:
        return f"{plural(view.against_rows.rows.size, 'row')} with another target than the label"
    return "rows were not delivered in the order the source emitted them"


def _counts_text(view: View) -> str:
    if view.samples is None:
        counts = f"{plural(view.n_rows, 'row')} for {plural(view.n, 'label')}"
        if view.trace.fingerprints is None or view.labels.fingerprints is None:
            return f"{counts}; nothing shows which sample each row is"
        return f"{counts}; almost none of them is a row of the reference: {OTHER_DATA}"
    rows = {
        "repeated": view.duplicates,
        "foreign": view.foreign,
        "unidentified": view.unnamed,
        "moved": view.moved,
    }
    parts = [f"{plural(view.missing.size, 'sample')} missing"] if view.missing.size else []
    parts += [f"{plural(count, 'row')} {name}" for name, count in rows.items() if count]
    found = ", ".join(parts)
    return found or "only the number of rows is wrong"
