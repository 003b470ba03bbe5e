"""The external labels, in the order in which predictions will be scored.

Sample ``i`` is row ``i`` here. ``evalguard.labels`` reads files and streams; this
module only holds and validates arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.class_names import ClassNames
from evalguard.core.columns.chunks import n_distinct, rising
from evalguard.core.label_digest import digest_of
from evalguard.core.label_origin import LabelOrigin
from evalguard.core.plural import at_rows, plural
from evalguard.core.row_names import IndexComparison, RowNames
from evalguard.core.shown_keys import cause_of, message_of, shown_key
from evalguard.errors import LabelsError

Values = NDArray[Any] | Mapping[str, NDArray[Any]]


class KeyColumn:
    """Keys that are kept elsewhere and read like an array of int64 or str: ``StoredKeys`` in ``evalguard.data``."""

    equals: Any
    rows_in: Any
    in_order: Any


# How many keys occur more than once, the first of them, and its rows.
Repeated = tuple[int, Any, NDArray[np.int64]]


@dataclass(frozen=True, eq=False, repr=False)
class LabelTable:
    """External ground truth in label order.

    Attributes:
        values: One label per sample, shape ``(n, ...)``, any dtype; a mapping
            of such arrays for a model with several outputs; None if only
            keys or fingerprints are known.
        keys: Unique names of the samples, shape ``(n,)``, int64 or str.
        fingerprints: uint64, shape ``(n,)``: digest of each sample's input as
            the model receives it, in label order.
        spec: dtype and row shape of each fingerprinted input, to explain why
            nothing matches.
        name: Where the labels came from; used in reports only.
        ambiguous: Different inputs may have equal fingerprints, because
            ``fingerprint=`` chose a part of each input.
        float64_fingerprints: The fingerprints for a model that computes in
            float64; None where they are the same.
        weights: Sample weight of each label, floats, shape ``(n, ...)``; a
            mapping of such arrays for a model with several outputs; None where
            there are none.
        row_names: The pandas index of the labels; None where they have none.
        by_index: What it showed beside another index; None: it was not compared.
        classes: How what they came from names their class numbers; None where
            it does not.
        origin: Where they came from, for reports, and for the causes of a fault and their fixes.

    Raises:
        LabelsError: There is no sample, lengths differ, a key is null or
            repeated, or a weight is missing or no number.
    """

    values: Values | None = None
    keys: NDArray[Any] | None = None
    fingerprints: NDArray[np.uint64] | None = None
    spec: tuple[str, ...] = ()
    name: str = "labels"
    ambiguous: bool = False
    float64_fingerprints: NDArray[np.uint64] | None = None
    weights: Values | None = None
    row_names: RowNames | None = None
    by_index: IndexComparison | None = None
    classes: ClassNames | None = None
    origin: LabelOrigin = field(default_factory=LabelOrigin)
    _digests: dict[str, str] = field(default_factory=dict, init=False)
    _equal: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if not (parts := self._parts()):
            msg = f"{self.name}: expected label values, keys or fingerprints, found none."
            raise LabelsError(msg)
        for part, array in parts:
            if not getattr(array, "shape", part == "keys" and hasattr(array, "__len__")):
                msg = f"{self.name}: expected {part} of shape (n, ...), found one {type(array).__qualname__}."
                raise LabelsError(msg)
        lengths = {part: len(array) for part, array in parts}
        if len(set(lengths.values())) != 1:
            msg = f"{self.name}: expected one length for all parts, found {lengths}."
            raise LabelsError(msg)
        if len(self) == 0:
            msg = f"{self.name}: expected at least one label, found none. An empty label set proves nothing."
            raise LabelsError(msg)
        if self.keys is not None:
            object.__setattr__(self, "keys", normal_keys(self.keys, self.name))
            self._refuse_bad_keys(self.keys)
        if self.weights is not None:
            object.__setattr__(self, "weights", normal_weights(self.weights, len(self), self.name))

    def _parts(self) -> list[tuple[str, NDArray[Any]]]:
        parts: list[tuple[str, NDArray[Any]]] = []
        if isinstance(self.values, Mapping):
            parts += [(f"labels[{name!r}]", array) for name, array in self.values.items()]
        elif self.values is not None:
            parts.append(("labels", self.values))
        if self.keys is not None:
            parts.append(("keys", self.keys))
        if self.fingerprints is not None:
            parts.append(("fingerprints", self.fingerprints))
        return parts

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._parts()[0][1])

    def __repr__(self) -> str:
        """``<Labels 'labels.csv': 100 samples, values, keys>``: names of the parts, never the data."""
        parts = [name for name in ("values", "keys", "fingerprints", "weights") if getattr(self, name) is not None]
        return f"<Labels {self.name[:60]!r}: {len(self):,} sample{'s' * (len(self) != 1)}, {', '.join(parts)}>"

    def _refuse_bad_keys(self, keys: Any) -> None:
        stored = isinstance(keys, KeyColumn)
        empty = keys.empty() if stored else np.flatnonzero(keys == "") if keys.dtype.kind == "U" else keys[:0]
        if len(empty):
            msg = f"{self.name}: expected a key for each sample, found none {at_rows(empty)}."
            raise LabelsError(msg)
        repeated = keys.repeated() if stored else _repeated(keys)
        if repeated:
            count, key, rows = repeated
            msg = (
                f"{self.name}: expected each key once, found {plural(count, 'repeated key')}; the first is "
                f"{shown_key(key)!r} {at_rows(rows)}. Choose a column that names each sample."
            )
            raise LabelsError(msg)

    def in_form(self, values: Values) -> LabelTable:
        """The same labels as class numbers or as names; their digest stays that of what was given."""
        table = replace(self, values=values)
        table._digests.update(digest=self.digest, values_digest=self.values_digest)  # noqa: SLF001 - of the same class
        return table

    @property
    def keyed_by_index(self) -> bool:
        """Whether the keys are those of a pandas index."""
        return self.by_index is not None and self.by_index.used

    @property
    def equal_samples(self) -> int:
        """Number of samples with the same content as an earlier one; 0 if fingerprints are not known."""
        if not self._equal:
            rows = self.fingerprints
            self._equal.append(0 if rows is None else len(rows) - n_distinct(rows))
        return self._equal[0]

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of a SHA-256 that says whether labels are the same.

        With keys: of the set of pairs of key and label, in any order of the
        rows. Without keys: of the labels in their order. Equal values have the
        same digest in every container and dtype: CSV, Parquet, pandas and NumPy,
        int32, float32 and int64, keys as text and as integers.

        Fingerprints are included only if there are neither values nor keys, so
        that labels have the same digest with and without a reference. Weights
        are not included: a gate compares the labels alone. A pandas index is not included either.
        """
        return self._digested("digest", None if self.keyed_by_index else self.keys)

    @property
    def values_digest(self) -> str:
        """The same of the labels alone, in their order, which matters where no key identified the rows."""
        return self._digested("values_digest", None)

    def _digested(self, name: str, keys: Any) -> str:
        if name not in self._digests:
            self._digests[name] = digest_of(self._parts(), keys)
        return self._digests[name]


