"""Samples that were predicted again: by a pipeline that repeats, a loop that ran twice, a job that was resumed."""

from __future__ import annotations

import numpy as np

from evalguard.core import arrivals
from evalguard.core.diagnosis.catalogue import cause
from evalguard.core.diagnosis.view import View, listed
from evalguard.core.findings import Cause
from evalguard.core.plural import plural, verb

# More parts that come again, or more of all rows, are a pattern of the source.
MOST_RETRIES, SHARE_AGAIN = 3, 4


def repeated(view: View) -> Cause | None:
    """The pipeline repeats its samples, each pass in the same order."""
    times = view.fact("repeat")
    whole = times > 1 and view.samples is not None and view.n_rows == times * view.n
    if not whole or "steps" in view.facts:
        return None
    ordered = view.trace.ordered
    in_order = view.wraps_after(view.n)
    if not (in_order if ordered else (arrivals.arrival_counts(view.rows, view.n) == times).all()):
        return None
    passes = ", pass after pass" * ordered
    evidence = f"each of the {view.n:,} samples comes {times:,} times{passes}; the pipeline has `repeat({times})`"
    return cause(view, "repeated", certain=True, evidence=evidence, times=times)


def run_twice(view: View) -> Cause | None:
    """Several calls predict all samples more than once, each time in the same order."""
    times = view.n_rows // view.n if view.n else 0
    if view.samples is None or len(view.trace.calls) < 2 or times < 2 or view.n_rows != times * view.n:
        return None
    passes = view.rows.reshape(times, view.n)
    if view.foreign or view.missing.size or (passes != passes[0]).any():
        return None
    # A call that goes beyond a whole pass is a source that starts again.
    if view.n not in np.cumsum(view.trace.calls):
        return None
    calls = plural(len(view.trace.calls), "call")
    evidence = f"{calls} predicted each of the {view.n:,} samples {times:,} times, in the same order"
    return cause(view, "run_twice", certain=False, evidence=evidence, times=times)


def part_twice(view: View) -> Cause | None:
    """A call of a session begins with samples that the one before it had predicted."""
    calls = view.trace.calls
    if view.samples is None or len(calls) < 2 or not view.duplicates or view.foreign or view.unnamed:
        return None
    if not view.trace.ordered:
        return None
    starts = np.cumsum(calls)[:-1]
    again = np.flatnonzero(arrivals.repeated(view.rows, view.n))
    first = [int(start) for start in starts if start in again]
    if run_twice(view) is not None:
        return None
    if len(first) != 1 or not np.array_equal(again, np.arange(first[0], first[0] + len(again))):
        return None
    evidence = (
        f"{plural(len(again), 'row')} from row {first[0]:,} on, where a call begins, {verb(len(again), 'is', 'are')} "
        f"samples that were predicted before: {listed(view.rows[again])}"
    )
    return cause(view, "part_twice", certain=True, evidence=evidence)


def delivered_twice(view: View) -> Cause | None:
    """Some rows come again directly behind themselves, and the stream goes on as if nothing had happened."""
    if view.samples is None or not view.trace.ordered or len(view.trace.calls) > 1:
        return None
    if not view.duplicates or view.foreign or view.unnamed:
        return None
    jumps = np.flatnonzero(np.diff(view.rows) != 1) + 1
    if not 0 < len(jumps) <= MOST_RETRIES or view.rows[0] != 0:
        return None
    again = view.rows[jumps - 1] + 1 - view.rows[jumps]
    new = np.diff(np.append(jumps, view.n_rows)) - again
    # From sample 0 again without a new one is another pass; one sample again and again is padding.
    # Of more rows, several readers read the same.
    if (
        SHARE_AGAIN * again.sum() > view.n_rows
        or again.min() < 2
        or new.min() < 0
        or (view.rows[jumps[-1]] == 0 and new[-1] == 0)
    ):
        return None
    first, size = int(jumps[0]), int(again[0])
    rows = f"rows {first:,} to {first + size - 1:,}"
    samples = listed(view.rows[first : first + size])
    evidence = f"{rows} are the same samples as the {plural(size, 'row')} before them: {samples}"
    evidence += f"; {plural(len(jumps), 'part')} in all" if len(jumps) > 1 else ""
    return cause(view, "part_twice", certain=True, evidence=evidence, fixes=("delivered_twice",), again=rows)
