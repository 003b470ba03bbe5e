"""What the caller scores, compared with what guarded calls returned and with the guard's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.confirmed import Scored, place_of_each, sample_of_each
from evalguard.core.findings import Finding, Reason
from evalguard.core.label_table import LabelTable
from evalguard.core.own_errors import swallow
from evalguard.core.plural import plural
from evalguard.core.target_comparison import as_one_quantity, compare_labels, in_form_of
from evalguard.core.trace import Trace
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints, together
from evalguard.guards.predictions import join_results, take

UInt64 = NDArray[np.uint64]
# Digest of each row, one column for each output.
Columns = tuple[UInt64, ...]


def row_columns(result: Any) -> Columns | None:
    """A digest of each row of every output; None where an output has no rows that can be digested.

    Equal values have equal digests in every type that holds them exactly, and with or without axes of length one.
    """
    try:
        if tree.n_rows(result) is None:
            return None
        columns = tuple(row_fingerprints(_widest(leaf), float64=True)[0] for leaf in tree.leaves(result))
    except Exception as error:  # noqa: BLE001 - an output that cannot be read must not cost the user the predictions
        swallow(error)
        return None
    return columns if columns and len({len(column) for column in columns}) == 1 else None


def joined_columns(calls: Sequence[Columns | None]) -> Columns | None:
    """The columns of several calls, one after the other; None where they have other outputs."""
    known = [columns for columns in calls if columns is not None]
    if len(known) < len(calls) or len({len(columns) for columns in known}) != 1:
        return None
    return tuple(np.concatenate(parts) for parts in zip(*known, strict=True))


def _widest(leaf: Any) -> Any:
    """The values in the widest type of their kind, without axes of length one."""
    if hasattr(leaf, "row_splits") or hasattr(leaf, "dense_shape"):
        return leaf
    array = tree.as_array(leaf)
    if array.dtype.kind in "iu" and array.dtype != np.uint64:
        array = array.astype(np.int64, copy=False)
    elif array.dtype.name in {"float16", "bfloat16"}:
        array = array.astype(np.float32)
    return array.reshape(len(array), *(size for size in array.shape[1:] if size != 1))


@dataclass(frozen=True, slots=True, eq=False)
class Confirmation:
    """What was passed to ``Guard.confirm``, as it was then.

    Attributes:
        rows: Digests of the rows that are scored, one column for each output.
        by_column: The same where each column of a data frame is an output.
        y_true: The labels that they are scored against; None: not passed.
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
            by_column = None
            if hasattr(y_pred, "to_numpy"):
                names = getattr(y_pred, "columns", ())
                by_column = row_columns([y_pred[name].to_numpy() for name in names]) if len(names) > 1 else None
                y_pred = y_pred.to_numpy()
            kept = _copied(y_pred) if keep else None
            return cls(row_columns(y_pred), by_column, _copied(y_true), _copied(weights), y_pred=kept)
        except Exception as error:  # noqa: BLE001 - what cannot be compared must not cost the user the predictions
            return cls(None, problem=f"what was passed to confirm cannot be compared: {swallow(error)}")

    def found_in(self, returned: Columns | None) -> int:
        """How many of the rows are among these."""
        pair = self._paired(returned)
        return 0 if pair is None else int(np.isin(pair[1], pair[0]).sum())

    def against(self, returned: Columns | None, labels: LabelTable | None, outputs: tuple[str, ...]) -> Scored:
        """What is scored, as judging compares it.

        Args:
            returned: Digests of the rows that guarded calls returned.
            labels: The guard's labels.
            outputs: Names of the model's outputs.
        """
        pair = self._paired(returned)
        unknown = [self.problem]
        findings = []
        if pair is None and not self.problem:
            unknown.append(_not_comparable(self.rows, returned))
        for given, compare in ((self.y_true, _labels), (self.weights, _weights)):
            if given is not None:
                why, finding = compare(given, labels, outputs)
                unknown.append(why)
                findings.append(finding)
        reasons = "; ".join(filter(None, unknown))
        found = tuple(finding for finding in findings if finding is not None)
        in_returned, rows = pair or (None, None)
        return Scored(in_returned, rows, reasons, found, with_labels=self.y_true is not None)

    def _paired(self, returned: Columns | None) -> tuple[UInt64, UInt64] | None:
        """One digest for each row of both sides: of all outputs, or of the only one that is scored."""
        if returned is None or self.rows is None:
            return None
        by_column = self.by_column is not None and len(self.by_column) == len(returned)
        rows = self.by_column if by_column and self.by_column is not None else self.rows
        if len(returned) == len(rows):
            return together(list(returned)), together(list(rows))
        if len(rows) > 1:
            return None
        # Of several outputs that which holds most of these rows.
        found = [int(np.isin(rows[0], column).sum()) for column in returned]
        return returned[int(np.argmax(found))], rows[0]


