"""What the caller scores: found among the rows that were returned, and the trace in that order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalguard.core.findings import Finding
from evalguard.core.label_table import LabelTable
from evalguard.core.matching import all_matches, match_content, repeated_rows
from evalguard.core.returned import MIN_DISTINCT, taken
from evalguard.core.target_comparison import compare_labels
from evalguard.core.trace import ALTERED, UNKNOWN, Int64, Trace

NOT_RETURNED = (
    "{} of the {} rows passed to confirm {} no row that a guarded call returned: an average, a class number or a "
    "probability alone is another value; confirm the rows before that step"
)
NO_IDENTITY = "the rows were put in another order, and nothing observed shows which sample each one is"
ANY_ORDER = "the calls of scope='parts' have no order; g.confirm(y_pred, y_true) shows which row is scored where"
# An odd number, to mix a sample's number into the digest of its row.
MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What the caller scores, as passed to ``Guard.confirm``.

    Attributes:
        returned: Digest of each row that guarded calls returned, uint64, in
            the order of the trace.
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
    trace = taken(trace, np.arange(len(scored.returned))) if len(scored.returned) < trace.n_rows else trace
    samples = sample_of_each(trace, labels)
    source, why = _source(scored.returned, scored.rows, samples)
    if source is None:
        return _unconfirmed(trace, labels, "; ".join(filter(None, (why, scored.unknown))))
    confirmed = replace(trace, confirmed=True, not_confirmed=scored.unknown)
    in_place = np.arange(len(source))
    rearranged = int(np.count_nonzero(source != in_place)) + abs(len(source) - trace.n_rows)
    if trace.ended and samples is not None:
        # Parts have no order before they are scored.
        rearranged = int(np.count_nonzero(samples[source] != in_place)) + abs(len(source) - len(labels))
    elif not rearranged and not trace.ended:
        return confirmed
    confirmed = replace(taken(confirmed, source), scored_from=source, parts=trace.calls)
    return replace(
        confirmed,
        # Rows are where the caller put them: the order of the source shows nothing, nor does a place in an array.
        tags=_unnumbered(confirmed),
        index=None if confirmed.index_source == "position" else confirmed.index,
        rearranged=rearranged,
        not_confirmed=confirmed.not_confirmed if samples is not None or trace.targets is not None else NO_IDENTITY,
    )


def _unconfirmed(trace: Trace, labels: LabelTable, why: str) -> Trace:
    return replace(one_for_each_sample(trace, labels) if trace.ended else trace, not_confirmed=why)


def _unnumbered(trace: Trace) -> Int64:
    """Tags that only say which rows changed on the way."""
    return np.where(np.asarray(trace.tags) == ALTERED, ALTERED, UNKNOWN)


def sample_of_each(trace: Trace, labels: LabelTable) -> Int64 | None:
    """The sample of each row by the strongest identity that shows one; None where there is none."""
    for match in all_matches(trace, labels):
        if match.comparable and match.identity != "position" and (match.samples >= 0).any():
            return match.samples
    return None


def one_for_each_sample(trace: Trace, labels: LabelTable) -> Trace:
    """A trace of calls in any order, with one row of each sample, in label order; rows of no sample are left out."""
    samples = sample_of_each(trace, labels)
    if samples is None:
        # Each label may be answered several times: only too few rows show a fault.
        rows = np.arange(min(trace.n_rows, len(labels)))
    else:
        known = np.flatnonzero((samples >= 0) & (samples < len(labels)))
        known = _wrong_targets_first(known, samples, trace, labels)
        _, first = np.unique(samples[known], return_index=True)
        rows = np.concatenate([known[first], np.flatnonzero(samples == UNKNOWN)])[: len(labels)]
    one = taken(trace, rows)
    return replace(
        one,
        tags=_unnumbered(one),
        index=None if samples is None else one.index,
        # Nothing shows which label the target of a predicted row is to be compared with.
        targets=None if samples is None and trace.ordered else one.targets,
        not_confirmed=ANY_ORDER if trace.ordered else "",
    )


def _wrong_targets_first(known: Int64, samples: Int64, trace: Trace, labels: LabelTable) -> Int64:
    """These rows; of those that ``evaluate`` scored first the ones whose target is not the label of their sample.

    A sample that was scored twice is right only if both pairs are. Of samples with equal inputs nothing shows which is
    which.
    """
    if trace.ordered:
        return known
    wrong = compare_labels(trace.targets, labels.values, samples).rows
    if trace.fingerprints is not None and labels.fingerprints is not None:
        shared = labels.fingerprints[repeated_rows(labels.fingerprints)]
        wrong = wrong[~np.isin(trace.fingerprints[wrong], shared)]
    return known[np.argsort(~np.isin(known, wrong), kind="stable")]


def place_of_each(returned: NDArray[np.uint64], rows: NDArray[np.uint64], samples: Int64) -> tuple[Int64 | None, str]:
    """The sample of each of these rows, which guarded calls returned; None, and why, where one is not known.

    Equal rows are interchangeable.
    """
    match = match_content(rows, returned)
    if (match.samples < 0).any():
        return None, _not_returned(match.samples < 0)
    found = samples[match.samples]
    return found, "" if (found >= 0).all() else "nothing shows which sample some of these rows are"


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
    if samples is not None and (rest := np.flatnonzero(source == UNKNOWN)).size:
        known = np.flatnonzero(samples >= 0)
        wanted, have = _mixed(rows[rest], rest), _mixed(returned[known], samples[known])
        found = match_content(wanted, have).samples
        hit = found >= 0
        candidates = known[found[hit]]
        same = (returned[candidates] == rows[rest[hit]]) & (samples[candidates] == rest[hit])
        source[rest[hit][same]] = candidates[same]
    other = np.flatnonzero(source == UNKNOWN)
    if not other.size:
        return source, ""
    found = match_content(rows[other], returned).samples
    if (found < 0).any():
        return None, _not_returned(found < 0, len(rows))
    # Values that a threshold or rounding leaves are few, and may be outputs of other rows by chance.
    same_rows = len(rows) == len(returned) and np.array_equal(np.sort(rows), np.sort(returned))
    if not same_rows and len(np.unique(rows[other])) < MIN_DISTINCT and len(rows) == len(returned):
        return None, _not_returned(np.isin(np.arange(len(rows)), other), len(rows))
    source[other] = found
    return source, ""


def _mixed(rows: NDArray[np.uint64], samples: Int64) -> NDArray[np.uint64]:
    return rows ^ (samples.astype(np.uint64) * MIX)


def _not_returned(wrong: NDArray[np.bool_], n_rows: int | None = None) -> str:
    count = int(np.count_nonzero(wrong))
    return NOT_RETURNED.format(f"{count:,}", f"{n_rows or len(wrong):,}", "is" if count == 1 else "are")
