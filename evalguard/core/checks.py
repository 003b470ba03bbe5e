"""Checks: pure functions from samples to at most one finding each.

Together the order checks hold exactly on the identity: there is no finding if
and only if ``samples == arange(n_labels)``. The tests state that as a property.
The terms are those of RFC 4737 (reordered) and RFC 5560 (duplicate).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.arrivals import known, misaligned, reordered, repeated, seen
from evalguard.core.columns.chunks import counts_up, first_true
from evalguard.core.findings import Finding, Reason
from evalguard.core.plural import plural, verb
from evalguard.core.target_comparison import LabelComparison
from evalguard.core.trace import ALTERED, ROW_MASK, UNKNOWN, Int64, Trace, row_tag

MAX_CASES = 20


def first_cases(values: NDArray[Any]) -> tuple[int, ...]:
    """The first ``MAX_CASES`` values, for a finding."""
    return tuple(int(value) for value in values[:MAX_CASES])


def _finding(reason: Reason, wrong: NDArray[np.bool_], samples: Int64, one: str, many: str) -> Finding | None:
    """The finding on the rows marked as wrong: ``1 row {one}`` or ``2 rows {many}``; None if there is none."""
    count = int(np.count_nonzero(wrong))
    if not count:
        return None
    rows = first_true(wrong, MAX_CASES)
    message = f"{plural(count, 'row')} {verb(count, one, many)}"
    return Finding(reason, count, message, first_cases(rows), first_cases(samples[rows]))


def check_count(samples: Int64, n_labels: int, *, ordered: bool = True) -> Finding | None:
    """There are as many predictions as labels."""
    extra = len(samples) - n_labels
    if extra == 0:
        return None
    both = f"{plural(len(samples), 'prediction')} for {plural(n_labels, 'label')}"
    if not ordered:
        how_many = f"{plural(abs(extra), 'row')} too {'many' if extra > 0 else 'few'}"
        return Finding(Reason.COUNT, abs(extra), f"{both}: {how_many}")
    if extra > 0:
        rows = tuple(range(n_labels, min(len(samples), n_labels + MAX_CASES)))
        message = f"{both}: {plural(extra, 'row')} too many, from row {n_labels:,} on"
        return Finding(Reason.COUNT, extra, message, rows)
    without = f"label {n_labels - 1:,} has" if extra == -1 else f"the last {-extra:,} labels have"
    return Finding(Reason.COUNT, -extra, f"{both}: {without} no prediction")


def check_foreign(samples: Int64, n_labels: int) -> Finding | None:
    """Every row's sample is among the labels."""
    wrong = ~known(samples, n_labels) & (samples != UNKNOWN)
    among = f"not among the {n_labels:,} labelled samples"
    return _finding(Reason.FOREIGN, wrong, samples, f"is {among}", f"are {among}")


def check_missing(samples: Int64, n_labels: int) -> Finding | None:
    """Every sample was delivered. Each unidentified row may be one of the samples that were not seen."""
    missing = ~seen(samples, n_labels)
    unnamed = int(np.count_nonzero(samples == UNKNOWN))
    count = int(np.count_nonzero(missing)) - unnamed
    if count <= 0:
        return None
    samples_without = f"{plural(count, 'labelled sample')} {verb(count, 'has', 'have')} no prediction"
    message = f"{'at least ' if unnamed else ''}{samples_without}"
    return Finding(Reason.MISSING, count, message, (), first_cases(first_true(missing, MAX_CASES)))


def check_duplicates(samples: Int64, n_labels: int) -> Finding | None:
    """No sample was delivered twice (RFC 5560)."""
    what = "a sample that was already predicted"
    return _finding(Reason.DUPLICATE, repeated(samples, n_labels), samples, f"repeats {what}", f"repeat {what}")


def check_order(samples: Int64, n_labels: int) -> Finding | None:
    """No row arrived after a row of a later sample (RFC 4737, Type-P-Reordered)."""
    late = reordered(samples, n_labels)
    # Two exchanged rows put every row between them after a later sample, so the message says what is counted.
    one, more = "is out of order: it comes after a later sample", "are out of order: they come after a later sample"
    return _finding(Reason.REORDERED, late, samples, one, more)


Check = Callable[[Int64, int], Finding | None]

# After the number of rows, in the order of the report: which, then in what order.
ORDER_CHECKS: tuple[Check, ...] = (check_foreign, check_missing, check_duplicates, check_order)


