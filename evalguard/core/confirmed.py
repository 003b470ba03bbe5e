"""What the caller scores: found among the rows that were returned, and the trace in that order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import n_distinct
from evalguard.core.findings import Finding
from evalguard.core.label_table import LabelTable
from evalguard.core.matching import all_matches, match_content, pair_equal
from evalguard.core.returned import MIN_DISTINCT, taken
from evalguard.core.target_comparison import compare_labels, same_multiset
from evalguard.core.trace import ALTERED, UNKNOWN, Int64, Trace

NOT_RETURNED = (
    "{} of the {} rows passed to confirm {} not returned by a guarded call: an average, an argmax or a single column "
    "is another value; confirm the rows before that step"
)
NO_IDENTITY = "the rows were reordered before confirm, and nothing observed shows which sample each one is"
ANY_ORDER = "the calls of scope='parts' have no order; call g.confirm(y_pred, y_true) to show which row is scored where"
TOGETHER = (
    "several calls answer the labels together, and have no order with scope='call'; use scope='session' if rows are "
    "scored in the order of the calls, or call g.confirm(y_pred, y_true) to show which row is scored where"
)
OTHER_ORDER = (
    "rows and labels were passed to confirm in another order than the guard's, or some are missing, and each row is "
    "beside a label equal to its own; confirm all rows in label order, before they are sorted or selected"
)
SCORED_AS_WELL = "the model scored {n:,} more rows than labels, and nothing shows which labels their targets are"
UNKNOWN_SAMPLES = "nothing shows which sample some of these rows are"
SEVERAL_SAMPLES = "equal rows were returned for several samples; pass a list with the rows of each call"
# So many samples with equal inputs are compared with the target of a row, one after the other.
MAX_EQUAL = 64
# So many rows of each value on average are what rounding or classes leave.
ROWS_PER_VALUE = 4
# An odd number, to mix a sample's number into the digest of its row.
MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What the caller scores, as passed to ``Guard.confirm``.

    Attributes:
        returned: Digest of each row that guarded calls returned, uint64, in
            the order of the trace; None where there are none.
        rows: Digest of each row that is scored, uint64, in label order; None
            where they cannot be compared.
        unknown: Why something is not known; empty if all is.
        findings: Labels or weights that are not the guard's.
        with_labels: The labels that are scored were passed, too.
    """

    returned: NDArray[np.uint64] | None
    rows: NDArray[np.uint64] | None
    unknown: str = ""
    findings: tuple[Finding, ...] = ()
    with_labels: bool = False


def as_scored(trace: Trace, labels: LabelTable, scored: Scored) -> Trace:
    """The trace, row by row as the caller scores it."""
    if scored.rows is None or scored.returned is None:
        return _unconfirmed(trace, labels, scored.unknown)
    # Padding was cut from what was returned.
    n_returned = len(scored.returned)
    trace = taken(trace, np.arange(n_returned)) if n_returned < trace.n_rows else trace
    samples = sample_of_each(trace, labels)
    source, why = _source(scored.returned, scored.rows, samples)
    if source is None:
        return _unconfirmed(trace, labels, "; ".join(filter(None, (why, scored.unknown))))
    if samples is None:
        source = _with_own_target(source, scored.rows, trace, labels)
    by_sample = samples if trace.ended else None
    confirmed = replace(trace, confirmed=True, not_confirmed=scored.unknown)
    # Parts have no order before they are scored.
    expected = trace.n_rows if by_sample is None else len(labels)
    rearranged = _displaced(source, by_sample) + abs(len(source) - expected)
    if not trace.ended and not rearranged:
        return confirmed
    confirmed = replace(taken(confirmed, source), scored_from=source, parts=trace.calls)
    return replace(
        confirmed,
        # Rows are where the caller put them: the order of the source shows nothing, nor does a position in an array.
        tags=unnumbered(confirmed),
        index=None if confirmed.index_source == "position" else confirmed.index,
        rearranged=rearranged,
        not_confirmed=confirmed.not_confirmed if samples is not None or trace.targets is not None else NO_IDENTITY,
    )


def _with_own_target(source: Int64, rows: NDArray[np.uint64], trace: Trace, labels: LabelTable) -> Int64:
    """The same rows; of equal ones each stands beside the label that came with it as target, as far as that goes."""
    targets, values = trace.targets, labels.values
    if not (isinstance(targets, np.ndarray) and isinstance(values, np.ndarray)) or targets.ndim > 1 or values.ndim > 1:
        return source
    wrong = compare_labels(targets[source], values).rows
    if not wrong.size or targets.dtype.kind != values.dtype.kind or len(source) > len(values):
        return source
    some = np.flatnonzero(np.isin(rows, rows[wrong]))
    beside, wanted = targets[source[some]], values[some]
    again = source.copy()
    again[some[np.lexsort((wanted, rows[some]))]] = source[some[np.lexsort((beside, rows[some]))]]
    return again


