"""Checks: pure functions from samples to at most one finding each.

Together the order checks hold exactly on the identity: there is no finding if
and only if ``samples == arange(n_labels)``. The tests state that as a property.
Terms are those of RFC 4737 (reordered) and RFC 5560 (duplicate).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import Ints, chunks, counts_up, first_true, small_type
from evalguard.core.trace import ALTERED, UNKNOWN, Int64, Trace

MAX_CASES = 20


class Reason(StrEnum):
    """Why predictions are not one-to-one with the labels. Stable codes."""

    COUNT = "count"
    FOREIGN = "foreign"
    MISSING = "missing"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    LABELS = "label_disagreement"
    TRANSPORT = "transport"
    REUSED = "source_reused"
    IDENTITIES = "identities_disagree"
    ALTERED = "altered"
    DRIFT = "validation_drift"
    SAMPLED = "sampled_content"


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which predictions and labels are not one-to-one.

    Attributes:
        reason: Stable code, used in reports and in MLflow tags.
        count: Rows (for ``missing``: samples) affected, never capped.
        message: One sentence, with numbers.
        rows: The first delivered rows concerned, at most ``MAX_CASES``.
        samples: The samples at these rows, or the first missing ones.
    """

    reason: Reason
    count: int
    message: str
    rows: tuple[int, ...] = ()
    samples: tuple[int, ...] = ()


def _cases(values: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values[:MAX_CASES])


def _finding(reason: Reason, wrong: NDArray[np.bool_], samples: Int64, what: str) -> Finding | None:
    """The finding on the rows marked as wrong, if there are any."""
    count = int(np.count_nonzero(wrong))
    if not count:
        return None
    rows = first_true(wrong, MAX_CASES)
    return Finding(reason, count, f"{count} {what}", _cases(rows), _cases(samples[rows]))


