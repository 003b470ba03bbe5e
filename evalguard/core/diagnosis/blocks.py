"""All samples once, in an order that is simple to say: backwards, in exchanged parts, moved inside their batches."""

from __future__ import annotations

import numpy as np

from evalguard.core.columns.chunks import Ints
from evalguard.core.diagnosis.catalogue import cause
from evalguard.core.diagnosis.orders import batch_order
from evalguard.core.diagnosis.pieces import once
from evalguard.core.diagnosis.sorted_orders import MIN_ROWS
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause
from evalguard.core.plural import plural
from evalguard.core.trace import Int64

# More parts, or parts of fewer rows on average, may be batches in a random order.
MOST_PARTS, ROWS_OF_A_PART = 6, 8
# Fewer rows have no room to move.
ROWS_OF_A_BATCH = 3


def backwards(view: View) -> Cause | None:
    """The last sample comes first."""
    order = once(view)
    if order is None or len(order) < MIN_ROWS or order[0] != view.n - 1 or (np.diff(order) != -1).any():
        return None
    evidence = f"the rows are samples {view.n - 1:,}, {view.n - 2:,}, …, 0"
    return cause(view, "backwards", certain=True, evidence=evidence)


def rotated(view: View) -> Cause | None:
    """The samples from one on come first, and those before it last."""
    parts = _parts(view)
    return None if parts is None or len(parts) != 2 else _exchanged(view, parts)


def exchanged(view: View) -> Cause | None:
    """A few parts of consecutive samples have another order than in the labels."""
    parts = _parts(view)
    # Parts that are mostly single batches are batches in another order.
    if parts is None or (2 * len(parts) > len(view.starts) and batch_order(view) is not None):
        return None
    return _exchanged(view, parts)


def _exchanged(view: View, parts: list[tuple[int, int]]) -> Cause:
    shown = ", ".join(f"{first:,} to {end - 1:,}" for first, end in parts)
    order = ", ".join(f"{first}:{end}" for first, end in parts)
    evidence = f"{plural(len(parts), 'part')} of consecutive samples, in another order than in the labels: {shown}"
    values = {"order": f"np.r_[{order}]", "evidence": evidence}
    return cause(view, "parts_in_another_order", certain=False, fixes=("parts_exchanged",), **values)


def _parts(view: View) -> list[tuple[int, int]] | None:
    """First sample and end of each part of consecutive samples; None if the rows are not a few parts."""
    order = once(view)
    if order is None or view.facts.get("shuffle") or "shuffle_buffer" in view.facts:
        return None
    starts = _starts(order)
    sizes = np.diff(np.append(starts, len(order)))
    if not 1 < len(starts) <= MOST_PARTS or len(starts) * ROWS_OF_A_PART > len(order) or sizes.min() < 2:
        return None
    return [(int(order[start]), int(order[start] + size)) for start, size in zip(starts, sizes, strict=True)]


def _starts(order: Ints) -> Int64:
    """Where each stretch of consecutive samples begins."""
    return np.flatnonzero(np.concatenate([[True], np.diff(order) != 1]))


def inside_batches(view: View) -> Cause | None:
    """Each batch holds the samples that belong there, in another order."""
    order, starts = once(view), view.starts
    if order is None or len(starts) < 2 or view.facts.get("shuffle") or "shuffle_buffer" in view.facts:
        return None
    batch_of = np.repeat(np.arange(len(starts)), sizes := np.diff(np.append(starts, len(order))))
    if (batch_of[order] != batch_of).any():
        return None
    # Rows that overtake their neighbours may stay inside a batch by chance; a sort moves some across half of it.
    reach = np.maximum.reduceat(np.abs(order - np.arange(len(order))), starts)
    mixed = np.count_nonzero((2 * reach >= sizes) & (sizes >= ROWS_OF_A_BATCH))
    if 2 * mixed <= len(starts):
        return None
    evidence = (
        f"{view.moved:,} of {plural(len(order), 'row')} are out of position, each inside its batch of {view.batch:,}"
    )
    return cause(view, "inside_batches", certain=False, evidence=evidence)