def for_inputs(labels: LabelTable, spec: tuple[str, ...]) -> LabelTable:
    """Labels with fingerprints as precise as the inputs that a model is fed.

    Args:
        labels: In either precision, where both are known.
        spec: dtype and row shape of each input.
    """
    if not any(item.startswith("float64") for item in spec):
        return labels
    precise = labels.fingerprints if labels.float64_fingerprints is None else labels.float64_fingerprints
    ours = tuple(item.replace("float32", "float64") for item in labels.spec)
    return replace(labels, fingerprints=precise, spec=ours)


def normal_keys(keys: Any, name: str = "keys") -> NDArray[Any]:
    """Keys as int64 if all are integers, else as str.

    Args:
        keys: Sequence of keys, shape ``(n,)``; bytes are read as UTF-8.
        name: Where they came from, for the message.

    Raises:
        LabelsError: A key is None or NaN.
    """
    if isinstance(keys, KeyColumn):
        return keys  # type: ignore[return-value] # it is read like one
    # A list becomes an array of objects, as NumPy would turn a NaN among names into the name "nan".
    array = np.asarray(keys, dtype=object if isinstance(keys, (list, tuple)) else None)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        msg = f"{name}: expected one key per sample, shape (n,), found shape {array.shape}."
        raise LabelsError(msg)
    if array.dtype.kind == "i" or (array.dtype.kind == "u" and array.dtype.itemsize < np.dtype(np.int64).itemsize):
        return array.astype(np.int64, copy=False)
    if array.dtype.kind == "U":
        return array
    items = array.tolist()
    null = [row for row, item in enumerate(items) if is_null(item)]
    if null:
        msg = f"{name}: expected a key for each sample, found none {at_rows(null)}."
        raise LabelsError(msg)
    if items and all(_is_integer(item) for item in items):
        return np.asarray(items, dtype=np.int64)
    return np.asarray([key_text(item) for item in items], dtype=np.str_)


