"""Names of classes by number, and labels that are names as class numbers."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import chunks
from evalguard.core.trace import Int64
from evalguard.errors import ConfigError

# More distinct values are no classes.
MAX_CLASSES = 1000
# Larger numbers are not class numbers.
MAX_NUMBER = 1 << 16
# Characters of a name in a message, and names that it lists.
MAX_NAME = 60
MAX_NAMED = 6
OPTION = "classes="
NO_NAME = -1
# What every finding says of classes that are numbered differently by their names.
NUMBER = "number the classes"


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The names of classes by number.

    Attributes:
        names: The name of class 0, 1, …
        source: Where they come from, for reports.
        assumed: evalguard chose the order itself: no number was given for a name.
        certain: The numbers beside them have these names. A dataset that was given a list of labels names its distinct
            numbers, as text (keras 3.15, ``utils/dataset_utils.py``), older ones the folders.
    """

    names: tuple[str, ...]
    source: str = OPTION
    assumed: bool = False
    certain: bool = True

    @property
    def number_of(self) -> dict[str, int]:
        """Name → number."""
        return {name: number for number, name in enumerate(self.names)}

    def name(self, number: int) -> str:
        """``'cat'``, cut if it is long, or the number if there is no name."""
        return repr(self.names[number][:MAX_NAME]) if 0 <= number < len(self.names) else str(number)


