"""Several calls as one trace, in the order made or as parts without an order."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.label_table import LabelTable
from evalguard.core.target_comparison import in_form_of
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.core.trace_join import join_traces
from evalguard.guards.calls import GuardedCall

OVERLAP = (
    "calls were made in several threads or tasks, and nothing shows whose rows come first; make the calls one after "
    "the other in one thread, or use a separate guard with separate labels in each"
)


def one_trace(calls: list[GuardedCall], labels: LabelTable | None, *, in_parts: bool) -> Trace:
    """What the calls observed, one after the other.

    Args:
        calls: In the order made.
        labels: In label order; None where there is only a reference.
        in_parts: The calls have no order among them.
    """
    values, weights = (None, None) if labels is None else (labels.values, labels.weights)
    named = [
        replace(
            call.trace,
            targets=in_form_of(values, call.trace.targets, call.recorder.outputs),
            weights=in_form_of(weights, call.trace.weights, call.recorder.outputs),
        )
        for call in calls
    ]
    traces = in_label_order(named, labels)
    if in_parts:
        return replace(
            join_traces(named_by_part(traces)),
            ended=tuple(call.start + call.seconds for call in calls),
            in_threads=len(set(map(_maker, calls))) > 1,
        )
    trace = join_traces(traces)
    if trace.ordered and overlap(calls):
        return replace(trace, ordered=False, unobserved="; ".join(filter(None, (OVERLAP, trace.unobserved))))
    return trace


def overlap(calls: list[GuardedCall]) -> bool:
    """Whether several threads or tasks made calls, so that nothing shows which one's rows the caller puts first."""
    # Also where they did not overlap in time: which one begins first is then a matter of chance.
    if len(set(map(_maker, calls))) > 1:
        return True
    in_time = sorted(calls, key=lambda call: call.start)
    return any(after.start < before.start + before.seconds for before, after in pairwise(in_time))


def named_by_part(traces: list[Trace]) -> list[Trace]:
    """The traces of parts: a position in the array that was passed for one part is not a label row."""
    named = any(trace.index_source == "part" for trace in traces)
    return [
        trace
        if trace.index_source == "part" or (trace.index_source == "stated" and trace.index is not None)
        else replace(trace, index=np.full(trace.n_rows, UNKNOWN) if named else None, index_source="part")
        for trace in traces
    ]


def _maker(call: GuardedCall) -> tuple[int, int]:
    thread, task = call.made_by
    return id(thread), id(task)


def dtypes_of(call: GuardedCall) -> tuple[str, ...]:
    """The types of the inputs that were fingerprinted; empty if none were."""
    return tuple(spec.dtype for spec in call.recorder.fingerprints.specs)


def in_label_order(traces: list[Trace], labels: LabelTable | None) -> list[Trace]:
    """The traces, where an index that counts in a source's own list of keys is a label row, or left out.

    An image iterator counts in its own list of files. If the labels list other files, or the same in another order,
    such a number is no label row, and the file identifies the row instead. If they have no keys, they are declared to
    be in the iterator's order.
    """
    label_keys = None if labels is None else labels.keys
    listed = [trace for trace in traces if trace.index_source == "listed"]
    unused: dict[str, Any] = {}
    if label_keys is not None:
        # The same for all calls: the traces are joined, and keep only what all of them have.
        unused["keys" if all(_lists_as(trace, label_keys) for trace in listed) else "index"] = None
    return [
        replace(trace, index_source="stated", **unused) if trace.index_source == "listed" else trace for trace in traces
    ]


def _lists_as(trace: Trace, label_keys: NDArray[Any]) -> bool:
    """Whether each row's key is the key of the label row that its index would be."""
    if trace.index is None or trace.keys is None:
        return False
    index = np.asarray(trace.index)
    inside = not len(index) or (index.min() >= 0 and index.max() < len(label_keys))
    return bool(inside) and np.array_equal(label_keys[index], trace.keys)
