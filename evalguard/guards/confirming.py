"""What the caller scores, compared with what guarded calls returned and with the guard's labels.

Longer than 300 lines because one object compares rows, labels and weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import chunks
from evalguard.core.confirmed import UNKNOWN_SAMPLES, Scored, place_of_each, sample_of_each
from evalguard.core.findings import Finding, Reason
from evalguard.core.label_table import LabelTable
from evalguard.core.own_errors import not_ours, swallow
from evalguard.core.plural import plural
from evalguard.core.scored_weights import in_another_scale
from evalguard.core.target_comparison import as_one_quantity, compare_labels, in_form_of
from evalguard.core.trace import Trace
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints, together
from evalguard.guards.predictions import join_results, take
from evalguard.labels.labels import Labels

UInt64 = NDArray[np.uint64]
# Digest of each row, one column for each output.
Columns = tuple[UInt64, ...]
HALF = 0.5
# The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
MIX = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
# The types that hold integers of so many bits exactly.
EXACT = {"float32": 24, "float64": 53, "int64": 63}


def row_columns(result: Any) -> Columns | None:
    """A digest of each row of every output; None where an output has no rows that can be digested.

    Equal values have equal digests in every type that holds them exactly, and with or without axes of length one.
    """
    leaves = tree.leaves(result)
    if any(not tree.n_rows(leaf) for leaf in leaves):
        return None
    try:
        return _columns(result)
    except Exception as error:  # noqa: BLE001 - an output that cannot be read must not cost the user the predictions
        swallow(error)
        return None


def _columns(result: Any) -> Columns | None:
    columns = tuple(_digests(_widest(leaf)) for leaf in tree.leaves(result))
    return columns if columns and len({len(column) for column in columns}) == 1 else None


def _digests(rows: Any) -> UInt64:
    """A digest of each row; of a number its bits, mixed, which no other number has."""
    if not isinstance(rows, np.ndarray) or rows.ndim != 1 or rows.dtype not in (np.float32, np.float64):
        return row_fingerprints(rows, float64=True)[0]
    digests = np.empty(len(rows), dtype=np.uint64)
    for part in chunks(len(rows)):
        # One zero, one NaN.
        values = rows[part].astype(np.float64) + 0.0
        values[np.isnan(values)] = np.nan
        bits = values.view(np.uint64)
        for shift, factor in MIX:
            bits ^= bits >> shift
            bits *= factor
        digests[part] = bits ^ bits >> np.uint64(31)
    return digests


def joined_columns(calls: Sequence[Columns | None]) -> Columns | None:
    """The columns of several calls, one after the other; None where they have other outputs."""
    known = [columns for columns in calls if columns is not None]
    if len(known) < len(calls) or len({len(columns) for columns in known}) != 1:
        return None
    return known[0] if len(known) == 1 else tuple(np.concatenate(parts) for parts in zip(*known, strict=True))


def _widest(leaf: Any) -> Any:
    """The values in the widest type of their kind, without axes of length one."""
    if hasattr(leaf, "row_splits") or hasattr(leaf, "dense_shape"):
        return leaf
    with not_ours():  # whatever the model returned: it may have no rows at all
        array = tree.as_array(leaf)
        rows = array.reshape(len(array), *(size for size in array.shape[1:] if size != 1))
    if rows.dtype.kind in "biu":
        largest = max(int(rows.max()), -int(rows.min())) if rows.size else 0
        # Integers become floats when they are assigned to an array of zeros.
        exact = next((name for name, bits in EXACT.items() if largest <= 1 << bits), rows.dtype)
        return rows.astype(exact, copy=False)
    return rows.astype(np.float32) if rows.dtype.name in {"float16", "bfloat16"} else rows


@dataclass(frozen=True, slots=True, eq=False)
class Confirmation:
    """What was passed to ``Guard.confirm``, as it was then.

    Attributes:
        rows: Digests of the rows that are scored, one column for each output.
        by_column: The same where each column of a data frame is an output.
        y_true: The labels that they are scored against, as the guard reads labels; None: not passed.
        weights: The weights of these labels; None: not passed.
        problem: Why something of it cannot be compared.
        y_pred: The rows themselves, where metrics of them are to be computed.
    """

    rows: Columns | None
    by_column: Columns | None = None
    y_true: Any = None
    weights: Any = None
    problem: str = ""
    y_pred: Any = None

    @classmethod
    def of(cls, y_pred: Any, y_true: Any, weights: Any, *, keep: bool = False) -> Confirmation:
        """Digests and copies, as the caller may change the arrays afterwards.

        Args:
            y_pred: What is scored.
            y_true: Its labels; None: not passed.
            weights: Their weights; None: not passed.
            keep: Copy ``y_pred``, too.
        """
        try:
            with not_ours():
                by_column = None
                if hasattr(y_pred, "to_numpy"):
                    names = getattr(y_pred, "columns", ())
                    by_column = _columns([y_pred[name].to_numpy() for name in names]) if len(names) > 1 else None
                    y_pred = y_pred.to_numpy()
                labels = None if y_true is None else Labels.of(y_true).values
                kept = _copied(y_pred) if keep else None
                return cls(_columns(y_pred), by_column, _copied(labels), _copied(weights), y_pred=kept)
        except Exception as error:  # noqa: BLE001 - what cannot be compared must not cost the user the predictions
            return cls(None, problem=f"what was passed to confirm cannot be compared: {swallow(error)}")

    def found_in(self, returned: Columns | None) -> int:
        """How many of the rows are among these."""
        pair = self._paired(returned)
        return 0 if pair is None else max(int(np.isin(pair[1], column).sum()) for column in pair[0].values())

    def shares_rows(self, other: Confirmation, returned: Columns | None) -> bool:
        """Whether the other confirmation has most of these rows, too."""
        ours, theirs = self._paired(returned), other._paired(returned)
        return ours is not None and theirs is not None and bool(np.isin(ours[1], theirs[1]).mean() > HALF)

    def against(self, returned: Columns | None, labels: LabelTable | None, outputs: tuple[str, ...]) -> list[Scored]:
        """What is scored, as judging compares it: for each output that it may be.

        Args:
            returned: Digests of the rows that guarded calls returned.
            labels: The guard's labels.
            outputs: Names of the model's outputs.
        """
        pair = self._paired(returned)
        problem = self.problem or ("" if pair is not None else _not_comparable(self.rows, returned))
        columns: Mapping[int | None, UInt64 | None] = {None: None} if pair is None else pair[0]
        rows = None if pair is None else pair[1]
        scored = []
        for number, column in columns.items():
            # Labels and weights are those of the same output.
            compared = [
                _compared(what, given, labels, outputs, number)
                for what, given in (("label", self.y_true), ("weight", self.weights))
                if given is not None
            ]
            unknown = "; ".join(filter(None, (problem, *(why for why, _ in compared))))
            findings = tuple(finding for _, finding in compared if finding is not None)
            scored.append(Scored(column, rows, unknown, findings, with_labels=self.y_true is not None))
        return scored

    def is_beside(self, samples: NDArray[np.int64], labels: LabelTable) -> bool:
        """Whether row i of the labels and weights that were passed belongs to ``samples[i]``, and not to label i."""
        own = 0
        for given, values in ((self.y_true, labels.values), (self.weights, labels.weights)):
            if given is None:
                continue
            if (
                values is None
                or isinstance(given, Mapping)
                or isinstance(values, Mapping)
                or len(given) != len(samples)
            ):
                return False
            beside = compare_labels(given, values[samples])
            if not beside.comparable or beside.rows.size:
                return False
            own += len(given) != len(values) or bool(compare_labels(given, values).rows.size)
        return own > 0

    def _paired(self, returned: Columns | None) -> tuple[dict[int | None, UInt64], UInt64] | None:
        """One digest for each row of both sides.

        On the side of what was returned it is that of all outputs (None), or of
        each output that may be the only one that is scored, by its number.
        """
        if returned is None or self.rows is None:
            return None
        by_column = self.by_column is not None and len(self.by_column) == len(returned)
        rows = self.by_column if by_column and self.by_column is not None else self.rows
        if len(returned) == len(rows):
            return {None: together(list(returned))}, together(list(rows))
        if len(rows) > 1:
            return None
        # Of several outputs those that hold most of these rows: outputs of few values may hold the same ones.
        found = [int(np.isin(rows[0], column).sum()) for column in returned]
        return {number: returned[number] for number in range(len(found)) if found[number] == max(found)}, rows[0]


def in_label_order_again(parts: list[Any], trace: Trace, labels: LabelTable, returned: Columns | None) -> Any:
    """The rows of these parts in label order, by what each row is.

    Raises:
        ValueError: That is not known of some row, or a label has none or several.
    """
    columns = [row_columns(part) for part in parts]
    given = joined_columns(columns) if parts else None
    if given is None or returned is None or len(given) != len(returned) or (whole := join_results(parts)) is None:
        msg = "put_back: expected results of guarded calls, all with the same outputs and shapes; found other rows"
        raise ValueError(msg)
    samples = sample_of_each(trace, labels)
    if samples is None:
        msg = "put_back: nothing shows which sample each row is; pass reference=x to the guard, or call g.part(rows)"
        raise ValueError(msg)
    rows = together(list(returned))
    places, why = _of_whole_calls([together(list(part or ())) for part in columns], trace.calls, rows, samples), ""
    if places is None:
        places, why = place_of_each(rows, together(list(given)), samples)
    if places is None or why or (places < 0).any():
        msg = f"put_back: {why or UNKNOWN_SAMPLES}"
        raise ValueError(msg)
    times = np.bincount(places[places < len(labels)], minlength=len(labels))
    if len(places) != len(labels) or (times != 1).any():
        none, several = int((times == 0).sum()), int((times > 1).sum())
        msg = (
            f"put_back: expected one row for each of the {len(labels):,} labels, found {plural(len(places), 'row')}: "
            f"{plural(none, 'label')} with none, {several:,} with several"
        )
        raise ValueError(msg)
    return take(whole, np.argsort(places))


def _of_whole_calls(
    parts: list[UInt64], calls: tuple[int, ...], returned: UInt64, samples: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """The samples of parts that are each what one call returned; None if one is not.

    Other models may have returned some of the same rows for other samples.
    """
    by_rows: dict[bytes, list[NDArray[np.int64]]] = {}
    for stop, n_rows in zip(np.cumsum(calls), calls, strict=True):
        call = slice(stop - n_rows, stop)
        by_rows.setdefault(returned[call].tobytes(), []).append(samples[call])
    found = [by_rows.get(part.tobytes(), []) for part in parts]
    if not all(found):
        return None
    # Of calls that returned the same rows each part gets the next.
    return np.concatenate([choices.pop(0) if len(choices) > 1 else choices[0] for choices in found])


def _copied(structure: Any) -> Any:
    if isinstance(structure, Mapping):
        return {name: np.array(part) for name, part in structure.items()}
    return None if structure is None else np.array(structure)


def _not_comparable(rows: Columns | None, returned: Columns | None) -> str:
    if rows is None or returned is None:
        which = "what was passed to confirm" if rows is None else "what guarded calls returned"
        return f"{which} has no rows that can be compared"
    outputs = plural(len(returned), "output")
    return f"expected {outputs}, as the model returns, or one of them; found {len(rows):,} passed to confirm"


def _compared(
    what: str, given: Any, labels: LabelTable | None, outputs: tuple[str, ...], number: int | None
) -> tuple[str, Finding | None]:
    """Why it is not known whether labels or weights are the guard's, and what shows that they are not."""
    argument, option = ("y_true", "labels=y_true") if what == "label" else ("sample_weight", "sample_weight=")
    values: Any = None if labels is None else labels.values if what == "label" else labels.weights
    if labels is None or values is None:
        return f"the guard has no {what}s to compare {argument} with; pass {option} to the guard", None
    n_labels = len(labels)
    n_given = tree.n_rows(given)
    if n_given is None:
        return f"expected a {what} for each row, found a single value", None
    if n_given != n_labels:
        message = f"expected the {plural(n_labels, what)} of the guard, found {n_given:,} passed to confirm"
        return "", Finding(Reason.SCORED, abs(n_labels - n_given), message)
    # A list of outputs was read with their numbers as names; the guard's labels may have real names.
    numbered = isinstance(given, Mapping) and list(given) == [str(number) for number in range(len(given))]
    given = in_form_of(values, tuple(given.values()) if numbered and given.keys() != values.keys() else given, outputs)
    if (
        number is not None
        and isinstance(values, Mapping)
        and len(values) > 1
        and not isinstance(given, (Mapping, tuple))
    ):
        values = _of_output(values, number, outputs)
    strict = compare_labels(given, values)
    if what == "weight" and strict.rows.size and in_another_scale(given, values):
        return "the weights passed to confirm are the guard's times a constant; pass them unchanged", None
    comparison = strict if what == "weight" else as_one_quantity(strict, given, values, None)
    if not comparison.comparable:
        why = comparison.why_not.replace("the stream's targets", f"the {what}s passed to confirm")
        why = why.replace("the targets in the stream", f"the {what}s passed to confirm")
        return why.replace("targets of", f"{what}s of").replace(" in the stream", " passed to confirm"), None
    return "", _other_rows(what, comparison.rows, comparison.shift)


def _of_output(values: Mapping[str, Any], number: int, outputs: tuple[str, ...]) -> Any:
    """The labels of one output: by name, or by order, which for a mapping of outputs is that of its names."""
    names: Sequence[str] = sorted(values, key=lambda name: (len(name) if outputs else 0, name))
    names = outputs if values.keys() == set(outputs) else names
    return values[names[number]] if number < len(names) else None


def _other_rows(what: str, rows: NDArray[np.int64], shift: int) -> Finding | None:
    if not rows.size:
        return None
    count = plural(rows.size, "row")
    message = f"the scored {what} differs from the guard's at {count} (first: row {int(rows[0]):,})"
    if shift:
        message += f": it is the guard's label {plural(abs(shift), 'row')} {'later' if shift > 0 else 'earlier'}"
    return Finding(Reason.SCORED, int(rows.size), message, tuple(int(row) for row in rows[:20]))
