"""A pandas index on both sides, used as a key without any option: ``key: index of pandas``.

It is not used if a reference, collected labels or a key show which sample a row is. The index of a reference is
compared with that of the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evalguard.core.key_differences import WITHOUT, example
from evalguard.core.label_table import LabelTable
from evalguard.core.row_names import COMMON_SHARE, OF_PANDAS, TEXT, IndexComparison, Names, RowNames, compared, unlike
from evalguard.core.trace import Trace
from evalguard.errors import LabelsError


def with_names(trace: Trace, names: RowNames | None) -> Trace:
    """The trace of a call with the pandas index of its rows, where it is known which ones were delivered.

    Args:
        trace: Of one call.
        names: The index of what was passed, as it was before the call.
    """
    if names is None or not trace.one_to_one:
        return trace
    if trace.source.kind == "batch":
        return replace(trace, row_names=names) if len(names) == trace.n_rows else trace
    if trace.index is None or trace.index_source != "position":
        return trace
    return replace(trace, row_names=names.at(trace.index))


def by_index(trace: Trace, labels: LabelTable) -> tuple[Trace, LabelTable]:
    """Trace and labels with keys, if both have an index that names the samples; else the labels may hold the reason.

    Args:
        trace: That of all calls that are judged together.
        labels: With the fingerprints of their reference, if they have one.
    """
    names, trace = trace.row_names, replace(trace, row_names=None)
    # `g.part` already says which label row each row is.
    asked = (
        trace.key_asked or labels.fingerprints is not None or (trace.index_source == "part" and trace.index is not None)
    )
    if asked or names is None or labels.row_names is None or labels.keys is not None or trace.keys is not None:
        return trace, labels
    # Parts, and what is only scored, have no order.
    in_parts = bool(trace.ended)
    found = compared(names, labels.row_names, calls=trace.calls if in_parts else ())
    labels = keyed(labels, found)
    if labels.by_index is None or labels.by_index.keys is None:
        return trace, labels
    return replace(trace, keys=labels.by_index.keys[0]), labels


def keyed(labels: LabelTable, found: IndexComparison) -> LabelTable:
    """The labels with what the comparison shows, and with their index as keys if it decides."""
    if found.keys is None:
        return replace(labels, by_index=found)
    try:
        return replace(labels, keys=found.keys[1], by_index=found)
    except LabelsError as error:
        note = f"{OF_PANDAS}: not compared, as it does not name each row; {error}"
        return replace(labels, by_index=IndexComparison(found.of, note=note))


def named_by_files(traces: Sequence[Trace], labels: LabelTable | None) -> LabelTable | None:
    """The labels, keyed by their index if that names what the stream's keys name: files, most often.

    Args:
        traces: One for each call, as it was made.
        labels: In label order.
    """
    names = None if labels is None else labels.row_names
    if labels is None or names is None or labels.keys is not None or names.by_default or not names.comparable:
        return labels
    carried = [trace.keys for trace in traces if trace.keys is not None]
    if len(carried) < len(traces) or len({keys.dtype.kind for keys in carried}) != 1:
        return labels
    ours, theirs = np.concatenate(carried), names.keys()
    if ours.dtype.kind == "O":
        ours = np.asarray(ours.tolist(), dtype=np.str_)
    if ours.dtype.kind != theirs.dtype.kind:
        return labels
    common = np.isin(ours, theirs)
    if all(trace.index_source != "listed" for trace in traces):
        # The caller's key may number other things than the index does, so it is used only if both hold the same names.
        of_all = bool(common.all()) and bool(np.isin(theirs, ours).all())
        return keyed(labels, IndexComparison("keys", keys=(ours, theirs))) if of_all else labels
    if names.kind == TEXT and (common.mean() > COMMON_SHARE or _spelled_otherwise(traces, ours, theirs)):
        return keyed(labels, IndexComparison("files", keys=(ours, theirs)))
    note = (
        "" if names.kind != TEXT else f"{OF_PANDAS}: {unlike(ours, theirs, 'stream')} Rows were compared by position."
    )
    return replace(labels, by_index=IndexComparison("files", note=note))


def _spelled_otherwise(traces: Sequence[Trace], files: Names, names: Names) -> bool:
    """Whether the labels name the same files in another way, and not in the order in which the iterator lists them."""
    if not example(files, names)[2]:
        return False
    listed = [np.asarray(trace.index) for trace in traces if trace.index is not None]
    at = np.concatenate(listed) if len(listed) == len(traces) else np.zeros(0, np.int64)
    if len(at) != len(files) or not len(at) or at.min() < 0 or at.max() >= len(names):
        return True
    pairs = list(zip(files.tolist(), names[at].tolist(), strict=True))
    return not any(all(form(ours) == form(theirs) for ours, theirs in pairs) for form in WITHOUT.values())