def is_null(item: Any) -> bool:
    """Whether an item is missing: None, NaN, NaT or ``pandas.NA``, for which ``!=`` is neither true nor false."""
    if (differs := item != item) is False:
        return item is None
    return type(item).__name__ == "NAType" or (isinstance(differs, bool | np.bool_) and bool(differs))


def normal_weights(weights: Any, n_labels: int, name: str = "labels") -> Values:
    """Sample weights as floats, one row for each label.

    Args:
        weights: Numbers, shape ``(n, ...)``, or a mapping of such arrays.
        n_labels: Number of labels.
        name: Where the labels came from, for the message.

    Raises:
        LabelsError: There are more or fewer of them than labels, or one is not a number.
    """
    if isinstance(weights, Mapping):
        return {str(part): _floats(array, n_labels, f"{name}, output {part!r}") for part, array in weights.items()}
    return _floats(weights, n_labels, name)


def _floats(weights: Any, n_labels: int, name: str) -> NDArray[Any]:
    expected = f"{name}: expected one sample weight for each of the {plural(n_labels, 'label')}"
    try:
        array = np.asarray(weights)
        # A column of objects may hold text, which is refused: a cast from objects would read "1.5" as a number.
        array = np.asarray(array.tolist()) if array.dtype.hasobject else array
        if array.dtype.kind != "f":
            array = array.astype(np.float64, casting="unsafe" if array.dtype.hasobject else "safe")
    except (TypeError, ValueError) as error:
        msg = f"{expected}, found values that are not numbers ({message_of(error)}). Give numbers in label order."
        raise LabelsError(msg) from cause_of(error)
    if array.ndim == 0 or len(array) != n_labels:
        found = f"{len(array):,}" if array.ndim else "a single number"
        msg = f"{expected}, found {found}. Give an array in label order, with an entry for each label."
        raise LabelsError(msg)
    null = np.flatnonzero(np.isnan(array).reshape(n_labels, -1).any(axis=1))
    if len(null):
        msg = f"{name}: expected a sample weight for each label, found none {at_rows(null)}."
        raise LabelsError(msg)
    return array


def _repeated(keys: NDArray[Any]) -> Repeated | None:
    if keys.dtype.kind == "i" and (rising(keys) or n_distinct(keys) == len(keys)):
        return None
    unique, counts = np.unique(keys, return_counts=True)
    repeated = unique[counts > 1]
    return (len(repeated), repeated[0], np.flatnonzero(keys == repeated[0])) if len(repeated) else None


def _is_integer(item: object) -> bool:
    bounds = np.iinfo(np.int64)
    # A list taken as objects may hold NumPy integers.
    integer = isinstance(item, (int, np.integer)) and not isinstance(item, bool)
    return integer and bounds.min <= int(item) <= bounds.max  # type: ignore[call-overload]


def key_text(item: object) -> str:
    """A key that is no integer; bytes are read as UTF-8."""
    if isinstance(item, bytes):
        return item.decode("utf-8", "backslashreplace")
    return str(item)
