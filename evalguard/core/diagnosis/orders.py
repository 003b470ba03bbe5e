"""The right rows in another order: shuffled, read in parallel, changed in a reused buffer."""

from __future__ import annotations

import numpy as np

from evalguard.core.columns.chunks import chunks, n_distinct
from evalguard.core.diagnosis.catalogue import cause, is_image_iterator
from evalguard.core.diagnosis.sorted_orders import MIN_ROWS
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause
from evalguard.core.plural import plural
from evalguard.core.trace import ALTERED, ROW_BITS, Int64

# A random order moves some row forward by most of the length; a shuffle buffer moves none by more than its size.
WINDOW_SHARE = 0.45


# -- Whole batches ----------------------------------------------------------------------------------------------------


def queue(view: View) -> Cause | None:
    """Tags arrive in another order than the source emitted them: the order was lost after the source."""
    if not view.trace.ordered or not view.trace.tagged or view.trace.transport_intact:
        return None
    tags = np.asarray(view.trace.tags)[: view.n_rows]
    if not any(_descents(part) for part in np.split(tags, np.cumsum(view.trace.calls)[:-1])):
        return None
    if view.samples is not None and len(view.trace.calls) == 1 and not _emitted_in_order(view.rows, tags):
        return None
    evidence = f"{plural(_descents(tags), 'row')} arrived directly behind a row that {view.name} emitted later"
    return cause(view, "queue", certain=True, evidence=evidence)


def _emitted_in_order(rows: Int64, tags: Int64) -> bool:
    """Whether the source emitted the samples in label order, pass after pass; some batches may not have arrived."""
    order = np.argsort(tags)
    emitted, gaps = rows[order], np.diff(tags[order] >> ROW_BITS) > 1
    again = emitted[1:][(emitted[1:] <= emitted[:-1]) & ~gaps]
    return not again.any()


def buffer(view: View) -> Cause | None:
    """Rows changed between the source and the model: the source reused its buffer."""
    altered = len(view.trace.rows_tagged(ALTERED))
    # The rows are compared last, as that takes longest.
    refills = bool(view.facts.get("filled_anew")) and view.samples is not None
    if not altered and not (refills and n_distinct(view.rows) < len(view.rows)):
        return None
    changed = f"the content of {plural(altered, 'row')} changed after {view.name} emitted them"
    reused = f"{view.name} emits the same memory again with other rows in it, and rows are repeated"
    return cause(view, "buffer", certain=altered > 0, evidence=changed if altered else reused)


def _descents(tags: Int64) -> int:
    return int(np.count_nonzero(tags[1:] < tags[:-1]))


def batches(view: View) -> Cause | None:
    """Whole batches are out of order, and the rows inside each batch are in order."""
    order = batch_order(view)
    if order is None or view.facts.get("shuffle") is True:
        return None
    early = int((order - np.arange(len(order))).max())
    if not early:
        return None
    if _is_global(early, len(order)) and len(order) > MIN_ROWS and view.fact("workers") < 2:
        return None
    moved = int(np.count_nonzero(order != np.arange(len(order))))
    evidence = (
        f"{moved:,} of {plural(len(order), 'batch')} are out of position, by up to {early:,}, and the rows inside each "
        f"are in order: displacements are multiples of {view.batch:,}"
    )
    return cause(view, "batches", certain=False, evidence=evidence, fixes=("batches", "pool"))


def batch_order(view: View) -> Int64 | None:
    """Number of each delivered batch in label order; None if batches are not whole slices of it."""
    if view.batch < 2 or view.n_rows != view.n or view.missing.size or len(view.starts) < 2:
        return None
    inside = np.ones(view.n_rows, dtype=bool)
    inside[view.starts] = False
    for rows in chunks(view.n_rows - 1):
        steps = np.diff(view.rows[rows.start : rows.stop + 1])
        if (steps[inside[rows.start + 1 : rows.stop + 1]] != 1).any():
            return None
    first = view.rows[view.starts]
    return None if (first % view.batch).any() else first // view.batch


# -- Random orders ----------------------------------------------------------------------------------------------------


def _is_global(reach: int, length: int) -> bool:
    return reach + 1 > WINDOW_SHARE * length


def _reordered(view: View) -> bool:
    """Whether the samples, or the stream's own targets if samples are unknown, are in another order."""
    if view.samples is not None:
        return bool(view.moved)
    return view.trace.ordered and bool(view.against_rows.rows.size) and view.n_rows == view.n and same_values(view)


