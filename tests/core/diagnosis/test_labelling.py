"""Rows paired with the wrong labels: the label file, the targets, or a shift of either."""

import numpy as np
import pytest

from evalguard.core.diagnosis import diagnose
from evalguard.core.label_table import LabelTable
from evalguard.core.trace import Trace
from tests.core.diagnosis.causes import first_cause
from tests.core.signatures import label_values, sizes_of, tags_of


@pytest.mark.parametrize("shift", [1, -1, 8])
def test_labels_and_stream_that_are_shifted_are_not_said_to_be_the_fault_of_either(shift):
    values = np.random.default_rng(0).integers(0, 10, 50)
    trace = Trace(50, tags_of(sizes_of(50, 8)), targets=np.roll(values, -shift), batch_sizes=sizes_of(50, 8))
    (cause,) = diagnose(trace, None, LabelTable(values=values))
    assert cause.cause == "stream and labels shifted against each other"
    assert not cause.certain
    assert f"{abs(shift)} row" in cause.evidence
    assert ("ahead of" in cause.evidence) == (shift > 0)


def test_a_shifted_label_file_is_told_from_a_shifted_stream():
    values = label_values(50)
    prints = (np.arange(50) + 10).astype(np.uint64)
    of_labels = first_cause(np.arange(50), labels=LabelTable(values=np.roll(values, 1), fingerprints=prints))
    assert of_labels.cause == "label file in another order than the stream"
    assert "label i + 1 fits row i" in of_labels.evidence
    of_stream = first_cause((np.arange(50) + 1) % 50)
    assert of_stream.cause == "iterator not at its start"


def test_other_labels_are_told_from_labels_in_another_order():
    prints = (np.arange(50) + 10).astype(np.uint64)
    values = np.where(np.arange(50) == 7, 11, label_values(50))
    cause = first_cause(np.arange(50), labels=LabelTable(values=values, fingerprints=prints))
    assert cause.cause == "label file holds other labels than the stream"
    assert not cause.certain
