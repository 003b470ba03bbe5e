"""A call's trace against labels and reference; repair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from evalguard.capture.recording.recorder import Recorder
from evalguard.core.findings import Reason
from evalguard.core.judge import Judgement
from evalguard.core.label_table import LabelTable
from evalguard.core.matching import COMPARABLE_SHARE, comparable_in_place
from evalguard.core.report import Report
from evalguard.core.sampling import Sampling
from evalguard.core.trace import Trace
from evalguard.data.kinds import file_names
from evalguard.errors import LabelsError
from evalguard.guards.calls import Call
from evalguard.labels.reference import Reference


def position_is_sample(trace: Trace, judgement: Judgement) -> bool:
    """Row ``i`` of the array that was handed over is sample ``i``, so a missing sample can be looked up in it."""
    samples = judgement.plain
    if trace.index is None or trace.index_source != "position" or samples is None:
        return False
    return np.array_equal(np.asarray(trace.index)[: len(samples)], samples)


def named_by_files(call: Call, labels: LabelTable | None) -> Trace:
    """The trace of an image iterator by names of files, where labels have keys of their own.

    What it says of a row is a place in its list of files, which is no row of labels in another order.
    """
    trace = call.trace
    files = None if labels is None else other_files(call.source, labels)
    if files is None or trace.index is None or trace.keys is not None:
        return trace
    index = np.asarray(trace.index)
    keys = files[index] if len(index) and index.min() >= 0 and index.max() < len(files) else None
    return replace(trace, index=None, keys=keys)


def other_files(source: Any, labels: LabelTable) -> Any:
    """The files of an image iterator, where labels have keys and these are not just those files in that order."""
    files = file_names(source)
    if files is None or labels.keys is None or np.array_equal(files, labels.keys):
        return None
    return files


def is_other_data(trace: Trace, labels: LabelTable) -> bool:
    """Next to no row that was fed is a sample of the reference."""
    rows, known = trace.fingerprints, labels.fingerprints
    if trace.sampled is not None and known is not None:
        return bool(np.isin(trace.sampled.fingerprints, known).mean() <= COMPARABLE_SHARE)
    if rows is None or known is None or not len(rows) or comparable_in_place(rows, known):
        return False
    return bool(np.isin(rows, known).mean() <= COMPARABLE_SHARE)


def combined(
    labels: LabelTable | None, reference: Reference, recorder: Recorder, sampling: Sampling | None = None
) -> LabelTable:
    """Labels with the fingerprints of their reference inputs.

    Raises:
        LabelsError: Reference and labels differ in length.
    """
    if labels is not None and sampling is not None:
        sampled = reference.sampled(sampling, recorder.specs)
        _refuse_other_length(sampled.n_rows, labels)
        spec = tuple(str(leaf) for leaf in recorder.specs)
        return replace(labels, fingerprints=None, sampled=sampled, spec=spec)
    rows, _ = reference.fingerprints(recorder.specs)
    spec = tuple(str(leaf) for leaf in recorder.specs)
    if labels is None:
        return LabelTable(fingerprints=rows, spec=spec, name="reference")
    _refuse_other_length(len(rows), labels)
    return replace(labels, fingerprints=rows, spec=spec)


def _refuse_other_length(rows: int, labels: LabelTable) -> None:
    if rows != len(labels):
        msg = f"reference: expected one row for each of the {len(labels)} labels, found {rows}"
        raise LabelsError(msg)


def says_labels_are_wrong(report: Report) -> bool:
    """Whether the stream itself contradicts the labels, which no reordering of rows can fix."""
    return report.stages.get("labels") == "wrong" or any(
        finding.reason is Reason.IDENTITIES for finding in report.findings
    )