def same_values(view: View) -> bool:
    """Whether all targets of the stream are values of the labels; True if that cannot be determined."""
    targets, values = view.trace.targets, view.labels.values
    if not isinstance(targets, np.ndarray) or not isinstance(values, np.ndarray):
        return True
    if targets.size != len(targets) or values.size != len(values) or targets.dtype.kind == "O":
        return True
    return bool(np.isin(np.unique(targets), values).all())


def shuffles(view: View) -> bool:
    """Whether rows moved across the whole range, and more than half of them moved."""
    if not _is_global(view.reach, len(view.arrived)) or not 2 * view.moved > len(view.arrived) > 2:
        return False
    # Two halves that are swapped, or all rows backwards, are no random order.
    return len(view.arrived) <= MIN_ROWS or int(np.count_nonzero(np.abs(np.diff(view.arrived)) != 1)) > 1


def reshuffled(view: View) -> Cause | None:
    """The dataset is shuffled anew at each pass: labels collected in another pass do not match."""
    seen = view.facts.get("reshuffled_each_pass")
    if not _reordered(view) or seen is False:
        return None
    changed = bool(view.facts.get("stateful_getitem"))
    may_shuffle = (view.kind == "tf.data" and not view.keeps_order) or changed
    guessed = may_shuffle and view.samples is not None and shuffles(view)
    if not seen and not guessed:
        return None
    evidence = _order_evidence(view)
    if seen:
        evidence += f"; the {view.name} is reshuffled whenever it is read"
    elif changed:
        evidence += "; `__getitem__` returned different data on a second call"
    # Branches that are shuffled separately do not match in any pass.
    certain = bool(seen) and view.fact("shuffled_branches") < 2 and _within_buffer(view)
    return cause(view, "reshuffled", certain=certain, evidence=evidence)


def _within_buffer(view: View) -> bool:
    """Whether the shuffle buffer can have moved the rows so far: by fewer than it holds. True if that is not known."""
    buffer = view.fact("shuffle_buffer") * (view.batch if view.facts.get("shuffles_batches") else 1)
    return view.samples is None or not buffer or view.reach < buffer


def shuffled(view: View) -> Cause | None:
    """A permutation over the whole range."""
    declared = view.facts.get("shuffle")
    if not _reordered(view) or declared is False or (not declared and view.facts.get("reshuffled_each_pass")):
        return None
    if not declared and (view.samples is None or not shuffles(view)):
        return None
    has_argument = declared or view.is_loader or is_image_iterator(view)
    once = view.facts.get("shuffled_once") is True and view.fact("shuffled_branches") < 2
    evidence = _order_evidence(view) + (f"; {view.name} has shuffle={declared}" if declared else "")
    evidence += "; the pipeline shuffles once, in the same order at each pass" if once else ""
    before = ("permuted",) if view.is_pipeline and view.keeps_order else ("shuffled",)
    return cause(
        view,
        "shuffled",
        certain=bool(declared) or (once and _within_buffer(view)),
        evidence=evidence,
        fixes=(*before, "shuffle_argument" if has_argument else "permuted"),
    )


def _order_evidence(view: View) -> str:
    if view.samples is None:
        rows = plural(view.against_rows.rows.size, "row")
        return f"the targets of {rows} are not their labels, but are values of other labels"
    early, late = view.reach, int(view.displaced.max(initial=0))
    moved = f"{view.moved:,} of {plural(len(view.arrived), 'row')} are out of position"
    return f"{moved}, up to {early:,} early and {late:,} late"


def window(view: View) -> Cause | None:
    """Rows moved only within a window that is small compared with the whole."""
    buffer = view.fact("shuffle_buffer")
    if view.samples is None or not view.moved or _is_global(view.reach, len(view.arrived)):
        return None
    # A buffer moves nearly all rows, so it did not swap two.
    if view.moved == 2 and not buffer:
        return None
    size = view.reach + 1
    evidence = f"{_order_evidence(view)}, as in a shuffle buffer of {buffer or size:,} rows"
    evidence += f"; they arrived in the order {view.name} emitted them" if view.trace.transport_intact else ""
    # A buffer that holds all rows is not a window: it can move a row anywhere.
    return cause(
        view,
        "window",
        certain=size <= buffer < len(view.arrived),
        evidence=evidence,
        fixes=("window", "pool"),
        size=buffer or size,
    )
