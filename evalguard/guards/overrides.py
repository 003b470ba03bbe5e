"""Methods that a model's class overrides: a call of one is a single call, whatever the method calls in turn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evalguard.capture.recording.returned import compare_returned
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.core.trace_join import join_traces
from evalguard.data import tree
from evalguard.guards.calls import ROW_METHODS, GuardedCall
from evalguard.guards.model_numbers import number_of


@dataclass(slots=True, eq=False)
class OverrideCall:
    """A call of a method that the model's class overrides.

    Attributes:
        model: The model.
        method: The method.
        session: Guards it.
        parts: The calls of Keras' own methods that it made, of this or of another model.
    """

    model: Any
    method: str
    session: Any
    parts: list[GuardedCall] = field(default_factory=list)

    def as_one(self, x: Any, result: Any) -> GuardedCall:
        """All that it did as one call, with its argument ``x`` and its result."""
        first, parts, method = self.parts[0], self.parts, self.method
        # An array that the method created may have other rows than the caller's at the same positions.
        own = len(parts) == 1 and first.source is x
        trace = join_traces([part.trace if own else without_places(part.trace) for part in parts])
        trace = replace(trace, method=method, calls=(trace.n_rows,), ordered=method in ROW_METHODS)
        if trace.ordered and not trace.unobserved:
            sizes = {tree.n_rows(output) for output in tree.leaves(result) or [result]}
            if sizes != {trace.n_rows}:
                rows = np.full(trace.n_rows, UNKNOWN)
                problem = f"{method} of {type(self.model).__name__} returned other rows than the model computed"
                trace = Trace(
                    trace.n_rows, rows, method=method, sources=trace.sources, unobserved=problem, one_to_one=False
                )
            else:
                returned = compare_returned([step for part in parts for step in part.recorder.computed], result)
                trace = replace(trace, not_returned=returned.unknown, outputs=returned.digests)
        return replace(
            first,
            trace=trace,
            predictions=result,
            seconds=parts[-1].start + parts[-1].seconds - first.start,
            predict_again=None,
            source=x,
            # It may have called other models, as an ensemble does.
            model=number_of(self.model),
        )


def without_places(trace: Trace) -> Trace:
    """The trace without the positions of rows in the source."""
    index = None if trace.index_source == "position" else trace.index
    return replace(trace, tags=np.full(trace.n_rows, UNKNOWN), index=index)
