"""Short calls: which of them are judged together, and which only build a model or warm it up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evalguard.core.label_table import LabelTable
from evalguard.core.plural import plural, verb
from evalguard.core.trace import Trace
from evalguard.guards.calls import BATCH_METHODS, CALL, ROW_METHODS, GuardedCall

# The labels as a call of this type is compared with them; None where that fails, which judging reports.
KnownTo = Callable[[GuardedCall], LabelTable | None]


def loops_of(batches: Sequence[GuardedCall], known_to: KnownTo) -> list[list[GuardedCall]]:
    """Calls that are judged together: those of one model and method, or of both methods that return rows."""
    loops: list[list[GuardedCall]] = []
    for calls in _grouped(batches, lambda call: (call.model, call.trace.method in ROW_METHODS)):
        by_method = _grouped(calls, lambda call: call.trace.method)
        known = known_to(calls[0]) if len(by_method) > 1 else None
        # The last batch of a loop over `predict_on_batch` has another shape, and may go through `model(x)`. Where one
        # method answers all labels by itself, two evaluations are compared.
        one_loop = known is not None and all(_n_rows(part) < len(known) for part in by_method)
        loops += [calls] if one_loop else by_method
    return loops


def in_one(loops: list[list[GuardedCall]], n_labels: int) -> list[list[GuardedCall]]:
    """The loops, where several models answer the labels together, as one: each predicts what a loop of it was given.

    Args:
        loops: Of one model each.
        n_labels: Number of labels.
    """
    of_rows = [loop for loop in loops if loop[0].trace.method in ROW_METHODS]
    if len(of_rows) < 2 or any(_n_rows(loop) >= n_labels for loop in of_rows):
        return loops
    others = [loop for loop in loops if loop not in of_rows]
    return [sorted((call for loop in of_rows for call in loop), key=lambda call: call.start), *others]


def since(began: float, calls: Sequence[GuardedCall], n_labels: int) -> list[GuardedCall]:
    """The calls without those before a loop was given its first batch, where that loop answers all labels.

    They do not belong to it: most often they build the model, or warm it up. Where they have as many rows as there are
    labels, they are an evaluation that was made before the labels were collected.

    Args:
        began: When it was given that batch.
        calls: In the order made.
        n_labels: Number of labels.
    """
    kept: list[GuardedCall] = []
    for of_model in _grouped(calls, lambda call: (call.model, call.trace.method in ROW_METHODS)):
        before = [call for call in of_model if call.start < began]
        after = of_model[len(before) :]
        kept += after if _n_rows(before) < n_labels <= _n_rows(after) else of_model
    return sorted(kept, key=lambda call: call.start)


def to_judge(calls: list[GuardedCall], known_to: KnownTo, *, alone: bool, last: bool) -> tuple[list[GuardedCall], str]:
    """The calls of a loop that are judged, and what the report has to say of them.

    Keras builds a subclassed model at its first call (keras 3.15, layers/layer.py, ``__call__``), most often on a few
    samples or on dummy rows. Such a call is shorter than the labels, and others of the model follow.

    Args:
        calls: A loop.
        known_to: The labels as a call is compared with them.
        alone: Nothing else is judged in this entry.
        last: No other guarded call of this model followed.
    """
    first, rest = calls[0], calls[1:]
    # One call of `predict_on_batch` warms up as well; several are a loop.
    known = known_to(first) if first.trace.method in ({CALL} if rest else {CALL, "predict_on_batch"}) else None
    if known is None or first.trace.n_rows >= len(known):
        return calls, ""
    if rest:
        return _without_warm_ups(calls, known)
    # What follows is an evaluation, and has no PASS unless it answers all labels without this call.
    if not last:
        return [], ""
    # Nobody builds a model by `predict_on_batch` alone.
    evaluates = first.trace.method != CALL or _has_samples(first.trace, known)
    if (alone and evaluates) or not first.trace.one_to_one:
        return calls, ""
    return [of_some_rows(first)], (
        f"expected predictions for {plural(len(known), 'label')}, found one call {_name(first)} on "
        f"{plural(first.trace.n_rows, 'row')} and no later call of this model. Call it on all samples; make a call "
        "that only builds the model before the guard"
    )


def _without_warm_ups(calls: list[GuardedCall], known: LabelTable) -> tuple[list[GuardedCall], str]:
    """The calls without the first ones `model(x)`, if what follows these has one row for each label."""
    n_labels = len(known)
    for first in range(1, len(calls)):
        if calls[first - 1].trace.method != CALL or _n_rows(calls[first:]) < n_labels:
            break
        # A repeated first batch is no warm-up: its rows are samples, and the others are a loop.
        if len(calls) - first > 1 and _has_samples(calls[first - 1].trace, known) is not False:
            break
        if _n_rows(calls[first:]) == n_labels:
            return calls[first:], left_out(calls[:first])
    return calls, ""


def is_short(call: GuardedCall, labels: LabelTable) -> bool:
    """Whether the caller predicted a short array, or one batch: a warm-up, or a part of an evaluation.

    A stream of several batches that ends early is not such a call: it lost rows.
    """
    trace = call.trace
    state = trace.source
    chosen = state.delivered == 1 or (state.kind == "arrays" and not state.facts.get("steps"))
    judged = trace.one_to_one and not trace.stopped and trace.method not in BATCH_METHODS
    return chosen and judged and 0 < trace.n_rows < len(labels)


def of_some_rows(call: GuardedCall) -> GuardedCall:
    """The call as one that does not answer all labels."""
    return replace(call, trace=replace(call.trace, one_to_one=False))


def one_more(call: GuardedCall, labels: LabelTable) -> str:
    """What the report says of a short call whose model and method answered all labels before."""
    return (
        f"expected predictions for {plural(len(labels), 'label')}, found one more call {_name(call)} on "
        f"{plural(call.trace.n_rows, 'row')} after one on all samples. Make it outside the guard"
    )


def before(short: Sequence[GuardedCall], full: GuardedCall) -> list[GuardedCall]:
    """The short calls that only warm the model up: the same method answers all labels afterwards."""
    return [
        call
        for call in short
        if call.model == full.model and call.trace.method == full.trace.method and call.start < full.start
    ]


def left_out(calls: Sequence[GuardedCall]) -> str:
    """What a report says of warm-ups."""
    if not calls:
        return ""
    name = _name(calls[0])
    which = f"a first call {name}" if len(calls) == 1 else f"the first {len(calls):,} calls {name}"
    rows, was = plural(_n_rows(calls), "row"), verb(len(calls), "was", "were")
    return f"{which} on {rows} {was} left out: the later calls answer all labels"


def _name(call: GuardedCall) -> str:
    return "model(x)" if call.trace.method == CALL else call.trace.method


def _grouped(calls: Sequence[GuardedCall], key: Callable[[GuardedCall], Any]) -> list[list[GuardedCall]]:
    groups: dict[Any, list[GuardedCall]] = {}
    for call in calls:
        groups.setdefault(key(call), []).append(call)
    return list(groups.values())


def _n_rows(calls: Sequence[GuardedCall]) -> int:
    return sum(call.trace.n_rows for call in calls)


def _has_samples(trace: Trace, known: LabelTable) -> bool | None:
    """Whether some row is a sample, by content or key; None where nothing shows it."""
    pairs = ((trace.fingerprints, known.fingerprints), (trace.keys, known.keys))
    found = [bool(np.isin(rows, labels).any()) for rows, labels in pairs if rows is not None and labels is not None]
    return any(found) if found else None
