"""Several calls as one trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evalguard.core import row_names
from evalguard.core.columns.storage import concatenated
from evalguard.core.trace import ROW_WISE, Trace

LOST_TARGETS = "targets of some batches have another form, or are missing, so what was scored is not known"


def join_traces(traces: Sequence[Trace]) -> Trace:
    """Several calls as one trace, in the order in which they were made.

    Evidence that one call lacks is dropped: a session has the proof of its
    weakest call.

    Args:
        traces: At least one.
    """
    if len(traces) == 1:
        return traces[0]
    reasons = [trace.unobserved for trace in traces if trace.unobserved]
    targets = stack_trees([trace.targets for trace in traces])
    of_scored = [trace.targets for trace in traces if not trace.ordered]
    scored_targets = stack_trees(of_scored) if of_scored and targets is None else None
    if targets is None and scored_targets is None and any(part is not None for part in of_scored):
        reasons.append(LOST_TARGETS)
    weights = [trace.weights for trace in traces if not trace.ordered]
    specs = {trace.spec for trace in traces}
    # Each call keeps its order: what `evaluate` scores has none, whatever else the session does.
    has_order = np.repeat([trace.ordered for trace in traces], [trace.n_rows for trace in traces])
    mixed = len({trace.ordered for trace in traces}) > 1
    return replace(
        traces[-1],
        n_rows=sum(trace.n_rows for trace in traces),
        tags=concatenated(np.asarray(trace.tags) for trace in traces),
        index=_join_index(traces),
        # What the caller names is declared, whatever the sources of the other calls state.
        index_source="part" if any(trace.index_source == "part" for trace in traces) else traces[0].index_source,
        keys=_stack([trace.keys for trace in traces]),
        fingerprints=_joined([trace.fingerprints for trace in traces]),
        in_part=any(trace.in_part for trace in traces),
        spec=specs.pop() if len(specs) == 1 else (),
        targets=targets,
        scored_targets=scored_targets,
        weights=stack_trees(weights) if weights else None,
        batch_sizes=concatenated(np.asarray(trace.batch_sizes) for trace in traces),
        calls=tuple(rows for trace in traces for rows in trace.calls),
        sources=tuple(source for trace in traces for source in trace.sources),
        unobserved="; ".join(dict.fromkeys(reasons)),
        ordered=any(trace.ordered for trace in traces),
        scored=np.flatnonzero(~has_order) if mixed else None,
        one_to_one=all(trace.one_to_one for trace in traces),
        padding=_joined([trace.padding for trace in traces]),
        key_asked=any(trace.key_asked for trace in traces),
        no_output_rows=any(trace.no_output_rows for trace in traces),
        not_returned="; ".join(dict.fromkeys(trace.not_returned for trace in traces if trace.not_returned)),
        outputs=_join_outputs(traces),
        verified=_join_verified([trace.verified for trace in traces]),
        moved_in_model=sum(trace.moved_in_model for trace in traces),
        row_names=row_names.joined([trace.row_names for trace in traces]),
    )


def _join_verified(results: Sequence[str]) -> str:
    """The first reason why a model could not be tested; else what all have in common."""
    untested = (result for result in results if result not in {"", ROW_WISE})
    return next(untested, ROW_WISE if set(results) == {ROW_WISE} else "")


def _join_outputs(traces: Sequence[Trace]) -> Any:
    if all(trace.outputs is None for trace in traces):
        return None
    starts = np.cumsum([0, *(trace.n_rows for trace in traces)])
    # Rows that were returned where they were computed need no digest, only a number that no other row has.
    parts = [
        trace.outputs
        if trace.outputs is not None
        else np.tile(np.arange(start, start + trace.n_rows, dtype=np.uint64), (2, 1))
        for start, trace in zip(starts, traces, strict=False)
    ]
    return np.concatenate(parts, axis=1)


def _join_index(traces: Sequence[Trace]) -> Any:
    # Nothing shows that arrays passed in separate calls are in label order.
    if any(trace.index_source == "position" for trace in traces):
        return None
    return _joined([trace.index for trace in traces])


def _joined(columns: list[Any]) -> Any:
    if any(column is None for column in columns):
        return None
    return concatenated(np.asarray(column) for column in columns)


def _stack(arrays: list[Any]) -> Any:
    if any(array is None for array in arrays):
        return None
    if len({array.dtype.kind for array in arrays}) > 1:
        arrays = [array.astype(str) for array in arrays]
    return np.concatenate(arrays)


def stack_trees(structures: Sequence[Any]) -> Any:
    """Concatenate trees of arrays (as in `tf.nest`) leaf by leaf; None if their structures differ, or have no rows."""
    first = structures[0]
    if any(type(structure) is not type(first) for structure in structures) or first is None:
        return None
    if isinstance(first, Mapping):
        if any(structure.keys() != first.keys() for structure in structures):
            return None
        return {name: stack_trees([structure[name] for structure in structures]) for name in first}
    if isinstance(first, (tuple, list)):
        return tuple(stack_trees(list(parts)) for parts in zip(*structures, strict=True))
    # A scalar for a whole batch is no target of each row.
    if len({array.shape[1:] for array in structures}) > 1 or not all(array.ndim for array in structures):
        return None
    return np.concatenate(list(structures))
