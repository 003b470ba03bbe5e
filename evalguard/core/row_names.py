"""The pandas index of inputs, of a reference and of labels: names of rows that nobody was asked for.

It is compared only where both sides have one that names each row, and of the same kind. A default range names
nothing: ``reset_index`` makes one.

Longer than 300 lines because each way in which two indexes differ needs a rule and a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import counts_up, equal, n_distinct, rising
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.findings import Finding, Reason
from evalguard.core.key_differences import example
from evalguard.core.plural import plural
from evalguard.core.shown_keys import shown_key
from evalguard.core.visible import visible
from evalguard.errors import LabelsError

INTEGERS, TEXT, TIMES = "integers", "text", "times"
# Of several frames that are passed together.
SEVERAL_ORDERS = "the same names in several orders"
OF_PANDAS = "index of pandas"
# With fewer common names than this share, nothing shows that both sides name the same things.
COMMON_SHARE = 0.02
# Of rows that have the name of their label, where some name comes twice.
MOSTLY_SHARE = 0.5
# Rows may be shifted by so many of all.
MOST_SHIFTED = 2
UNITS = {"day": 86_400_000_000_000, "hour": 3_600_000_000_000, "minute": 60_000_000_000, "second": 1_000_000_000}
MAX_NAME = 80
Names = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class RowNames:
    """The pandas index of some rows.

    Attributes:
        kind: ``integers``, ``text``, ``times`` (of no time zone, or in UTC), ``SEVERAL_ORDERS``, or in words what
            else it holds.
        values: int64, str or datetime64[ns], shape ``(n,)``, or a ``range``; empty for any other kind.
        n_rows: Number of rows.
    """

    kind: str
    values: Any
    n_rows: int

    def __len__(self) -> int:
        """Rows."""
        return self.n_rows

    @property
    def by_default(self) -> bool:
        """Whether it is the range that pandas gives to rows without names."""
        if isinstance(self.values, range):
            return self.values == range(len(self.values))
        return self.kind == INTEGERS and counts_up(self.values)

    @property
    def was_by_default(self) -> bool:
        """Whether it is such a range in another order: the rows were moved since, or those of the other side."""
        return self.kind == INTEGERS and np.array_equal(np.sort(self.keys()), np.arange(self.n_rows))

    @property
    def comparable(self) -> bool:
        """Whether it is of a kind that is compared."""
        return self.n_rows == len(self.values)

    def keys(self) -> Names:
        """The names as an array."""
        if self.kind == TEXT:
            # Of objects NumPy would compare each by itself.
            return np.asarray(self.values.tolist(), dtype=np.str_)
        return (
            np.arange(self.values.start, self.values.stop, self.values.step)
            if isinstance(self.values, range)
            else self.values
        )

    def at(self, rows: Any) -> RowNames | None:
        """The names of these rows; None where some is not known.

        Args:
            rows: int64, in order of delivery; a run-length column or an array.
        """
        if isinstance(rows, RunLengthColumn) and rows.is_range(self.n_rows):
            return self
        rows = np.asarray(rows)
        if len(rows) and (rows.min() < 0 or rows.max() >= self.n_rows):
            return None
        values = self.keys() if isinstance(self.values, range) else self.values
        return replace(self, values=values[rows] if self.comparable else values, n_rows=len(rows))


def joined(parts: Sequence[RowNames | None]) -> RowNames | None:
    """The names of several calls, one after the other; None where one has none, or they are of several kinds."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len({part.kind for part in known}) != 1:
        return None
    # A part that was numbered from 0 on names nothing.
    if len(known) > 1 and any(part.by_default for part in known):
        return None
    arrays = [np.asarray(part.values) for part in known]
    return RowNames(known[0].kind, np.concatenate(arrays), sum(part.n_rows for part in known))


@dataclass(frozen=True, slots=True, eq=False)
class IndexComparison:
    """What the index of labels and another one show together.

    Attributes:
        of: What the other one is of: ``inputs``, ``reference``, or ``files`` of an image iterator.
        keys: Both as keys, where they decide which sample a row is; None where they do not.
        note: Why they do not.
        hazard: What they leave open.
        finding: What they contradict, where something else decides.
        doubt: Why it is not known whether the rows are those of the labels.
    """

    of: str
    keys: tuple[Names, Names] | None = None
    note: str = ""
    hazard: str = ""
    finding: Finding | None = None
    doubt: str = ""

    @property
    def used(self) -> bool:
        """Whether they decide which sample a row is."""
        return self.keys is not None


