"""Turn a recorded call into a ``Trace``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.recording.returned import Returned
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.columns.storage import ColumnBuffer
from evalguard.core.own_errors import swallow
from evalguard.core.plural import plural
from evalguard.core.trace import UNKNOWN, BatchTags, Column, SourceState, Tags, Trace
from evalguard.core.trace_join import LOST_TARGETS, stack_trees


def to_trace(
    recorder: Recorder,
    *,
    method: str,
    source: SourceState,
    index_source: str,
    n_rows: int | None,
    trust_tags: bool = True,
    returned: Returned | None = None,
) -> Trace:
    """The call as a trace; if the record cannot be joined, a trace whose rows are unobserved.

    Args:
        recorder: The recorder of a call that has ended.
        method: Name of the guarded Keras method.
        source: The source's state after the call.
        index_source: See ``Trace``.
        n_rows: Number of rows returned to the caller; None if the method returns no rows.
        trust_tags: Whether the tags can be trusted.
        returned: What the caller got, compared with what the model computed; None if no rows are returned.
    """
    try:
        return _to_trace(recorder, method, source, index_source, n_rows, trust_tags=trust_tags, returned=returned)
    except Exception as error:  # noqa: BLE001 - an error here must not cost the user the predictions
        reason = f"the recorded batches could not be joined: {swallow(error)}"
        return _unobserved(recorder, n_rows or recorder.tags.n_rows, method, source, reason, ordered=n_rows is not None)


def _to_trace(
    recorder: Recorder,
    method: str,
    source: SourceState,
    index_source: str,
    n_rows: int | None,
    *,
    trust_tags: bool,
    returned: Returned | None,
) -> Trace:
    ordered = n_rows is not None
    observed = recorder.tags.n_rows
    rows = observed if n_rows is None else n_rows
    problem = recorder.problem
    if not problem and rows != observed:
        problem = f"the model received {plural(observed, 'row')} and returned {rows:,}"
    # With a problem, metrics alone do not show how many rows there were; values that are not rows belong to no sample.
    if rows != observed or recorder.no_rows or (problem and not rows):
        return _unobserved(recorder, rows, method, source, problem, ordered=ordered)
    every_batch_has_targets = bool(recorder.targets) and recorder.n_with_targets == len(recorder.tags)
    targets = stack_trees(recorder.targets) if every_batch_has_targets else None
    weighted = bool(recorder.weights) and recorder.n_with_weights == len(recorder.tags)
    weights = stack_trees(recorder.weights) if weighted else None
    # Metrics cannot be judged without their targets. If rows are returned, targets are only further evidence.
    if recorder.targets and targets is None and not ordered:
        problem = problem or LOST_TARGETS
    tags = recorder.tags.tags(trusted=trust_tags)
    # With a `key` option the keys in the stream are not those that the source lists.
    if index_source == "listed" and recorder.options.key is not None:
        index_source = "stated"
    stated = index_source != "position"
    return Trace(
        n_rows=rows,
        tags=tags,
        index=recorder.tags.index() if stated else _positions(tags),
        index_source=index_source,
        keys=_all_keys([np.asarray(part) for part in recorder.keys], rows),
        # If a batch changed while the model computed, its recorded rows may not be those that the model read.
        fingerprints=None if recorder.tags.any_changed else _all_rows(recorder.fingerprints.parts, rows),
        in_part=recorder.options.fingerprint is not None,
        spec=tuple(str(spec) for spec in recorder.fingerprints.specs),
        targets=targets,
        weights=weights,
        batch_sizes=recorder.tags.sizes,
        method=method,
        ordered=ordered,
        sources=(source,),
        unobserved=problem,
        stopped=recorder.stopped,
        padding=_all_rows(recorder.fingerprints.padding, rows),
        key_asked=recorder.options.key is not None,
        no_output_rows=recorder.no_output_rows,
        not_returned=returned.unknown if returned is not None else "",
        outputs=returned.digests if returned is not None else None,
    )


def _unobserved(
    recorder: Recorder, rows: int, method: str, source: SourceState, reason: str, *, ordered: bool
) -> Trace:
    """The trace of rows that were not observed."""
    return Trace(
        rows,
        np.full(rows, UNKNOWN),
        method=method,
        ordered=ordered,
        sources=(source,),
        unobserved=reason,
        one_to_one=False,
        no_output_rows=recorder.no_output_rows,
    )


def _positions(tags: Tags) -> Column | None:
    """Row numbers of an array, from the tags; None if no row has one."""
    # A run-length column is not converted: as an array, 10 million rows would take 80 MB instead of a few bytes.
    if isinstance(tags, BatchTags):
        tags = np.asarray(tags)
    return tags if isinstance(tags, RunLengthColumn) or (tags != UNKNOWN).any() else None


def _all_rows(column: ColumnBuffer, rows: int) -> NDArray[Any] | None:
    """The column of all rows; None if it lacks some, because a gap would shift all rows after it."""
    return column.array() if rows and len(column) == rows else None


def _all_keys(parts: list[NDArray[Any]], rows: int) -> NDArray[Any] | None:
    """The keys of all rows, shape ``(n,)``; None if a batch has none."""
    if not parts or sum(len(part) for part in parts) != rows:
        return None
    if len({part.dtype.kind for part in parts}) > 1:
        # `np.concatenate` needs one dtype if one batch has integers and another text.
        parts = [part.astype(np.str_) for part in parts]
    return np.concatenate(parts)