def known(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    """Rows whose sample is one of the labels."""
    return (samples >= 0) & (samples < n_labels)


def seen(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    """Samples that were delivered, shape ``(n_labels,)``."""
    found = np.zeros(n_labels, dtype=bool)
    for rows in chunks(len(samples)):
        part = samples[rows]
        found[part[known(part, n_labels)]] = True
    return found


def arrival_counts(samples: Int64, n_labels: int) -> NDArray[Any]:
    """Rows that carry each sample, shape ``(n_labels,)``; as bool where none is repeated."""
    found = seen(samples, n_labels)
    if np.count_nonzero(found) == np.count_nonzero(known(samples, n_labels)):
        return found
    counts = np.zeros(n_labels, dtype=small_type(len(samples)))
    for rows in chunks(len(samples)):
        part = samples[rows]
        # Sorted, some at a time: `bincount` would take eight bytes a sample, and a copy of the rows.
        which, how_many = np.unique(part[known(part, n_labels)], return_counts=True)
        counts[which] += how_many.astype(counts.dtype)
    return counts


def arrivals(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    """Rows at which a known sample is seen for the first time."""
    is_first = known(samples, n_labels)
    if np.count_nonzero(is_first) == np.count_nonzero(seen(samples, n_labels)):
        return is_first
    first = np.zeros(n_labels, dtype=small_type(len(samples)))
    for rows in reversed(list(chunks(len(samples)))):
        named = np.flatnonzero(is_first[rows])[::-1]
        # Written backwards, so that the first row of a sample is the one that stays.
        first[samples[rows][named]] = named + rows.start
    for rows in chunks(len(samples)):
        named = np.flatnonzero(is_first[rows])
        is_first[rows][named] = first[samples[rows][named]] == named + rows.start
    return is_first


def first_arrivals(samples: Int64, n_labels: int) -> Int64:
    """``arrivals`` as row numbers, in order."""
    return np.flatnonzero(arrivals(samples, n_labels))


def arrived(samples: Int64, n_labels: int) -> Ints:
    """The samples at first arrivals, in order: of 32 bits where samples and rows fit."""
    is_first = arrivals(samples, n_labels)
    found = np.empty(np.count_nonzero(is_first), dtype=small_type(n_labels, len(samples)))
    at = 0
    for rows in chunks(len(samples)):
        part = samples[rows][is_first[rows]]
        found[at : at + len(part)] = part
        at += len(part)
    return found


def check_count(samples: Int64, n_labels: int) -> Finding | None:
    """There are as many predictions as labels."""
    extra = len(samples) - n_labels
    if extra == 0:
        return None
    both = f"{len(samples)} predictions for {n_labels} labels"
    if extra > 0:
        rows = tuple(range(n_labels, min(len(samples), n_labels + MAX_CASES)))
        message = f"{both}: {extra} more than there are labels, from row {n_labels} on"
        return Finding(Reason.COUNT, extra, message, rows)
    message = f"{both}: the last {-extra} labels have no prediction"
    return Finding(Reason.COUNT, -extra, message)


def check_foreign(samples: Int64, n_labels: int) -> Finding | None:
    """Every row's sample is among the labels."""
    wrong = ~known(samples, n_labels) & (samples != UNKNOWN)
    return _finding(Reason.FOREIGN, wrong, samples, f"rows are none of the {n_labels} labelled samples")


def check_missing(samples: Int64, n_labels: int) -> Finding | None:
    """Every sample was delivered; each row that was not named may have been one of those not seen."""
    missing = ~seen(samples, n_labels)
    unnamed = int(np.count_nonzero(samples == UNKNOWN))
    count = int(np.count_nonzero(missing)) - unnamed
    if count <= 0:
        return None
    message = f"{'at least ' if unnamed else ''}{count} labelled samples were never predicted"
    return Finding(Reason.MISSING, count, message, (), _cases(first_true(missing, MAX_CASES)))


def check_duplicates(samples: Int64, n_labels: int) -> Finding | None:
    """No sample was delivered twice (RFC 5560)."""
    what = "rows repeat a sample that had already been predicted"
    return _finding(Reason.DUPLICATE, _repeated(samples, n_labels), samples, what)


def duplicate_rows(samples: Int64, n_labels: int) -> Int64:
    """Rows after the first with the same known sample."""
    return np.flatnonzero(_repeated(samples, n_labels))


def _repeated(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    return known(samples, n_labels) & ~arrivals(samples, n_labels)


def check_order(samples: Int64, n_labels: int) -> Finding | None:
    """No row came out after that of a later sample (RFC 4737, type-P-reordered)."""
    what = "rows came out after a row of a later sample"
    return _finding(Reason.REORDERED, reordered(samples, n_labels), samples, what)


def reordered(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    """Rows of first arrivals that lie below the running maximum."""
    late = arrivals(samples, n_labels)
    highest = -1
    for rows in chunks(len(samples)):
        first = np.flatnonzero(late[rows])
        part = samples[rows][first]
        # A running maximum, not a comparison with arange: one skipped sample must
        # not make every sample behind it look displaced.
        late[rows][first] = part < np.maximum(np.maximum.accumulate(part), highest)
        highest = max(highest, int(part.max(initial=-1)))
    return late


def misaligned(samples: Int64) -> NDArray[np.bool_]:
    """Rows that would be scored against another sample's label: the headline."""
    wrong: NDArray[np.bool_] = samples != UNKNOWN
    for rows in chunks(len(samples)):
        wrong[rows] &= samples[rows] != np.arange(rows.start, rows.stop)
    return wrong


def misaligned_rows(samples: Int64) -> Int64:
    """``misaligned`` as row numbers, in order."""
    return np.flatnonzero(misaligned(samples))


Check = Callable[[Int64, int], Finding | None]

# Read top down in a report: how many, then which, then in what order.
ORDER_CHECKS: tuple[Check, ...] = (check_count, check_foreign, check_missing, check_duplicates, check_order)


def order_findings(samples: Int64, n_labels: int) -> tuple[Finding, ...]:
    """All findings about which samples were delivered in which order."""
    if len(samples) == n_labels and counts_up(samples):
        return ()
    found = [check(samples, n_labels) for check in ORDER_CHECKS]
    if not any(found):
        # Only where rows were not named: [1, unnamed] holds no contradiction but the place of sample 1.
        found.append(_check_places(samples))
    return tuple(finding for finding in found if finding is not None)


def _check_places(samples: Int64) -> Finding | None:
    what = "rows are not in the place of their sample, whatever the rows are that were not named"
    return _finding(Reason.REORDERED, misaligned(samples), samples, what)


@dataclass(frozen=True, slots=True, eq=False)
class LabelComparison:
    """The stream's own targets against the external labels.

    Attributes:
        comparable: Both could be brought into one form.
        rows: Rows at which they differ.
        why_not: What kept them from being compared.
    """

    comparable: bool
    rows: Int64
    why_not: str = ""


def compare_labels(targets: Any, values: Any, samples: Int64 | None = None) -> LabelComparison:
    """Compare the stream's ``y`` with the label that each row will be scored against.

    One-hot targets are compared with class numbers by their argmax, floats
    after rounding to the coarser type, NaN equals NaN.

    Args:
        targets: ``y`` at each delivered row: array, mapping or sequence of arrays.
        values: Label values, in the same form.
        samples: Compare row ``i`` with label ``samples[i]`` rather than with
            label ``i``. Rows of unknown or foreign samples are left out.
    """
    none = np.zeros(0, dtype=np.int64)
    if targets is None or values is None:
        return LabelComparison(False, none, "the stream carries no targets" if targets is None else "no label values")
    pairs = _paired(targets, values)
    if pairs is None:
        return LabelComparison(False, none, "the targets in the stream and the labels are structured differently")
    wrong: list[Int64] = []
    for target, value in pairs:
        both = _alike(target, value)
        if both is None:
            why = (
                f"targets of {target.dtype} {target.shape[1:]} in the stream cannot be compared "
                f"with labels of {value.dtype} {value.shape[1:]}"
            )
            return LabelComparison(False, none, why)
        wrong.append(_unequal_rows(*both, samples))
    return LabelComparison(True, np.unique(np.concatenate(wrong)) if wrong else none)


def _paired(targets: Any, values: Any) -> list[tuple[NDArray[Any], NDArray[Any]]] | None:
    """Target and label of each output: by name where both have names, else by order."""
    if isinstance(targets, Mapping) and isinstance(values, Mapping):
        return [(targets[k], values[k]) for k in values] if targets.keys() == values.keys() else None
    outputs, columns = _outputs(targets), _outputs(values)
    return list(zip(outputs, columns, strict=True)) if len(outputs) == len(columns) else None


def _outputs(nest: Any) -> list[NDArray[Any]]:
    if isinstance(nest, Mapping):
        return list(nest.values())
    return list(nest) if isinstance(nest, (tuple, list)) else [nest]


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """Targets or labels, brought into the form of the other side some rows at a time: they may be mapped from a file.

    Attributes:
        array: As they are.
        one_hot: They are compared as class numbers.
        dtype: They are compared as this type; None: as they are.
    """

    array: NDArray[Any]
    one_hot: bool
    dtype: np.dtype[Any] | None = None

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return () if self.one_hot else self.array.shape[1:]

    def rows(self, which: slice | Int64) -> NDArray[Any]:
        part = self.array[which]
        if self.one_hot:
            part = part.argmax(axis=1)
        return part if self.dtype is None else part.astype(self.dtype, copy=False)


def _alike(target: NDArray[Any], value: NDArray[Any]) -> tuple[_Side, _Side] | None:
    """Both sides with one row shape and comparable types, or None."""
    target, value = _plain(target), _plain(value)
    sides = _Side(target, _one_hot(target, value)), _Side(value, _one_hot(value, target))
    if sides[0].shape != sides[1].shape:
        return None
    kinds = {_family(target), _family(value)}
    if len(kinds) > 1:
        return None
    if kinds == {"number"}:
        coarser = _coarser(*(np.dtype(np.int64) if side.one_hot else side.array.dtype for side in sides))
        return replace(sides[0], dtype=coarser), replace(sides[1], dtype=coarser)
    return sides


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(array)
    while array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.dtype.kind in "SO":
        text = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in array.ravel().tolist()]
        if all(isinstance(item, str) for item in text):
            return np.asarray(text, dtype=np.str_).reshape(array.shape)
    return array


def _one_hot(array: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether an array is one-hot, where the other side has class numbers."""
    if array.ndim != 2 or other.ndim != 1 or array.dtype.kind not in "fiub":
        return False
    parts = (array[rows] for rows in chunks(len(array)))
    return all(((part == 0) | (part == 1)).all() and (part.sum(axis=1) == 1).all() for part in parts)


def _family(array: NDArray[Any]) -> str:
    return "number" if array.dtype.kind in "fiub" else array.dtype.kind


def _coarser(first: np.dtype[Any], second: np.dtype[Any]) -> np.dtype[Any]:
    """The type with fewer digits: labels read as float64 meet targets cast to float32."""
    floats = [dtype for dtype in (first, second) if dtype.kind == "f"]
    if floats:
        return min(floats, key=lambda dtype: dtype.itemsize)
    return np.promote_types(first, second)


def _unequal_rows(target: _Side, value: _Side, samples: Int64 | None) -> Int64:
    wrong = [np.zeros(0, dtype=np.int64)]
    for rows in chunks(min(len(target), len(value) if samples is None else len(samples))):
        if samples is None:
            named = None
            ours, wanted = target.rows(rows), value.rows(rows)
        else:
            named = rows.start + np.flatnonzero(known(samples[rows], len(value)))
            ours, wanted = target.rows(named), value.rows(samples[named])
        differs = ours != wanted
        if ours.dtype.kind == "f":
            differs &= ~(np.isnan(ours) & np.isnan(wanted))
        found = np.flatnonzero(differs.any(axis=tuple(range(1, differs.ndim))))
        wrong.append(found + rows.start if named is None else named[found])
    return np.concatenate(wrong)


def same_multiset(targets: Any, values: Any) -> bool:
    """Whether one array of targets holds the labels, each as often, in any order."""
    pairs = _paired(targets, values)
    if pairs is None or len(pairs) != 1:
        return False
    both = _alike(*pairs[0])
    if both is None or both[0].shape or len(both[0]) != len(both[1]):
        return False
    ours, theirs = (np.sort(side.rows(slice(None))) for side in both)
    return bool(np.array_equal(ours, theirs))


def check_labels(comparison: LabelComparison) -> Finding | None:
    """The stream's own target equals the external label at every row."""
    rows = comparison.rows
    if not comparison.comparable or rows.size == 0:
        return None
    message = f"at {rows.size} rows the stream's own target differs from the external label"
    return Finding(Reason.LABELS, int(rows.size), message, _cases(rows))


def check_transport(trace: Trace) -> Finding | None:
    """Rows were delivered in the order in which the source emitted them, once each."""
    if trace.transport_intact is not False:
        return None
    tags = np.asarray(trace.tags)
    disordered = np.flatnonzero(np.diff(tags, prepend=-1) < 0)
    count = int(disordered.size) or 1
    message = "rows were not delivered in the order in which the source emitted them, once each"
    return Finding(Reason.TRANSPORT, count, message, _cases(disordered))


def check_altered(trace: Trace) -> Finding | None:
    """What the model was fed is what the source had handed out."""
    rows = trace.rows_tagged(ALTERED)
    if not rows.size:
        return None
    message = f"{rows.size} rows that the model was fed are not what the source had handed out: changed on the way"
    return Finding(Reason.ALTERED, int(rows.size), message, _cases(rows))


def check_reuse(trace: Trace) -> Finding | None:
    """The source stood at its start when the call began."""
    sources = trace.sources
    used = [state for state in sources if state.kind == "generator" and (state.started or state.handed_before)]
    if not used:
        return None
    state = used[0]
    if state.handed_before:
        how = (
            f"had been given to {state.handed_before} guarded call(s) before, which took "
            f"{state.pulled_before} batches from it"
        )
    else:
        how = "had already been started before this call"
    message = f"the generator {state.type_name} was not at its start: it {how}"
    return Finding(Reason.REUSED, trace.n_rows, message)