def names_by_output(given: Any) -> dict[str, ClassNames]:
    """The names that the option ``classes`` gives: by output, under ``""`` where there is one.

    Args:
        given: Names by number, or a mapping from name to number; or a mapping
            from the name of an output to one of these. None: no names.

    Raises:
        ConfigError: It is none of these, or a name is repeated.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping) and given and not all(map(_is_number, given.values())):
        return {str(output): ClassNames(_names(part, f"classes[{str(output)!r}]")) for output, part in given.items()}
    return {"": ClassNames(_names(given, "classes"))}


def _names(given: Any, option: str) -> tuple[str, ...]:
    if isinstance(given, Mapping):
        by_number = {number: name for name, number in given.items()}
        if len(by_number) < len(given) or sorted(by_number) != list(range(len(given))):
            msg = (
                f"{option}: expected the numbers 0 to {len(given) - 1:,}, each once; found {list(given.values())[:20]}"
            )
            raise ConfigError(msg)
        given = [by_number[number] for number in range(len(given))]
    if isinstance(given, (str, bytes, set, frozenset)) or not hasattr(given, "__iter__") or np.ndim(given) == 0:
        msg = f"{option}: expected a list of names by class number, found {type(given).__name__}"
        raise ConfigError(msg)
    names = list(given)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong or not names:
        found = f"{str(wrong[0])[:MAX_NAME]!r} ({type(wrong[0]).__name__})" if wrong else "no name"
        msg = f"{option}: expected names as text, by class number (column of the output); found {found}"
        raise ConfigError(msg)
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        msg = f"{option}: expected each name once, found {repeated[0][:MAX_NAME]!r} twice"
        raise ConfigError(msg)
    return tuple(map(str, names))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_text(values: Any) -> bool:
    """Whether labels are names: one text for each row."""
    if not isinstance(values, np.ndarray) or values.ndim == 0 or values.size != len(values):
        return False
    return values.dtype.kind in "US" or (
        values.dtype.kind == "O"
        and all(
            isinstance(item, (str, bytes)) for rows in chunks(len(values)) for item in values[rows].ravel().tolist()
        )
    )


def is_numbers(values: Any) -> bool:
    """Whether labels or targets are an array of numbers."""
    return isinstance(values, np.ndarray) and values.dtype.kind in "fiub"


def _texts(part: NDArray[Any]) -> list[str]:
    items = part.ravel().tolist()
    if part.dtype.kind == "U":
        return items
    return [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in items]


def distinct_names(values: NDArray[Any]) -> list[str] | None:
    """The distinct texts, sorted; None where there are too many for classes."""
    found: set[str] = set()
    for rows in chunks(len(values)):
        found.update(_texts(values[rows]))
        if len(found) > MAX_CLASSES:
            return None
    return sorted(found)


def numbers_of(values: NDArray[Any], names: ClassNames) -> NDArray[np.int32]:
    """The number of each text, int32, shape ``(n,)``; ``NO_NAME`` where it is none of the names."""
    number_of, found = names.number_of, np.empty(len(values), np.int32)
    for rows in chunks(len(values)):
        part = _texts(values[rows])
        found[rows] = np.fromiter(map(number_of.get, part, repeat(NO_NAME)), np.int32, len(part))
    return found


def missing_names(missing: Sequence[str], names: ClassNames, others: Iterable[str], where: str) -> str:
    """That names are missing on one side: both sides, cut to those that are near where there are many.

    Args:
        missing: Names that the labels have, and ``names`` lacks.
        names: What is expected.
        others: All names of the labels.
        where: What has them.
    """
    near = {match for name in missing[:MAX_NAMED] for match in difflib.get_close_matches(name, names.names, n=2)}
    meant = f" Did you mean {sorted(near)[0]!r}?" if near else ""
    return (
        f"{where}: expected names in {names.source} ({_listed(names.names, near)}), found {_listed(missing)}; "
        f"the labels have {_listed(sorted(others), missing)}.{meant}"
    )


def _listed(names: Sequence[str], first: Iterable[str] = ()) -> str:
    """Names, those in ``first`` before the others, cut to a few."""
    chosen = [name for name in names if name in set(first)] if len(names) > MAX_NAMED else []
    shown = [*chosen, *(name for name in names if name not in chosen)][:MAX_NAMED]
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return ", ".join(repr(name[:MAX_NAME]) for name in shown) + more


def numbered(names: ClassNames) -> str:
    """``'bird' 0, 'cat' 1, 'dog' 2``, cut to a few."""
    shown = ", ".join(f"{name[:MAX_NAME]!r} {number}" for number, name in enumerate(names.names[:MAX_NAMED]))
    return shown + (f" and {len(names.names) - MAX_NAMED:,} more" if len(names.names) > MAX_NAMED else "")


def translation(ours: ClassNames, theirs: ClassNames) -> Int64:
    """Number of each class of ours → its number in theirs, ``NO_NAME`` where it has none."""
    number_of = theirs.number_of
    return np.asarray([number_of.get(name, NO_NAME) for name in ours.names], np.int64)


def numbered_otherwise(ours: ClassNames, theirs: ClassNames, numbers: Iterable[int]) -> list[int]:
    """Those of our numbers whose class has another number in theirs."""
    number_of = theirs.number_of
    return [n for n in numbers if 0 <= n < len(ours.names) and number_of.get(ours.names[n], n) != n]


def otherwise_text(what: str, ours: ClassNames, theirs: ClassNames, numbers: Sequence[int]) -> str:
    """Which classes have other numbers on both sides, with both numbers."""
    number_of = theirs.number_of
    first, *more = [
        f"{ours.names[n][:MAX_NAME]!r} is {n} in {ours.source} and {number_of[ours.names[n]]} in {theirs.source}"
        for n in numbers[:1]
    ] + [f"{ours.names[n][:MAX_NAME]!r} is {n} and {number_of[ours.names[n]]}" for n in numbers[1:MAX_NAMED]]
    return f"{what} {NUMBER} otherwise than {theirs.source}: {', '.join([first, *more])}"


def class_numbers_in(values: Any) -> NDArray[np.integer[Any]] | None:
    """Labels or targets as class numbers, shape ``(n,)``, below 0 where a row has none; None if they are others.

    Args:
        values: Class numbers, or one-hot with a column for each class.
    """
    if not is_numbers(values) or not len(values):
        return None
    if values.ndim == 2 and values.shape[1] > 1:
        return values.argmax(axis=1) if _is_one_hot(values) else None
    if values.size != len(values):
        return None
    flat = values.reshape(-1)
    if flat.dtype.kind == "f":
        # NaN is not a class either, and every comparison with it is False.
        whole = all((part == np.rint(part)).all() for part in (flat[rows] for rows in chunks(len(flat))))
        if not whole or not abs(flat).max() < MAX_NUMBER:
            return None
        flat = flat.astype(np.int32)
    elif flat.dtype.kind == "b":
        flat = flat.view(np.uint8)
    return flat if flat.max() < MAX_NUMBER else None


def _is_one_hot(values: NDArray[Any]) -> bool:
    parts = (values[rows] for rows in chunks(len(values)))
    return all(((part == 0) | (part == 1)).all() and (part.sum(axis=1) == 1).all() for part in parts)


def numbers_present(numbers: NDArray[np.integer[Any]]) -> list[int]:
    """The class numbers that stand at some row."""
    found = np.zeros(MAX_NUMBER, dtype=bool)
    for rows in chunks(len(numbers)):
        part = numbers[rows]
        found[part[part >= 0]] = True
    return np.flatnonzero(found).tolist()