def _displaced(source: Int64, samples: Int64 | None) -> int:
    """Rows that are scored elsewhere than they were returned; where samples are given, than these are."""
    rows = source if samples is None else samples[source]
    return int(np.count_nonzero(rows != np.arange(len(rows))))


def _unconfirmed(trace: Trace, labels: LabelTable, why: str) -> Trace:
    return one_for_each_sample(trace, labels, why) if trace.ended else replace(trace, not_confirmed=why)


def unnumbered(trace: Trace) -> Int64:
    """Tags that only say which rows changed on the way."""
    return np.where(np.asarray(trace.tags) == ALTERED, ALTERED, UNKNOWN)


def sample_of_each(trace: Trace, labels: LabelTable) -> Int64 | None:
    """The sample of each row by the strongest identity that shows one; None where there is none."""
    for match in all_matches(trace, labels):
        if match.comparable and match.identity != "position" and (match.samples >= 0).any():
            return match.samples
    return None


def one_for_each_sample(trace: Trace, labels: LabelTable, why: str) -> Trace:
    """A trace of calls in any order, with one row of each sample, in label order.

    Rows that were predicted for no sample are left out: they may be scored or not.

    Args:
        trace: All calls.
        labels: The labels.
        why: Why it is not known which of the rows are scored where.
    """
    samples = sample_of_each(trace, labels)
    if samples is None:
        # Each label may be answered several times: only too few rows show a fault.
        rows = np.arange(min(trace.n_rows, len(labels)))
        if not trace.ordered and not _each_as_often(trace, labels):
            why = "; ".join(filter(None, (why, SCORED_AS_WELL.format(n=trace.n_rows - len(rows)))))
    else:
        known = np.flatnonzero((samples >= 0) & (samples < len(labels)))
        known = _wrong_targets_first(known, samples, trace, labels)
        theirs, first = np.unique(samples[known], return_index=True)
        others = np.flatnonzero(samples == UNKNOWN if trace.ordered else ~np.isin(np.arange(trace.n_rows), known))
        # The others may be the samples that are not known yet, and no order is claimed.
        gaps = np.setdiff1d(np.arange(len(labels) + len(others)), theirs, assume_unique=True)[: len(others)]
        rows = np.concatenate([known[first], others])[np.argsort(np.concatenate([theirs, gaps]), kind="stable")]
        # What `evaluate` was given is in its metrics, all of it.
        rows = rows[: len(labels)] if trace.ordered else rows
    one = taken(trace, rows)
    return replace(
        one,
        tags=unnumbered(one),
        parts=trace.calls,
        index=None if samples is None else one.index,
        # Nothing shows which label the target of a predicted row is to be compared with.
        targets=None if samples is None and trace.ordered else one.targets,
        not_confirmed=why,
    )


def _each_as_often(trace: Trace, labels: LabelTable) -> bool:
    """Whether the targets that ``evaluate`` scored are the labels, all of them equally often."""
    times, left = divmod(trace.n_rows, max(1, len(labels)))
    if trace.targets is None or times < 1 or (times, left) == (1, 0):
        return True
    values = labels.values
    return (
        not left and isinstance(values, np.ndarray) and same_multiset(trace.targets, np.concatenate([values] * times))
    )


def _wrong_targets_first(known: Int64, samples: Int64, trace: Trace, labels: LabelTable) -> Int64:
    """These rows; of those that ``evaluate`` scored first the ones whose target is not the label of their sample.

    A sample that was scored twice is right only if both pairs are. Of samples with equal inputs nothing shows which is
    which: a target that is the label of one of them is right.
    """
    if trace.ordered:
        return known
    wrong = compare_labels(trace.targets, labels.values, samples).rows
    return known[np.argsort(~np.isin(known, _wrong_for_all_equal(wrong, samples, trace, labels)), kind="stable")]


def _wrong_for_all_equal(wrong: Int64, samples: Int64, trace: Trace, labels: LabelTable) -> Int64:
    """Of these rows those whose target is the label of no sample with the same inputs."""
    if trace.fingerprints is None or labels.fingerprints is None or not wrong.size:
        return wrong
    order = np.argsort(labels.fingerprints, kind="stable")
    theirs, ours = labels.fingerprints[order], trace.fingerprints[wrong]
    first, last = np.searchsorted(theirs, ours), np.searchsorted(theirs, ours, side="right")
    left = np.ones(len(wrong), dtype=bool)
    for more in range(min(MAX_EQUAL, int((last - first).max()))):
        some = np.flatnonzero(left & (first + more < last))
        other = samples.copy()
        other[wrong[some]] = order[first[some] + more]
        left[some] = np.isin(wrong[some], compare_labels(trace.targets, labels.values, other).rows)
    # Of more than these, some other one may have that label.
    return wrong[left & (last - first <= MAX_EQUAL)]


