"""The stream did not begin at sample 0: the offset is constant within a call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalguard.core.columns.chunks import counts_up
from evalguard.core.diagnosis.catalogue import cause
from evalguard.core.diagnosis.labelling import numbered_from_one
from evalguard.core.diagnosis.pieces import called, chosen
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause
from evalguard.core.plural import plural
from evalguard.core.trace import Int64

# Items that Keras reads before the first batch to learn their shapes: two in Keras 3.15 (py_dataset_adapter.py,
# get_tf_dataset), one in tf_keras 2.21 (data_adapter.py, KerasSequenceAdapter).
PEEKED = {2: "Keras 3", 1: "tf_keras"}


def offset(rows: Int64, n: int, full: int = 0) -> int | None:
    """The k > 0 with rows k, k + 1, k + 2, …; None if there is none.

    After sample ``n - 1`` comes 0 again, or rows that are not among the labels.

    Args:
        rows: Samples of one call's rows.
        n: Number of labels.
        full: Also try a stream that starts again after this number of samples.
    """
    if not rows.size or not 0 < rows[0] < n:
        return None
    first = int(rows[0])
    for length in (n, full):
        if length > first and counts_up(rows, first, length):
            return first
    behind = rows[n - first :]
    if counts_up(rows[: n - first], first) and ((behind < 0) | (behind >= n)).all():
        return first
    return None


def _offset(view: View) -> int | None:
    full = view.n - view.n % view.batch if view.batch else 0
    return offset(view.rows, view.n, full)


@dataclass(frozen=True, slots=True)
class _Jump:
    """The first call of several that did not continue where the previous one ended; ``found`` -1: beyond all labels."""

    call: int
    expected: int
    found: int


def _jump(view: View) -> _Jump | None:
    """The jump of calls that each count up by one sample; None if there is none."""
    if not view.trace.ordered or len(view.trace.calls) < 2 or sum(view.trace.calls) != len(view.rows):
        return None
    jump, expected = None, 0
    for number, part in enumerate(np.split(view.rows, np.cumsum(view.trace.calls)[:-1])):
        if not part.size:
            continue
        outside = bool(((part < 0) | (part >= view.n)).all())
        if not outside and not counts_up(part, int(part[0]), view.n) and offset(part, view.n) is None:
            return None
        if number and jump is None and (outside or part[0] != expected % view.n):
            jump = _Jump(number, expected % view.n, -1 if outside else int(part[0]))
        if outside:
            break
        expected = int(part[-1]) + 1
    # Every call began at sample 0: each got a new source, which is another fault.
    return None if jump is None or jump.found == 0 else jump


def ahead(view: View) -> Cause | None:
    """The offset grows from call to call: batches that one call took and did not use are lost to the next."""
    jump = _jump(view)
    if jump is None or not (view.one_shot or view.kind == "unknown"):
        return None
    begins = f"with sample {jump.found:,}" if jump.found >= 0 else "beyond the last label"
    evidence = f"call {jump.call:,} begins {begins} instead of sample {jump.expected:,}"
    taken, delivered = _taken(view, jump.call)
    steps = -(-view.n // view.batch) if view.batch and "steps" in view.facts else None
    if taken:
        evidence += f"; the same object had emitted {plural(taken, 'batch')} by then, {delivered:,} of them delivered"
    elif jump.found < 0 or called(view) is not None:
        return None
    return cause(
        view,
        "ahead",
        certain=taken > delivered,
        evidence=evidence,
        several="; ".join(view.call("gen", source) for source in (view.trace.sources or (view.source,) * 2)[:3]),
        once=view.call(f"{view.name}(...)", steps=steps),
    )


def _taken(view: View, call: int) -> tuple[int, int]:
    """Batches that earlier calls took from the same object, and delivered; zeros if that is not known."""
    sources = view.trace.sources
    if len(sources) != len(view.trace.calls) or not sources[call].calls_before:
        return 0, 0
    taken = sources[call].pulled_before - sources[0].pulled_before
    return taken, sum(source.delivered for source in sources[:call])


def leftover(view: View) -> Cause | None:
    """A PyDataset starts where the queue of the previous call stopped."""
    start = _offset(view)
    if view.kind not in {"pydataset", "unknown"} or view.fact("workers") < 2:
        return None
    number = view.first_pull or 0
    reported = bool(view.facts.get("leftover")) or number > 0
    if start is None and (view.samples is not None or not reported):
        return None
    if start is not None and (not view.batch or start % view.batch):
        return None
    fits = reported and (start is None or not number or number * view.batch == start)
    if not fits and not ("steps" in view.facts or "validation_steps" in view.facts):
        return None
    where = "the rows do not begin with the first batch"
    if start is not None:
        where = f"the first row is sample {start:,}" if view.trace.ordered else _not_there(start)
    first = f"; the first batch delivered is item {number:,} of {view.name}" if number else ""
    evidence = f"{where}{first}; workers={view.fact('workers')}: the queue keeps what the previous call did not use"
    return cause(view, "leftover", certain=fits, evidence=evidence)


def stateful_getitem(view: View) -> Cause | None:
    """The offset is the number of items that Keras reads first: ``__getitem__`` reads on and does not use its index."""
    start = _offset(view)
    if start is None or view.kind not in {"pydataset", "unknown"} or not view.batch or not view.trace.ordered:
        return None
    peeked = next((count for count in PEEKED if start == count * view.batch), 0)
    changed = bool(view.facts.get("stateful_getitem"))
    if not peeked and not changed:
        return None
    if view.kind == "unknown" and peeked != 2:
        return None
    # A reader that reads on returns as many items as Keras asks for. Fewer rows are a part that was chosen.
    if not changed and view.n_rows < view.n:
        return None
    evidence = f"all rows are {plural(start, 'sample')} ahead"
    if peeked:
        evidence += f", as many as the {plural(peeked, 'batch')} that {PEEKED[peeked]} reads before the first one"
    if changed:
        evidence += "; `__getitem__` returned different data on a second call"
    return cause(view, "stateful_getitem", certain=changed and bool(peeked) and not view.first_pull, evidence=evidence)


def not_at_start(view: View) -> Cause | None:
    """A constant offset from row 0 on; or, with samples unknown, a generator that was used before."""
    start = _offset(view)
    used = view.used_before
    # A stream whose first row is sample 0 was at its start, whatever its history.
    lead = _lead(view) if used and start is None else 0
    if start is None and not (used and (view.samples is None or lead)):
        return None
    if not (used or view.trace.ordered) or numbered_from_one(view) is not None:
        return None
    # A table has no read position: rows that come around are parts in another order.
    if view.trace.method == "check" and not view.foreign:
        return None
    if not used and start is not None and (_is_part(view, start) or called(view) is not None):
        return None
    # A PyDataset has no read position, unless its items come from something that has one.
    if view.kind in {"arrays", "batch"} or (view.kind == "pydataset" and (stateful_getitem(view) or leftover(view))):
        return None
    ordered, evidence = view.trace.ordered, ""
    if start is not None:
        evidence = f"rows begin at sample {start:,} and continue in order" if ordered else _not_there(start)
    if lead:
        evidence = f"{plural(lead, 'row')} beyond the last label{', followed by samples 0, 1, …' * ordered}"
    if used:
        evidence += f"{'; ' if evidence else ''}{_history(view)}"
    elif view.one_shot:
        evidence += "; the generator was new, so the reader inside it had been used before"
    return cause(view, "not_at_start", certain=used, evidence=evidence)


def _not_there(start: int) -> str:
    """That the first samples did not arrive, for rows without an order."""
    return f"{plural(start, 'sample')} never arrived, of which sample 0 is the first"


def _is_part(view: View, start: int) -> bool:
    """Whether rows from ``start`` on are a part that was chosen, and not a source that had been read before."""
    if view.n_rows > view.n - start or view.foreign:
        return False
    return "skip" in view.facts or view.keeps_order or view.n_rows < view.n - start or chosen(view)


def _lead(view: View) -> int:
    """Number of rows beyond the labels before samples 0, 1, …; 0 if the rows are anything else."""
    if not view.known.any():
        return 0
    lead = int(np.argmax(view.known))
    return lead if counts_up(view.rows[lead:]) else 0


def _history(view: View) -> str:
    first = view.trace.sources[0]
    if not first.calls_before:
        return f"{view.name} had been advanced before this call"
    calls = plural(first.calls_before, "earlier guarded call")
    return f"{calls} took {plural(first.pulled_before, 'batch')} from {view.name}"
