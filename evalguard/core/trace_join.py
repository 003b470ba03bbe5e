"""Several calls as one trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evalguard.core.columns.storage import Memory, stacked
from evalguard.core.trace import Trace


def joined(traces: Sequence[Trace], memory: Memory | None = None) -> Trace:
    """Several calls as one trace, in the order in which they were made.

    Evidence that not every call has is dropped: a session is as well proven as
    its weakest call.

    Args:
        traces: At least one.
        memory: What the columns may keep in memory; by default ``Memory()``.
    """
    if len(traces) == 1:
        return traces[0]
    memory = memory or Memory()
    reasons = [trace.unobserved for trace in traces if trace.unobserved]
    specs = {trace.spec for trace in traces}
    return replace(
        traces[-1],
        n_rows=sum(trace.n_rows for trace in traces),
        tags=stacked((np.asarray(trace.tags) for trace in traces), memory),
        index=_joined_index(traces, memory),
        index_source=traces[0].index_source,
        keys=_stack([trace.keys for trace in traces]),
        fingerprints=_spilling([trace.fingerprints for trace in traces], memory),
        spec=specs.pop() if len(specs) == 1 else (),
        targets=stack_nests([trace.targets for trace in traces]),
        batch_sizes=stacked((np.asarray(trace.batch_sizes) for trace in traces), memory),
        calls=tuple(rows for trace in traces for rows in trace.calls),
        sources=tuple(source for trace in traces for source in trace.sources),
        unobserved="; ".join(dict.fromkeys(reasons)),
        one_to_one=all(trace.one_to_one for trace in traces),
        padding=_spilling([trace.padding for trace in traces], memory),
        sampled=None,
    )


def _joined_index(traces: Sequence[Trace], memory: Memory) -> Any:
    # Arrays handed over one after the other: who says that they come in label order?
    if any(trace.index_source == "position" for trace in traces):
        return None
    return _spilling([trace.index for trace in traces], memory)


def _spilling(columns: list[Any], memory: Memory) -> Any:
    if any(column is None for column in columns):
        return None
    return stacked((np.asarray(column) for column in columns), memory)


def _stack(arrays: list[Any]) -> Any:
    if any(array is None for array in arrays):
        return None
    if len({array.dtype.kind for array in arrays}) > 1:
        arrays = [array.astype(str) for array in arrays]
    return np.concatenate(arrays)


def stack_nests(nests: Sequence[Any]) -> Any:
    """Rows of equally structured nests of arrays, one behind the other; None if they differ."""
    first = nests[0]
    if any(type(nest) is not type(first) for nest in nests) or first is None:
        return None
    if isinstance(first, Mapping):
        if any(nest.keys() != first.keys() for nest in nests):
            return None
        return {name: stack_nests([nest[name] for nest in nests]) for name in first}
    if isinstance(first, (tuple, list)):
        return tuple(stack_nests(list(parts)) for parts in zip(*nests, strict=True))
    if len({array.shape[1:] for array in nests}) > 1:
        return None
    return np.concatenate(list(nests))
