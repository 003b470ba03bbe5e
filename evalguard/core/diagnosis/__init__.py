"""Likely causes of a misalignment, from its pattern and the life of the source.

Each recogniser detects one signature and names one cause, with the evidence in
numbers and the fix. A cause is *certain* only if the fact that confirms it was
observed; a matching pattern is not enough. Certain causes come first, then
specific patterns before general ones.
"""

from __future__ import annotations

from collections.abc import Callable

from evalguard.core.diagnosis import (
    blocks,
    computed,
    counts,
    keyed,
    labelling,
    orders,
    pieces,
    repeats,
    scored,
    sorted_orders,
    starts,
)
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
    repeats.repeated,
    repeats.run_twice,
    repeats.part_twice,
    repeats.delivered_twice,
    counts.full_batches,
    counts.copied,
    counts.padded,
    counts.sampler,
    counts.wrapped,
    orders.queue,
)
# Only the first one that matches counts, as each of them explains the whole order.
KNOWN_ORDERS: tuple[Recogniser, ...] = (
    blocks.backwards,
    sorted_orders.sorted_otherwise,
    pieces.by_length,
    sorted_orders.stride,
    pieces.called,
    blocks.rotated,
    pieces.retried,
    orders.batches,
    blocks.inside_batches,
    pieces.in_turn,
    pieces.partitions,
    blocks.exchanged,
)
# These match any disorder, so they run only if none of the groups above explains it.
BY_KEY: tuple[Recogniser, ...] = (keyed.in_another_order,)
RANDOM_ORDERS: tuple[Recogniser, ...] = (orders.reshuffled, orders.shuffled, orders.window)
LABELLING: tuple[Recogniser, ...] = (
    keyed.apart,
    labelling.numbered_from_one,
    labelling.unlike_index,
    labelling.label_file,
    labelling.unpaired,
    labelling.shifted,
    labelling.shifted_rows,
    labelling.other_order,
)
TOO_FEW: tuple[Recogniser, ...] = (
    keyed.differ,
    keyed.other_version,
    counts.floor_steps,
    counts.floor_len,
    counts.dropped,
    counts.dropped_in_each,
    counts.few_steps,
    counts.batch_left_out,
    labelling.fewer_windows,
    pieces.subset,
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
    if view.by_position and view.n_rows != view.n:
        view = View(trace, labels, None)
    # The order of rows that moved after the model says nothing about the source.
    if trace.rearranged:
        return tuple(_recognised(view, SCORED)[:1])
    if missing := _recognised(view, (scored.missing_parts,)):
        return tuple(missing)
    if trace.moved:
        return tuple(_recognised(view, (computed.moved_after_model, computed.moved_in_model)))
    found = _recognised(view, STARTS + TOO_MANY) or _first(view, KNOWN_ORDERS)
    # Numbers that are all one too high leave nothing out.
    too_few = [] if _recognised(view, (labelling.numbered_from_one,)) else _recognised(view, TOO_FEW)
    # If samples were chosen, their order is part of the choice and has no separate cause.
    if not found and not _recognised(view, (pieces.subset,)):
        found = _recognised(view, BY_KEY) or _recognised(view, RANDOM_ORDERS)
    found = _recognised(view, LABELLING) + found + too_few
    found += _recognised(view, (computed.moved_in_model,))
    found.sort(key=lambda cause: not cause.certain)
    return tuple(found[:MAX_CAUSES]) or (unknown(view),)


def keys_of_no_use(view: View) -> Cause | None:
    """Why the keys of both sides do not meet at all; None if that is not known."""
    return next(iter(_first(view, (keyed.differ,))), None)


def _first(view: View, recognisers: tuple[Recogniser, ...]) -> list[Cause]:
    """The first cause that is recognised, if there is one."""
    return next(filter(None, (_recognised(view, (recognise,)) for recognise in recognisers)), [])


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
