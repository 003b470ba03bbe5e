"""The right rows in another order: shuffled, sorted otherwise, read in parallel, gathered from shards."""

from __future__ import annotations

import numpy as np

from evalguard.core.columns.chunks import chunks
from evalguard.core.diagnosis import remedies
from evalguard.core.diagnosis.sorted_orders import MIN_ROWS, ascends
from evalguard.core.diagnosis.view import View, cause, plural
from evalguard.core.findings import Cause
from evalguard.core.trace import ALTERED, Int64

BUFFER = "the source fills its array again while the model still waits for it"
QUEUE = "unordered queue between source and model"
PARALLEL = "parallel work inside the source: whole batches overtake one another"
RESHUFFLED = "shuffled anew at each pass"
SHUFFLED = "`shuffle=True`"
WINDOW = "shuffle buffer, or a parallel map that gives up order, inside the source"

# A random order brings some row forward by most of the whole length; a buffer by no more than its size.
WINDOW_SHARE = 0.45


# -- Whole batches ----------------------------------------------------------------------------------------------------


def queue(view: View) -> Cause | None:
    """Tags given at the source come out in another order: order was lost on the way, not in the source."""
    if not view.trace.ordered or not view.trace.tagged or view.trace.transport_intact:
        return None
    tags = np.asarray(view.trace.tags)[: view.n_rows]
    if not _some_descend(tags, view.trace.calls):
        return None
    if view.samples is not None and len(view.trace.calls) == 1 and not ascends(view.rows, np.argsort(tags)):
        return None
    return cause(
        QUEUE,
        certain=True,
        evidence=f"{_descents(tags)} times a row came out behind one that {view.name} had given later",
        **remedies.queue(view),
    )


def buffer(view: View) -> Cause | None:
    """Rows changed between the source and the model: the source filled the same array again."""
    altered = len(view.trace.rows_tagged(ALTERED))
    if not altered and not (view.facts.get("filled_anew") and _some_repeat(view)):
        return None
    seen = f"{view.name} hands out the same memory again, with other rows in it, and rows are repeated"
    return cause(
        BUFFER,
        certain=altered > 0,
        evidence=f"{altered} rows were fed with another content than {view.name} had handed out" if altered else seen,
        reproduced="keras 3.15, tensorflow 2.21",
        **remedies.buffer(view),
    )


def _some_repeat(view: View) -> bool:
    return view.samples is not None and len(np.unique(view.rows)) < len(view.rows)


def _some_descend(tags: Int64, calls: tuple[int, ...]) -> bool:
    return any(_descents(part) for part in np.split(tags, np.cumsum(calls)[:-1]))


def _descents(tags: Int64) -> int:
    return int(np.count_nonzero(tags[1:] < tags[:-1]))


def batches(view: View) -> Cause | None:
    """Whole batches changed places, the rows inside are as they should be."""
    order = _batch_order(view)
    if order is None or view.facts.get("shuffle") is True:
        return None
    early = int((order - np.arange(len(order))).max())
    if _is_global(early, len(order)) and len(order) > MIN_ROWS and view.fact("workers") < 2:
        return None
    moved = int(np.count_nonzero(order != np.arange(len(order))))
    return cause(
        PARALLEL,
        certain=False,
        evidence=(
            f"{moved} of {plural(len(order), 'batch')} changed places, by up to {early}, and all rows inside them are "
            f"in order: displacements are multiples of {view.batch}"
        ),
        reproduced="keras 3.15",
        **remedies.batches_overtake(view),
    )


def _batch_order(view: View) -> Int64 | None:
    """Which batch each delivered batch is, where they are whole ones of the label order."""
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
    """Another order is seen: of samples, or, where these are unknown, of the stream's own targets."""
    return bool(view.moved) if view.samples is not None else _targets_permuted(view)


def _targets_permuted(view: View) -> bool:
    return view.trace.ordered and bool(view.against_rows.rows.size) and view.n_rows == view.n and same_values(view)


def same_values(view: View) -> bool:
    """The stream's targets hold nothing but values of the labels; True where that cannot be told."""
    targets, values = view.trace.targets, view.labels.values
    if not isinstance(targets, np.ndarray) or not isinstance(values, np.ndarray):
        return True
    if targets.size != len(targets) or values.size != len(values) or targets.dtype.kind == "O":
        return True
    return bool(np.isin(np.unique(targets), values).all())


def _shuffles(view: View) -> bool:
    """Spread over the whole range, and next to every row moved."""
    return _is_global(view.reach, len(view.arrived)) and 2 * view.moved > len(view.arrived) > 2


def reshuffled(view: View) -> Cause | None:
    """A dataset that is shuffled at each pass: labels gathered in another pass do not fit."""
    seen = view.facts.get("reshuffled_each_pass")
    if not _reordered(view) or seen is False:
        return None
    changed = bool(view.facts.get("stateful_getitem"))
    guessed = (view.kind == "tf.data" or changed) and view.samples is not None and _shuffles(view)
    if not seen and not guessed:
        return None
    evidence = _order_evidence(view)
    if seen:
        evidence += f"; the {view.name} is shuffled anew whenever it is read"
    elif changed:
        evidence += "; an item that was asked for twice was not the same"
    return cause(
        RESHUFFLED,
        # Branches that are each shuffled for themselves are no pairs in any pass.
        certain=bool(seen) and view.fact("shuffled_branches") < 2,
        evidence=evidence,
        reproduced="keras 3.15",
        **remedies.reshuffled(view),
    )


def shuffled(view: View) -> Cause | None:
    """A permutation over the whole range."""
    declared = view.facts.get("shuffle")
    if not _reordered(view) or declared is False or (not declared and view.facts.get("reshuffled_each_pass")):
        return None
    if not declared and (view.samples is None or not _shuffles(view)):
        return None
    evidence = _order_evidence(view) + (f"; {view.name} says shuffle={declared}" if declared else "")
    return cause(
        SHUFFLED,
        certain=bool(declared),
        evidence=evidence,
        reproduced="keras 3.15, tf_keras 2.21",
        **remedies.shuffled(view, declared=bool(declared)),
    )


def _order_evidence(view: View) -> str:
    if view.samples is None:
        return f"{plural(view.against_rows.rows.size, 'row')} carry another target than their label, of the same values"
    early, late = view.reach, int(view.displaced.max(initial=0))
    moved = f"{view.moved:,} of {plural(len(view.arrived), 'row')} changed places"
    return f"{moved}, by up to {early:,} forward and {late:,} back"


def _transport_evidence(view: View) -> str:
    return f"; they came out as {view.name} had given them" if view.trace.transport_intact else ""


def window(view: View) -> Cause | None:
    """Order lost inside a window that is small against the whole."""
    buffer = view.fact("shuffle_buffer")
    if view.samples is None or not view.moved or _is_global(view.reach, len(view.arrived)):
        return None
    size = view.reach + 1
    return cause(
        WINDOW,
        certain=bool(buffer) and size <= buffer,
        evidence=f"{_order_evidence(view)}: as a buffer of {buffer or size:,} rows does{_transport_evidence(view)}",
        reproduced="keras 3.15",
        **remedies.window(view, buffer or size),
    )
