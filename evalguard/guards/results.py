"""What a guard knows of the rows that were returned: index, keys, labels, weights, a data frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from evalguard.core.plural import plural
from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.errors import SinkError
from evalguard.guards.outcome import Kept, Outcome, error_of
from evalguard.guards.predictions import join_results


class Reports:
    """The reports of a guard.

    Attributes:
        sink_errors: Records that could not be written.
    """

    _how_to_judge = "make a guarded call, and leave the `with` block if labels are set late"

    def __init__(self) -> None:
        self.sink_errors: list[SinkError] = []
        self._kept = Kept()

    @property
    def reports(self) -> tuple[Report, ...]:
        """All reports of this guard, oldest first."""
        return tuple(self._kept.reports)

    @property
    def report(self) -> Report:
        """The last report.

        Raises:
            LookupError: Nothing has been judged yet.
        """
        return self._last().report

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the latest entry (FAIL, UNPROVEN, REPAIRED, PASS); entries that overlap count as one.

        Raises:
            LookupError: Nothing has been judged yet.
        """
        return self._judged().worst().verdict

    def raise_for_verdict(self) -> None:
        """Raise the error of a FAIL or an UNPROVEN, whatever ``on_failure`` and ``on_unproven`` say.

        It is the error of the worst report of the latest entry. Its
        ``predictions`` are None if that is not the report of the last call or
        session, because only the rows of the last one are kept.

        Raises:
            MisalignmentError: ``verdict`` is FAIL.
            UnprovenError: ``verdict`` is UNPROVEN.
            LookupError: Nothing has been judged yet.
        """
        report, last = self._judged().worst(), self._last()
        if report.verdict in {Verdict.FAIL, Verdict.UNPROVEN}:
            raise error_of(report, last.predictions if last.report is report else None)

    def _judged(self) -> Kept:
        if not self._kept.reports:
            msg = f"nothing has been judged yet: {self._how_to_judge}"
            raise LookupError(msg)
        return self._kept

    def _last(self) -> Outcome:
        return cast("Outcome", self._judged().last)

    def _state(self) -> str:
        """For ``repr``: ``2 reports, last FAIL``."""
        done = self.reports
        return f"{plural(len(done), 'report')}, last {done[-1].verdict}" if done else "nothing judged yet"


class Results(Reports):
    """The reports of a guard, and the rows of its last call."""

    @property
    def index(self) -> NDArray[np.int64] | None:
        """Label row of each returned row, int64, shape ``(n,)``; -1: none of them; None: not known."""
        samples = self._last().samples
        return None if samples is None else np.asarray(samples)

    @property
    def keys(self) -> NDArray[Any] | None:
        """Key of each returned row, shape ``(n,)``; None if keys are not known."""
        outcome = self._last()
        # Without keys of the labels, the stream's own keys still name the rows.
        if outcome.labels is None or outcome.labels.keys is None:
            return outcome.trace.keys if outcome.trace is not None else None
        keys: NDArray[Any] | None = in_order(outcome.labels.keys, self.index)
        return keys

    @property
    def y_true(self) -> Any:
        """Label of each returned row, in their order; masked where a row is not a labelled sample.

        None if neither the sample nor the stream's own target is known.
        """
        outcome = self._last()
        values = None if outcome.labels is None else outcome.labels.values
        if values is None:
            return None
        if self.index is not None:
            if isinstance(values, Mapping):
                return {part: in_order(array, self.index) for part, array in values.items()}
            return in_order(values, self.index)
        return outcome.trace.targets if outcome.trace is not None else None

    @property
    def sample_weight(self) -> Any:
        """Sample weight of each returned row, in their order; masked where a row is not a labelled sample.

        None if the labels have no weights, or the samples are not known.
        """
        outcome = self._last()
        weights = None if outcome.labels is None else outcome.labels.weights
        if weights is None or self.index is None:
            return None
        if isinstance(weights, Mapping):
            return {part: in_order(array, self.index) for part, array in weights.items()}
        return in_order(weights, self.index)

    def to_frame(self) -> Any:
        """The last call as a pandas data frame: row, sample, key, y_true, sample_weight, prediction columns.

        If the classes have names, there is a column ``prediction_<name>`` for
        each predicted class, and ``label`` and ``predicted`` contain names.

        Several calls that were judged together give one table, call after call.

        Raises:
            LookupError: Nothing has been judged yet.
            ValueError: Several calls returned rows of different shapes.
        """
        # pandas is not a dependency: only this needs it.
        import pandas as pd

        from evalguard.guards.frame import columns

        given = self._for_frame()
        if given is None:
            msg = "to_frame: expected calls that return rows of one shape, found several"
            raise ValueError(msg)
        return pd.DataFrame(columns(*given))

    def _for_frame(self) -> tuple[Any, ...] | None:
        """The arguments of ``frame.columns``; None if the rows of several calls make no table."""
        outcome = self._last()
        predictions = outcome.predictions
        if outcome.n_calls > 1:
            predictions = join_results(predictions)
            if predictions is None:
                return None
        return predictions, self.index, self.keys, self.y_true, self.sample_weight, outcome.classes


class _ResultsOf(Results):
    """The results of one outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        # Made an array once, and not by each property.
        samples = None if outcome.samples is None else np.asarray(outcome.samples)
        self._outcome = replace(outcome, samples=samples)

    def _last(self) -> Outcome:
        return self._outcome


@dataclass(frozen=True, slots=True)
class FrameArrays:
    """The arrays that ``to_frame`` gives.

    Attributes:
        columns: Yields the name of each array, and its columns.
        row_shapes: Name of each array whose rows have several axes → shape of a row.
    """

    columns: Iterator[tuple[str, dict[str, Any]]]
    row_shapes: dict[str, list[int]]


def arrays_of_frame(outcome: Outcome, most: int) -> FrameArrays | None:
    """The arrays that ``to_frame`` gives of an outcome; None if it gives none.

    Args:
        outcome: Holds the rows.
        most: Arrays of more columns than this are left out.
    """
    from evalguard.guards.frame import arrays, row_shapes

    given = _ResultsOf(outcome)._for_frame()  # noqa: SLF001 - of this module
    if given is None:
        return None
    predictions, index, keys, y_true, sample_weight, classes = given
    columns = arrays(predictions, index, keys, y_true, sample_weight, classes, most)
    return FrameArrays(columns, row_shapes(predictions, y_true))


def in_order(values: NDArray[Any], index: NDArray[np.int64] | None) -> Any:
    """The values of the samples in ``index``, masked where a row is not a labelled sample."""
    if index is None:
        return None
    known = (index >= 0) & (index < len(values))
    rows = values[np.where(known, index, 0)]
    if known.all():
        return rows
    # Masked and not NaN: labels may be integers or text, which have no NaN.
    mask = np.broadcast_to(~known.reshape(-1, *[1] * (rows.ndim - 1)), rows.shape)
    return np.ma.MaskedArray(rows, mask=mask)