def place_of_each(returned: NDArray[np.uint64], rows: NDArray[np.uint64], samples: Int64) -> tuple[Int64 | None, str]:
    """The sample of each of these rows, which guarded calls returned; None, and why, where one is not known.

    Equal rows are interchangeable where all of them are given.
    """
    match = match_content(rows, returned)
    if (match.samples < 0).any():
        return None, _not_returned(int((match.samples < 0).sum()), len(rows))
    found = samples[match.samples]
    values, counts = np.unique(rows, return_counts=True)
    theirs, their_counts = np.unique(returned, return_counts=True)
    partial = values[counts != their_counts[np.searchsorted(theirs, values)]]
    some = np.isin(returned, partial)
    if len(np.unique(np.stack([returned[some], samples[some].astype(np.uint64)], axis=1), axis=0)) > len(partial):
        return None, SEVERAL_SAMPLES
    return found, "" if (found >= 0).all() else UNKNOWN_SAMPLES


def _source(returned: NDArray[np.uint64], rows: NDArray[np.uint64], samples: Int64 | None) -> tuple[Int64 | None, str]:
    """Which returned row each scored row is; None, and why, where some is none of them.

    Of equal rows that of the label's own sample comes first.
    """
    source = np.full(len(rows), UNKNOWN, dtype=np.int64)
    common = min(len(rows), len(returned))
    in_place = rows[:common] == returned[:common]
    if samples is not None:
        in_place &= (samples[:common] == np.arange(common)) | (samples[:common] == UNKNOWN)
    source[:common][in_place] = np.flatnonzero(in_place)
    if samples is not None and not in_place.all():
        _take_own(source, returned, rows, samples)
    other = np.flatnonzero(source == UNKNOWN)
    if not other.size:
        return source, ""
    unused = np.ones(len(returned), dtype=bool)
    unused[source[source >= 0]] = False
    if pair_equal(source, other, rows, np.flatnonzero(unused), returned):
        return source, ""
    found = match_content(rows[other], returned).samples
    if (found < 0).any():
        return None, _not_returned(int((found < 0).sum()), len(rows))
    if len(rows) <= len(returned) and _few_are_left(returned, rows, other):
        return None, _not_returned(len(other), len(rows))
    source[other] = found
    return source, ""


def _few_are_left(returned: NDArray[np.uint64], rows: NDArray[np.uint64], other: Int64) -> bool:
    """Whether some of these values come more often than they were returned, and few values are left.

    Those that a threshold, rounding or one-hot classes leave may be outputs of other rows by chance.
    """
    values, counts = np.unique(rows, return_counts=True)
    few = n_distinct(rows[other]) < MIN_DISTINCT or (
        len(values) * ROWS_PER_VALUE <= len(rows) and len(values) < n_distinct(returned)
    )
    if not few:
        return False
    theirs, their_counts = np.unique(returned, return_counts=True)
    # Each of them was returned.
    more = counts > their_counts[np.searchsorted(theirs, values)]
    return bool(np.isin(rows[other], values[more]).any())


def _take_own(source: Int64, returned: NDArray[np.uint64], rows: NDArray[np.uint64], samples: Int64) -> None:
    """For each scored row that has none yet, a returned row of the label's own sample that equals it."""
    known = np.flatnonzero((samples >= 0) & (samples < len(rows)))
    row_of = np.full(len(rows), UNKNOWN, dtype=np.int64)
    row_of[samples[known]] = known
    rest = np.flatnonzero((source == UNKNOWN) & (row_of >= 0))
    rest = rest[returned[row_of[rest]] == rows[rest]]
    source[rest] = row_of[rest]
    several = known[np.bincount(samples[known], minlength=len(rows))[samples[known]] > 1]
    rest = np.flatnonzero(source == UNKNOWN)
    if not several.size or not rest.size:
        return
    # Of several rows of one sample that with the digest: compared as one number, and then as they are.
    found = match_content(_mixed(rows[rest], rest), _mixed(returned[several], samples[several])).samples
    rest, candidates = rest[found >= 0], several[found[found >= 0]]
    same = (returned[candidates] == rows[rest]) & (samples[candidates] == rest)
    source[rest[same]] = candidates[same]


def _mixed(rows: NDArray[np.uint64], samples: Int64) -> NDArray[np.uint64]:
    return rows ^ (samples.astype(np.uint64) * MIX)


def _not_returned(count: int, n_rows: int) -> str:
    return NOT_RETURNED.format(f"{count:,}", f"{n_rows:,}", "was" if count == 1 else "were")
