"""From evidence to samples: which label row is each delivered row?

Each function takes what the rows carried and what the labels hold, and gives an
int64 array ``samples``: the label row, ``UNKNOWN`` where nothing was said,
``FOREIGN`` (or a number outside the labels) where it is none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import chunks, equal
from evalguard.core.label_table import LabelTable, normal_keys
from evalguard.core.sampling import SampledRows
from evalguard.core.trace import FOREIGN, UNKNOWN, Column, Int64, Trace

# Below this share of matching rows, the reference is another kind of data
# rather than the stream a faulty one.
COMPARABLE_SHARE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """The samples as one kind of identity sees them.

    Attributes:
        identity: ``content``, ``key``, ``index`` or ``position``.
        samples: int64, shape ``(n_rows,)``.
        complete: Every row was recognised or found foreign; none is unknown.
        comparable: False where next to no row was recognised, so that this
            identity says nothing about the alignment.
    """

    identity: str
    samples: Int64
    complete: bool
    comparable: bool = True


def match_index(index: Column, identity: str = "index") -> Match:
    """Samples as the source stated them; a number outside the labels stays as it is."""
    index = np.asarray(index)
    return Match(identity, index, complete=bool((index != UNKNOWN).all()))


def match_keys(keys: NDArray[Any], label_keys: NDArray[Any]) -> Match:
    """Samples by key; a key that no label has is foreign."""
    carried = normal_keys(keys, "keys in the stream")
    wanted = label_keys
    if carried.dtype.kind != wanted.dtype.kind:
        carried, wanted = carried.astype(np.str_), wanted.astype(np.str_)
    order = np.argsort(wanted, kind="stable")
    position = np.searchsorted(wanted, carried, sorter=order)
    candidate = order[np.minimum(position, len(wanted) - 1)]
    samples = np.where(wanted[candidate] == carried, candidate, FOREIGN).astype(np.int64)
    known = float(np.mean(samples >= 0)) if len(samples) else 1.0
    return Match("key", samples, complete=True, comparable=known > 0)


def match_content(rows: NDArray[np.uint64], reference: NDArray[np.uint64]) -> Match:
    """Samples by fingerprint, equal ones being interchangeable.

    A row that equals the sample in its own place is that sample. Of the rest,
    the k-th occurrence of a fingerprint is the k-th sample that has it and is
    still free; occurrences beyond the number of samples count as repetitions,
    beginning with the first again.
    """
    if equal(rows, reference):
        return Match("content", np.arange(len(rows), dtype=np.int64), complete=True)
    samples = np.full(len(rows), FOREIGN, dtype=np.int64)
    common = min(len(rows), len(reference))
    in_position = np.flatnonzero(rows[:common] == reference[:common])
    samples[in_position] = in_position
    taken = np.zeros(len(reference), dtype=bool)
    taken[in_position] = True
    _assign_rest(rows, reference, samples, taken)
    known = float(np.mean(samples >= 0)) if len(samples) else 1.0
    return Match("content", samples, complete=True, comparable=known > COMPARABLE_SHARE)


def comparable_in_position(rows: NDArray[np.uint64], reference: NDArray[np.uint64]) -> bool:
    """Whether enough rows equal the sample in their place to tell that both are one kind of data."""
    in_position = 0
    for part in chunks(min(len(rows), len(reference))):
        in_position += int(np.count_nonzero(rows[part] == reference[part]))
        if in_position > COMPARABLE_SHARE * len(rows):
            return True
    return False


def _assign_rest(
    rows: NDArray[np.uint64], reference: NDArray[np.uint64], samples: Int64, taken: NDArray[np.bool_]
) -> None:
    """Fill in ``samples`` of the rows that are not in place, per fingerprint in order of occurrence."""
    rest = np.flatnonzero(samples < 0)
    if not rest.size:
        return
    # By fingerprint; within one, free samples first, each part in label order.
    order = np.concatenate([np.flatnonzero(~taken), np.flatnonzero(taken)])
    order = order[np.argsort(reference[order], kind="stable")]
    ordered = reference[order]
    # The rows by fingerprint, too: looked up in any other order each one waits for memory.
    rest = rest[np.argsort(rows[rest], kind="stable")]
    wanted = rows[rest]
    rank = np.arange(len(wanted)) - np.searchsorted(wanted, wanted, "left")
    start = np.searchsorted(ordered, wanted, "left")
    holders = np.searchsorted(ordered, wanted, "right") - start
    known = holders > 0
    # Free samples come first, so the modulo reaches taken ones only when no free one is left.
    samples[rest[known]] = order[start[known] + rank[known] % holders[known]]


def occurrence(values: NDArray[Any]) -> Int64:
    """For each element, how many equal ones stand before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    is_first = np.ones(len(values), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    positions = np.arange(len(values))
    starts = np.maximum.accumulate(np.where(is_first, positions, 0))
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = positions - starts
    return rank


def all_matches(trace: Trace, labels: LabelTable) -> tuple[Match, ...]:
    """What each identity at hand says, strongest first.

    Content is a fact about the row that was fed. A key or an index is what the
    source says of it; the position in an array is the weakest, since nobody
    stated it.
    """
    matches: list[Match] = []
    if trace.fingerprints is not None and labels.fingerprints is not None:
        matches.append(match_content(trace.fingerprints, labels.fingerprints))
    if trace.keys is not None and labels.keys is not None:
        matches.append(match_keys(trace.keys, labels.keys))
    if trace.index is not None:
        stated = trace.index_source == "stated"
        matches.append(match_index(trace.index, "index" if stated else "position"))
    return tuple(matches)


def repeated_rows(fingerprints: NDArray[np.uint64]) -> Int64:
    """Rows whose fingerprint an earlier row of the run already had."""
    return np.flatnonzero(occurrence(fingerprints) > 0)


@dataclass(frozen=True, slots=True, eq=False)
class SampledComparison:
    """Rows chosen by their place against the samples of these places.

    Attributes:
        n_chosen: Rows that were compared.
        wrong: int64: those of them that are not the sample of their place.
        n_rows: Rows that they were chosen of.
        comparable: False where next to none is any sample of the reference.
    """

    n_chosen: int
    wrong: Int64
    n_rows: int
    comparable: bool

    @property
    def all_match(self) -> bool:
        """Each chosen row is the sample of its place."""
        return self.comparable and self.n_chosen > 0 and not self.wrong.size

    def miss_probability(self, share: float = 0.01) -> float:
        """Probability, at most, that a fault which touches this share of all rows at random touches no chosen one."""
        return float((1.0 - self.n_chosen / self.n_rows) ** max(1, round(share * self.n_rows)))


def in_position(ours: SampledRows, theirs: SampledRows) -> tuple[Int64, NDArray[np.bool_]]:
    """Places that both sides chose, and whether the row there is the sample of its place."""
    positions, at, there = np.intersect1d(ours.positions, theirs.positions, assume_unique=True, return_indices=True)
    return positions, ours.fingerprints[at] == theirs.fingerprints[there]


def compare_sampled(trace: Trace, labels: LabelTable) -> SampledComparison | None:
    """The chosen rows against the labels' samples of their places; None where one side has none."""
    ours, theirs, whole = trace.sampled, labels.sampled, labels.fingerprints
    if ours is None:
        return None
    if theirs is None:
        if whole is None:
            return None
        positions = ours.positions[ours.positions < len(whole)]
        theirs = SampledRows(positions, whole[positions], len(whole))
    positions, same = in_position(ours, theirs)
    comparable = np.count_nonzero(same) > COMPARABLE_SHARE * len(same)
    if not comparable and whole is not None:  # after a shuffle, hardly a row is in its place
        comparable = np.isin(ours.fingerprints, whole).mean() > COMPARABLE_SHARE
    return SampledComparison(len(positions), positions[~same], ours.n_rows, bool(comparable))