def order_findings(samples: Int64, n_labels: int, *, ordered: bool = True) -> tuple[Finding, ...]:
    """All findings about which samples were delivered in which order; unless ``ordered``, no row has a position."""
    if len(samples) == n_labels and counts_up(samples):
        return ()
    found = [check_count(samples, n_labels, ordered=ordered)]
    found += [check(samples, n_labels) for check in ORDER_CHECKS]
    if not any(found):
        # Only where rows are unidentified: in [1, unknown] nothing is wrong but the position of sample 1.
        found.append(check_positions(samples))
    return tuple(finding for finding in found if finding is not None)


def check_positions(samples: Int64) -> Finding | None:
    """Every row that is identified is in its position."""
    what = "out of position" + (", whatever samples the unidentified rows are" if (samples == UNKNOWN).any() else "")
    return _finding(Reason.REORDERED, misaligned(samples), samples, f"is {what}", f"are {what}")


def check_labels(comparison: LabelComparison) -> Finding | None:
    """The stream's own target equals the external label at every row."""
    rows = comparison.rows
    if not comparison.comparable or comparison.version or rows.size == 0:
        return None
    if comparison.mapping:
        meant = ", ".join(f"{ours} → {theirs}" for ours, theirs in list(comparison.mapping.items())[:MAX_CASES])
        message = f"class numbers in the stream mean other classes than in the labels (stream → label): {meant}"
        offsets = {theirs - ours for ours, theirs in comparison.mapping.items() if not isinstance(ours, str)}
        if len(offsets) == 1:
            offset = offsets.pop()
            message += f"; each label is {abs(offset):g} {'more' if offset > 0 else 'less'} than the stream's number"
        return Finding(Reason.CLASSES, int(rows.size), message, first_cases(rows))
    message = f"at {plural(rows.size, 'row')} the stream's own target differs from the external label"
    if comparison.shift:
        message += f": {shifted_by(comparison.shift)}"
    return Finding(Reason.LABELS, int(rows.size), message, first_cases(rows))


def shifted_by(shift: int) -> str:
    """That labels are shifted by so many rows: ``the labels are 9 rows late: label i is target i + 9``."""
    rows = plural(abs(shift), "row")
    if shift < 0:
        return f"the labels are {rows} late, label i is target i + {-shift:,}"
    return f"the labels are {rows} early, target i is label i + {shift:,}"


def check_transport(trace: Trace) -> Finding | None:
    """Rows were delivered in the order in which the source emitted them, once each."""
    if trace.transport_intact is not False:
        return None
    tags = np.asarray(trace.tags)
    starts = np.cumsum((0, *trace.calls[:-1]))
    before = np.roll(tags, 1)
    before[starts[starts < len(tags)]] = row_tag(-1)
    steps = tags - before
    # Either the next row of the same batch, or row 0 of the next batch.
    next_batch = (tags & ROW_MASK == 0) & (steps > 0) & (steps <= row_tag(1))
    disordered = np.flatnonzero((steps != 1) & ~next_batch)
    message = "rows were not delivered in the order in which the source emitted them, once each"
    return Finding(Reason.TRANSPORT, int(disordered.size), message, first_cases(disordered))


def check_altered(trace: Trace) -> Finding | None:
    """The model received what the source emitted."""
    rows = trace.rows_tagged(ALTERED)
    if not rows.size:
        return None
    message = f"{plural(rows.size, 'row')} changed between the source and the model"
    return Finding(Reason.ALTERED, int(rows.size), message, first_cases(rows))


def check_returned(trace: Trace, *, wrong: bool) -> Finding | None:
    """The caller got each row where the model computed it, or at the position of its sample."""
    if not trace.moved or not wrong:
        return None
    rows = plural(trace.moved, "row")
    message = f"{rows} {verb(trace.moved, 'was', 'were')} moved to another position after the model computed them"
    return Finding(Reason.RETURNED, trace.moved, message)


def check_computed(trace: Trace) -> Finding | None:
    """The model returned each row of a batch where it received it."""
    moved = trace.moved_in_model
    if not moved:
        return None
    message = (
        f"{plural(moved, 'row')} of a batch got the output of another row when the batch was computed again in another "
        "order: the model moves rows"
    )
    return Finding(Reason.COMPUTED, moved, message)


def check_reuse(trace: Trace) -> Finding | None:
    """The source was at its start when the call began."""
    sources = trace.sources
    used = [state for state in sources if state.kind == "generator" and (state.started or state.calls_before)]
    if not used:
        return None
    state = used[0]
    if state.calls_before:
        calls, batches = plural(state.calls_before, "earlier guarded call"), plural(state.pulled_before, "batch")
        why = f"{calls} took {batches} from it"
    else:
        why = "it had already been started before this call"
    message = f"the generator {state.type_name} was not at its start: {why}"
    return Finding(Reason.REUSED, trace.n_rows, message)