def compared(rows: RowNames, labels: RowNames, of: str = "inputs", *, calls: Sequence[int] = ()) -> IndexComparison:
    """Compare two indexes.

    Args:
        rows: The index of the rows that were fed, in order, or of a reference.
        labels: The index of the labels.
        of: See ``IndexComparison``.
        calls: Rows of each call, where these have no order and several may answer the same labels.
    """
    if rows.by_default or labels.by_default:
        return IndexComparison(of)
    for whose, kind in ((of, rows.kind), ("labels", labels.kind)):
        if kind == SEVERAL_ORDERS:
            return IndexComparison(
                of, doubt=f"{OF_PANDAS}: the frames of the {whose} have {kind}: one was sorted separately"
            )
    if rows.kind != labels.kind or not rows.comparable:
        both = f"{rows.kind} in the {of}, {labels.kind} in the labels"
        return IndexComparison(of, note=f"{OF_PANDAS}: {both}; these are not compared")
    ours, theirs = rows.keys(), labels.keys()
    same = equal(ours, theirs)
    # Equal ones become keys of the labels, and these are refused where one comes twice.
    parts = np.split(ours, np.cumsum(calls)[:-1]) if calls else [ours]
    for whose, each in () if same else ((of, parts), ("labels", [theirs])):
        if any(map(repeats, each)):
            if _mostly_equal(ours, theirs):
                return IndexComparison(of, doubt=_REPEATED.format(whose=whose))
            return IndexComparison(of, note=f"{OF_PANDAS}: names of the {whose} repeat, so they are not compared")
    # Numbers that are shifted name other samples; only a time may be that of another step on purpose.
    offset = "" if same or rows.kind != TIMES else _offset(ours, theirs, sort=bool(calls))
    if offset:
        return IndexComparison(of, hazard=_OFFSET.format(offset=offset, of=of))
    if not same and rows.kind == INTEGERS and np.isin(ours, theirs).mean() > COMMON_SHARE:
        of_a_range = isinstance(rows.values, range) is not isinstance(labels.values, range)
        again = _numbered_again(ours, theirs)
        if again and not rising(ours):
            why = "their ranks are equal, so they were not compared"
            return IndexComparison(of, note=_AGAIN.format(of=of, why=why))
        if again or (of_a_range and not np.array_equal(np.sort(ours), np.sort(theirs))):
            return IndexComparison(of, doubt=_AGAIN.format(of=of, why="or they name other rows of one table. " + _KEEP))
    return IndexComparison(of, keys=_as_keys(ours, theirs))


def _mostly_equal(ours: Names, theirs: Names) -> bool:
    """Whether most rows have the name of their label, and no part was numbered from 0 on, as by ``pd.concat``."""
    if len(ours) != len(theirs) or (ours == theirs).mean() <= MOSTLY_SHARE:
        return False
    if ours.dtype.kind not in "iu":
        return True
    return not any(bool(((names[1:] == names[:-1] + 1) | (names[1:] == 0)).all()) for names in (ours, theirs))


def _numbered_again(ours: Names, theirs: Names) -> bool:
    """Whether one side may have been numbered from 0 on without the gaps of the other, and both then chosen together.

    What was left out before a row only grows from row to row.
    """
    if len(ours) != len(theirs):
        return False
    order = np.argsort(ours)
    apart = np.diff((theirs - ours)[order])
    return rising(theirs[order]) and bool((apart >= 0).all() or (apart <= 0).all())


# A scaler that returns an array, or ``reset_index``, numbers the rows of one side again, before both are split,
# filtered or shuffled together.
_AGAIN = (
    f"{OF_PANDAS}: the {{of}} and the labels have different numbers: one of them was numbered again (reset_index, a "
    "scaler); {why}"
)
_KEEP = "Keep the index on both sides, or drop it on one: labels.to_numpy()"


_REPEATED = (
    f"{OF_PANDAS}: names of the {{whose}} repeat, and most other rows have the name of their label. A row was repeated "
    "or replaced, or it has a wrong name"
)
_OFFSET = (
    f"{OF_PANDAS}: at every row the time of the labels is {{offset}} the time of the {{of}}. This is right if inputs "
    "are named by their origin and targets by their time, and wrong if the labels are shifted. Rows were compared by "
    "position"
)


