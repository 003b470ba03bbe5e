"""Likely causes of a misalignment, from its pattern and the life of the source.

Each recogniser detects one signature and names one cause, with the evidence in
numbers and the fix. A cause is *certain* only if the fact that confirms it was
observed; a matching pattern is not enough. Certain causes come first, then
specific patterns before general ones.
"""

from __future__ import annotations

from collections.abc import Callable

from evalguard.core.diagnosis import computed, counts, labelling, orders, scored, sorted_orders, starts
from evalguard.core.diagnosis.unknown import unknown
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause
from evalguard.core.label_table import LabelTable
from evalguard.core.own_errors import swallow
from evalguard.core.trace import Int64, Trace

MAX_CAUSES = 3

Recogniser = Callable[[View], Cause | None]

# In each group specific recognisers come before general ones.
STARTS: tuple[Recogniser, ...] = (
    orders.buffer,
    starts.ahead,
    starts.leftover,
    starts.stateful_getitem,
    starts.not_at_start,
)
TOO_MANY: tuple[Recogniser, ...] = (
    counts.part_twice,
    counts.full_batches,
    counts.copied,
    counts.padded,
    counts.sampler,
    counts.wrapped,
)
KNOWN_ORDERS: tuple[Recogniser, ...] = (sorted_orders.sorted_otherwise, sorted_orders.stride, orders.queue)
# These match any disorder, so they run only if none of the groups above explains it.
RANDOM_ORDERS: tuple[Recogniser, ...] = (orders.batches, orders.reshuffled, orders.shuffled, orders.window)
LABELLING: tuple[Recogniser, ...] = (
    labelling.unlike_index,
    labelling.label_file,
    labelling.unpaired,
    labelling.shifted,
    labelling.shifted_rows,
)
TOO_FEW: tuple[Recogniser, ...] = (
    counts.floor_steps,
    counts.floor_len,
    counts.dropped,
    counts.few_steps,
    counts.batch_left_out,
    labelling.fewer_windows,
    counts.left_out,
    counts.others,
)


SCORED: tuple[Recogniser, ...] = (scored.order_not_inverse, scored.joined_parts, scored.moved)


def diagnose(trace: Trace, samples: Int64 | None, labels: LabelTable) -> tuple[Cause, ...]:
    """The causes that match, most likely first.

    Args:
        trace: What was observed.
        samples: Sample of each delivered row, int64; None if the samples are
            not known.
        labels: The external labels.

    Returns:
        At most ``MAX_CAUSES``; if none matches, one that says so and describes
        the pattern.
    """
    view = View(trace, labels, samples)
    # The order of rows that moved after the model says nothing about the source.
    if trace.rearranged:
        return tuple(_recognised(view, SCORED)[:1])
    if missing := _recognised(view, (scored.missing_parts,)):
        return tuple(missing)
    if trace.moved:
        return tuple(_recognised(view, (computed.moved_after_model, computed.moved_in_model)))
    found = _recognised(view, STARTS + TOO_MANY + KNOWN_ORDERS)
    found = _recognised(view, LABELLING) + (found or _recognised(view, RANDOM_ORDERS)) + _recognised(view, TOO_FEW)
    found += _recognised(view, (computed.moved_in_model,))
    found.sort(key=lambda cause: not cause.certain)
    return tuple(found[:MAX_CAUSES]) or (unknown(view),)


def _recognised(view: View, recognisers: tuple[Recogniser, ...]) -> list[Cause]:
    found = []
    for recognise in recognisers:
        try:
            named = recognise(view)
        except Exception as error:  # noqa: BLE001 - a recogniser that fails must not cost the verdict
            swallow(error)
            continue
        if named is not None:
            found.append(named)
    return found
