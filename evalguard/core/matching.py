"""From evidence to samples: which label row is each delivered row?

Each function compares what the rows carried with what the labels hold and
returns an int64 array ``samples``: the label row, ``UNKNOWN`` if the row was not
identified, ``FOREIGN`` (or a number outside the labels) if it is not a labelled sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import chunks, equal
from evalguard.core.label_table import KeyColumn, LabelTable, normal_keys
from evalguard.core.stable_order import stable_order
from evalguard.core.trace import FIT, FOREIGN, UNKNOWN, Column, Int64, Trace

# With fewer matching rows than this share, the reference most likely holds other data (say, before scaling), and the
# stream is not accused.
COMPARABLE_SHARE = 0.02
# Up to this share of rows of no sample, with all others in position, are foreign rows. Of more, nothing shows
# whether a transformation at random changed them.
TRANSFORMED_SHARE = 0.05
SHARED = (
    "content: fingerprint= returns the same for samples with different inputs, so it does not identify {}; "
    "return a part that differs for each sample, or use key= or sample_indices"
)
TRANSFORMED = (
    "content: the reference does not contain {}, and all other rows are in position; either these are other data, or "
    "the source transforms rows at random and content cannot identify them; use key= or sample_indices"
)


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """The samples as one kind of identity shows them.

    Attributes:
        identity: ``content``, ``key``, ``index``, ``position``, or ``part``: the label rows that the caller names.
        samples: int64, shape ``(n_rows,)``.
        complete: Every row was recognised or found foreign; none is unknown.
        comparable: False if almost none of the rows match, so that this
            identity shows nothing about the alignment.
        why: Why rows are unknown, with ``{}`` for their number; empty where
            the source did not name them.
    """

    identity: str
    samples: Int64
    complete: bool
    comparable: bool = True
    why: str = ""

    @property
    def observed(self) -> bool:
        """Whether something rode with the rows; a position is declared by the caller."""
        return self.identity not in {"position", "part"}


def match_index(index: Column, identity: str = "index") -> Match:
    """Samples as the source stated them; a number outside the labels stays as it is."""
    index = np.asarray(index)
    return Match(identity, index, complete=bool((index != UNKNOWN).all()))


def index_identity(trace: Trace) -> str:
    """The identity that the index of a trace is: stated by the source, or declared by the caller."""
    return "part" if trace.index_source == "part" else "index" if trace.index_source == "stated" else "position"


def match_keys(keys: Any, label_keys: Any) -> Match:
    """Samples by key; a key that no label has is foreign."""
    if isinstance(keys, KeyColumn):
        samples = keys.rows_in(label_keys)
    else:
        carried, wanted = normal_keys(keys, "keys in the stream"), label_keys
        if carried.dtype.kind != wanted.dtype.kind:
            carried, wanted = carried.astype(np.str_), wanted.astype(np.str_)
        samples = _rows_of_text(carried, wanted) if carried.dtype.kind == "U" else _rows_of(carried, wanted)
    known = float(np.mean(samples >= 0)) if len(samples) else 1.0
    return Match("key", samples, complete=True, comparable=known > COMPARABLE_SHARE)


def _rows_of(keys: NDArray[Any], of: NDArray[Any]) -> Int64:
    """For each key the row of ``of`` that holds it; ``FOREIGN`` if none does."""
    # Both sorted: lookups in any other order miss the cache each time.
    by_key, order = stable_order(keys), stable_order(of)
    looked_up, ordered = keys[by_key], of[order]
    samples = np.empty(len(keys), dtype=np.int64)
    if equal(looked_up, ordered):
        samples[by_key] = order
        return samples
    position = np.minimum(np.searchsorted(ordered, looked_up), len(of) - 1)
    samples[by_key] = np.where(ordered[position] == looked_up, order[position], FOREIGN)
    return samples


def _rows_of_text(keys: NDArray[np.str_], of: NDArray[np.str_]) -> Int64:
    """The same for text, which takes ten times as long to sort as digests of it."""
    samples = _rows_of(text_digests(keys), text_digests(of))
    for rows in chunks(len(keys)):
        found = np.flatnonzero(samples[rows] >= 0)
        if not np.array_equal(keys[rows][found], of[samples[rows][found]]):
            # Different texts have one digest.
            return _rows_of(keys, of)
    return samples


def text_digests(texts: NDArray[np.str_]) -> NDArray[np.uint64]:
    """A number for each text, equal for equal ones; uint64, shape ``(n,)``."""
    native = np.ascontiguousarray(texts, dtype=texts.dtype.newbyteorder("="))
    letters = native.view(np.uint32).reshape(len(texts), native.itemsize // np.dtype(np.uint32).itemsize)
    weights = np.random.default_rng(0).integers(0, 1 << 64, letters.shape[1], dtype=np.uint64) | np.uint64(1)
    digests = np.empty(len(texts), dtype=np.uint64)
    for rows in chunks(len(texts)):
        # What is beyond 64 bits is dropped.
        digests[rows] = letters[rows].astype(np.uint64) @ weights
    return digests


def match_content(rows: NDArray[np.uint64], reference: NDArray[np.uint64], *, ambiguous: bool = False) -> Match:
    """Samples by fingerprint, equal ones being interchangeable.

    A row that equals the sample at its own index is that sample. Among the other
    rows, the k-th occurrence of a fingerprint is the k-th unassigned sample that
    has it; further occurrences are repetitions, assigned from the first one again.

    Args:
        rows: Fingerprints of the delivered rows.
        reference: Fingerprints in label order.
        ambiguous: Different inputs have one fingerprint: what several samples have identifies none of them.
    """
    if not ambiguous and equal(rows, reference):
        return Match("content", np.arange(len(rows), dtype=np.int64), complete=True)
    samples = np.full(len(rows), FOREIGN, dtype=np.int64)
    common = min(len(rows), len(reference))
    in_position = np.flatnonzero(rows[:common] == reference[:common])
    samples[in_position] = in_position
    taken = np.zeros(len(reference), dtype=bool)
    taken[in_position] = True
    _assign_rest(rows, reference, samples, taken)
    comparable, why = is_comparable(rows, reference, samples >= 0), ""
    if ambiguous:
        samples[np.isin(rows, reference[occurrence(reference) > 0])] = UNKNOWN
        why = SHARED
    complete = bool((samples != UNKNOWN).all())
    return Match("content", samples, complete, comparable, why)


def is_comparable(
    rows: NDArray[np.uint64], reference: NDArray[np.uint64], known: NDArray[np.bool_] | None = None
) -> bool:
    """Whether enough rows are those of a sample to show that both sides hold the same data.

    Rows that several samples have are left out where there are others: blank or
    constant rows are equal in any two data sets.

    Args:
        rows: Fingerprints of the delivered rows.
        reference: Fingerprints in label order.
        known: Which rows some sample has, if that was found already.
    """
    known = np.isin(rows, reference) if known is None else known
    if known.all():
        return True
    distinct = ~np.isin(rows, reference[occurrence(reference) > 0])
    return bool(known[distinct].mean() > COMPARABLE_SHARE)


def unless_transformed(match: Match, n_labels: int) -> Match:
    """The match, where many foreign rows with all others in position are unknown: a random transformation does that."""
    foreign = match.samples == FOREIGN
    few = np.count_nonzero(foreign) <= TRANSFORMED_SHARE * n_labels
    if few or not match.comparable or len(foreign) != n_labels:
        return match
    if (match.samples != np.arange(n_labels))[~foreign].any():
        return match
    return replace(match, samples=np.where(foreign, UNKNOWN, match.samples), complete=False, why=TRANSFORMED)


def _assign_rest(
    rows: NDArray[np.uint64], reference: NDArray[np.uint64], samples: Int64, taken: NDArray[np.bool_]
) -> None:
    """Assign ``samples`` to the rows that are out of position, per fingerprint in order of occurrence."""
    rest = np.flatnonzero(samples < 0)
    if not rest.size:
        return
    free = np.flatnonzero(~taken)
    # The same rows in another order need no lookups: half of the time (benchmarks/core.py, "put back").
    if len(free) == len(rest) and pair_equal(samples, rest, rows, free, reference):
        return
    # Rows sorted by fingerprint: lookups in any other order miss the cache each time.
    rest = rest[stable_order(rows[rest])]
    wanted = rows[rest]
    # Sorted by fingerprint; within one, unassigned samples first, each part in label order.
    order = np.concatenate([np.flatnonzero(~taken), np.flatnonzero(taken)])
    order = order[stable_order(reference[order])]
    ordered = reference[order]
    rank = np.arange(len(wanted)) - np.searchsorted(wanted, wanted, "left")
    start = np.searchsorted(ordered, wanted, "left")
    holders = np.searchsorted(ordered, wanted, "right") - start
    known = holders > 0
    # Unassigned samples come first, so the modulo reaches assigned ones only if no other is left.
    samples[rest[known]] = order[start[known] + rank[known] % holders[known]]


def pair_equal(
    source: Int64, rows: Int64, digests: NDArray[np.uint64], candidates: Int64, of: NDArray[np.uint64]
) -> bool:
    """Assign ``source`` to these rows, where they are the candidates in another order; whether they are.

    The k-th of equal rows gets the k-th candidate that equals it.
    """
    rows = rows[stable_order(digests[rows])]
    candidates = candidates[stable_order(of[candidates])]
    if not np.array_equal(digests[rows], of[candidates]):
        return False
    source[rows] = candidates
    return True


def occurrence(values: NDArray[Any]) -> Int64:
    """For each element, the number of equal elements before it."""
    order = stable_order(values)
    ordered = values[order]
    is_first = np.ones(len(values), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    positions = np.arange(len(values))
    starts = np.maximum.accumulate(np.where(is_first, positions, 0))
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = positions - starts
    return rank


def all_matches(trace: Trace, labels: LabelTable) -> tuple[Match, ...]:
    """The match of each available identity, strongest first.

    Content is a fact about the row that the model received. A key or an index is
    what the source states about it. The position in an array is the weakest, as
    nothing states it.
    """
    matches: list[Match] = []
    if trace.fingerprints is not None and labels.fingerprints is not None:
        match = match_content(trace.fingerprints, labels.fingerprints, ambiguous=labels.ambiguous)
        matches.append(match if trace.method == FIT else unless_transformed(match, len(labels)))
    if trace.keys is not None and labels.keys is not None:
        matches.append(match_keys(trace.keys, labels.keys))
    if trace.index is not None:
        matches.append(match_index(trace.index, index_identity(trace)))
    return tuple(matches)


def repeated_rows(fingerprints: NDArray[np.uint64]) -> Int64:
    """Rows whose fingerprint an earlier row of the run already had."""
    return np.flatnonzero(occurrence(fingerprints) > 0)