def repeats(names: Names) -> bool:
    """Whether a name comes twice."""
    if rising(names):
        return False
    return (n_distinct(names) if names.dtype.kind != "U" else len(np.unique(names))) < len(names)


def _offset(ours: Names, theirs: Names, *, sort: bool) -> str:
    """By how much the labels' times are later than the others, if that is one number; empty if it is not."""
    if len(ours) != len(theirs) or not len(ours):
        return ""
    ours, theirs = (np.sort(names.astype(np.int64)) if sort else names.astype(np.int64) for names in (ours, theirs))
    apart = theirs - ours
    by = int(apart[0])
    if by and (apart == by).all():
        return f"{_shown(abs(by))} {'later than' if by > 0 else 'earlier than'}"
    shift = _shift(ours, theirs)
    return f"the one {plural(abs(shift), 'row')} {'after' if shift > 0 else 'before'}" if shift else ""


def _shift(ours: Names, theirs: Names) -> int:
    """k, where the labels' i-th name is the other's (i + k)-th, as of trading days or months; 0 where there is none."""
    if not (rising(ours) and rising(theirs)):
        return 0
    for first, second, sign in ((ours, theirs, 1), (theirs, ours, -1)):
        k = int(np.searchsorted(first, second[0]))
        if 0 < k <= len(first) // MOST_SHIFTED and np.array_equal(first[k:], second[: len(first) - k]):
            return sign * k
    return 0


def _shown(by: int) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS.items() if not by % size), ("nanosecond", 1))
    return plural(by // size, unit)


def _as_keys(ours: Names, theirs: Names) -> tuple[Names, Names]:
    """Both as keys: times as text, for which a report shows them."""
    if ours.dtype.kind != "M":
        return ours, theirs
    unit: Any = next(unit for unit in ("D", "s", "ns") if all(_are_whole(names, unit) for names in (ours, theirs)))
    return np.datetime_as_string(ours, unit), np.datetime_as_string(theirs, unit)


def _are_whole(times: Names, unit: str) -> bool:
    return bool((times.astype(f"datetime64[{unit}]") == times).all())


def against_reference(reference: RowNames, labels: RowNames) -> IndexComparison:
    """Compare the index of the labels with that of the reference, whose row ``i`` is declared to be of label ``i``."""
    found = compared(reference, labels, "reference")
    if found.keys is None or len(reference) != len(labels):
        return found
    ours, theirs = found.keys
    apart = np.flatnonzero(ours != theirs)
    found = replace(found, keys=None)
    if not apart.size:
        return found
    if np.isin(ours, theirs).mean() <= COMMON_SHARE:
        return replace(found, note=f"{OF_PANDAS}: {unlike(ours, theirs, 'reference')}")
    first = int(apart[0])
    message = (
        f"{OF_PANDAS}: at {plural(apart.size, 'row')} the reference and the labels name different "
        f"samples (first: row {first:,}, '{shown_key(ours[first])}' in the reference, "
        f"'{shown_key(theirs[first])}' in the labels)"
    )
    return replace(found, finding=Finding(Reason.LABELS, apart.size, message, tuple(apart[:20].tolist())))


def refuse_other_rows(weights: RowNames | None, labels: RowNames | None) -> None:
    """Refuse weights whose index names other rows than the labels' index at the same position.

    Raises:
        LabelsError: Both have one that names their rows, and these differ.
    """
    if weights is None or labels is None or len(weights) != len(labels):
        return
    keys = compared(weights, labels, "weights").keys
    if keys is not None and (apart := np.flatnonzero(keys[0] != keys[1])).size:
        row = int(apart[0])
        ours, theirs = (shown_key(names[row]) for names in keys)
        msg = (
            f"sample_weight: expected the weights in label order, found the index '{ours}' at row {row:,}, where the "
            f"labels have '{theirs}'; pass weights.loc[labels.index], or weights.to_numpy() if the order is right"
        )
        raise LabelsError(msg)


def unlike(ours: Names, theirs: Names, whose: str) -> str:
    """That almost no name is one of the labels, with an example of each side and the difference."""
    ours_first, theirs_first, difference = example(ours, theirs)
    shown = f"{whose}: '{shown_key(ours_first)}'; labels: '{shown_key(theirs_first)}'"
    none = f"no name of the {whose} is a name of the labels"
    return f"{none}. {shown[0].upper()}{shown[1:]}.{visible(difference, MAX_NAME)}"
