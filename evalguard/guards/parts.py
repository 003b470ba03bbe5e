"""Parts of an evaluation: the label rows that a call answers, as the caller names them."""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import numpy as np

from evalguard.core.plural import plural
from evalguard.core.trace import UNKNOWN, Int64, Trace


@dataclass(slots=True, eq=False)
class Part:
    """What ``with g.part(rows)`` enters.

    Attributes:
        session: Whose calls are named.
        rows: Label rows, in the order of the rows that are predicted.
        named: Number of these rows that calls have taken.
        made_by: The thread and task of the first call.
    """

    session: Any
    rows: Int64
    named: int = 0
    made_by: Any = None
    _token: Token[Part | None] | None = field(default=None, init=False)

    def __enter__(self) -> None:
        self._token = current_part.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            current_part.reset(self._token)

    def name(self, trace: Trace, made_by: Any) -> Trace:
        """The trace of a call made inside by this thread and task, with the next label rows."""
        self.made_by = self.made_by or made_by
        rows = self.rows[self.named : self.named + trace.n_rows]
        self.named += trace.n_rows
        problem = f"part: expected calls on {plural(len(self.rows), 'row')}, as named, found {self.named:,}"
        if made_by != self.made_by:
            problem = (
                "part: expected calls in one thread or task, found several, and nothing shows whose rows come first"
            )
        elif len(rows) == trace.n_rows:
            return replace(trace, index=rows, index_source="part")
        nothing = np.full(trace.n_rows, UNKNOWN)
        return replace(
            trace, index=nothing, index_source="part", unobserved="; ".join(filter(None, (trace.unobserved, problem)))
        )


# A context variable: each thread and task names the rows of the calls that it makes.
current_part: ContextVar[Part | None] = ContextVar("evalguard_part", default=None)


def rows_of(rows: Any, n_labels: int | None) -> Int64:
    """Label rows as integers.

    Args:
        rows: A slice, a boolean mask of the labels, or indices.
        n_labels: How many labels there are; None where that is not known yet.

    Raises:
        ValueError: They are not rows of the labels.
    """
    if isinstance(rows, slice):
        if n_labels is None and (rows.stop is None or rows.stop < 0 or (rows.start or 0) < 0):
            msg = "part: expected a slice with a start and a stop, because the number of labels is not known yet"
            raise ValueError(msg)
        return np.arange(*rows.indices(rows.stop if n_labels is None else n_labels))
    array = np.array(rows)
    if array.dtype == bool and array.shape == (len(array) if n_labels is None else n_labels,):
        return np.flatnonzero(array)
    wrong = array.ndim != 1 or (array.size and array.dtype.kind not in "iu")
    if wrong or (array.size and (array.min() < 0 or (n_labels is not None and array.max() >= n_labels))):
        of = "label rows" if n_labels is None else f"rows of the {n_labels:,} labels"
        msg = f"part: expected a slice, a mask or indices of {of}, found {str(rows)[:60]}"
        raise ValueError(msg)
    return array.astype(np.int64)