def in_label_order_again(parts: list[Any], trace: Trace, labels: LabelTable, returned: Columns | None) -> Any:
    """The rows of these parts in label order, by what each row is.

    Raises:
        ValueError: That is not known of some row, or a label has none or several.
    """
    whole = join_results(parts) if parts else None
    given = row_columns(whole)
    if given is None or returned is None or len(given) != len(returned):
        msg = "put_back: expected what guarded calls returned, each with the same outputs and shapes; found other rows"
        raise ValueError(msg)
    samples = sample_of_each(trace, labels)
    if samples is None:
        msg = "put_back: nothing shows which sample each row is; pass reference=x to the guard, or name rows by g.part"
        raise ValueError(msg)
    places, why = place_of_each(together(list(returned)), together(list(given)), samples)
    if places is None or why:
        msg = f"put_back: {why}"
        raise ValueError(msg)
    times = np.bincount(places[places < len(labels)], minlength=len(labels))
    if len(places) != len(labels) or (times != 1).any():
        none, several = int((times == 0).sum()), int((times > 1).sum())
        msg = (
            f"put_back: expected one row for each of the {len(labels):,} labels, found {len(places):,} rows: "
            f"{plural(none, 'label')} with none, {several:,} with several"
        )
        raise ValueError(msg)
    return take(whole, np.argsort(places))


def _copied(structure: Any) -> Any:
    return None if structure is None else tree.map_leaves(np.array, structure)


def _not_comparable(rows: Columns | None, returned: Columns | None) -> str:
    if rows is None or returned is None:
        which = "what was passed to confirm" if rows is None else "what guarded calls returned"
        return f"{which} has no rows that can be compared"
    outputs = plural(len(returned), "output")
    return f"expected {outputs}, as the model returns, or one of them; found {len(rows)} passed to confirm"


def _labels(y_true: Any, labels: LabelTable | None, outputs: tuple[str, ...]) -> tuple[str, Finding | None]:
    """Why it is not known whether these are the guard's labels, and what shows that they are not."""
    values = None if labels is None else labels.values
    if labels is None or values is None:
        return "the guard has no labels to compare y_true with; pass labels=y_true to the guard", None
    given = in_form_of(values, y_true, outputs)
    n_given = tree.n_rows(given)
    if n_given is None:
        return f"expected labels as y_true, found {type(y_true).__name__}", None
    if n_given != len(labels):
        message = f"expected the {len(labels):,} labels of the guard as y_true, found {n_given:,}"
        return "", Finding(Reason.SCORED, abs(len(labels) - n_given), message)
    strict = compare_labels(given, values)
    comparison = as_one_quantity(strict, given, values, None)
    if not comparison.comparable:
        why = comparison.why_not.replace("the stream's targets", "the labels passed to confirm")
        return why.replace("targets of", "labels of").replace(" in the stream", " passed to confirm"), None
    return "", _other_rows("label", comparison.rows)


def _weights(weights: Any, labels: LabelTable | None, outputs: tuple[str, ...]) -> tuple[str, Finding | None]:
    known = None if labels is None else labels.weights
    if labels is None or known is None:
        return "the guard has no weights to compare sample_weight with; pass sample_weight= to the guard", None
    given = in_form_of(known, weights, outputs)
    if tree.n_rows(given) != len(labels):
        message = (
            f"expected the {len(labels):,} weights of the guard as sample_weight, found {tree.n_rows(given) or 0:,}"
        )
        return "", Finding(Reason.SCORED, abs(len(labels) - (tree.n_rows(given) or 0)), message)
    comparison = compare_labels(given, known)
    return comparison.why_not and f"sample_weight: {comparison.why_not}", _other_rows("weight", comparison.rows)


def _other_rows(what: str, rows: NDArray[np.int64]) -> Finding | None:
    if not rows.size:
        return None
    count = plural(rows.size, "row")
    message = f"the {what} that is scored is not that of the guard at {count} (first: row {int(rows[0]):,})"
    return Finding(Reason.SCORED, int(rows.size), message, tuple(int(row) for row in rows[:20]))
