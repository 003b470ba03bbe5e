"""Rows paired with the wrong labels: the label file, the targets, or a shift of either."""

import numpy as np
import pytest

from evalguard.core.diagnosis import diagnose, labelling
from evalguard.core.label_table import LabelTable
from evalguard.core.trace import Trace
from tests.core.diagnosis.causes import first_cause, view_of
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


def test_a_shifted_label_file_is_distinguished_from_a_shifted_stream():
    values = label_values(50)
    prints = (np.arange(50) + 10).astype(np.uint64)
    of_labels = first_cause(np.arange(50), labels=LabelTable(values=np.roll(values, 1), fingerprints=prints))
    assert of_labels.cause == "label file in another order than the stream"
    assert "label i + 1 matches row i" in of_labels.evidence
    of_stream = first_cause((np.arange(50) + 1) % 50)
    assert of_stream.cause == "iterator not at its start"


def test_other_labels_are_distinguished_from_labels_in_another_order():
    prints = (np.arange(50) + 10).astype(np.uint64)
    values = np.where(np.arange(50) == 7, 11, label_values(50))
    cause = first_cause(np.arange(50), labels=LabelTable(values=values, fingerprints=prints))
    assert cause.cause == "label file holds other labels than the stream"
    assert not cause.certain


VALUES = label_values(50)
CONTENT = (np.arange(50) + 10).astype(np.uint64)


def recognised(recogniser, samples, *, values=VALUES, content=True, known=True, **parts):
    labels = LabelTable(values=values, fingerprints=CONTENT if content else None)
    return recogniser(view_of(np.asarray(samples), labels=labels, known=known, **parts))


@pytest.mark.parametrize(
    ("values", "content", "cause", "certain", "words"),
    [
        pytest.param(np.roll(VALUES, 1), True, "LABEL_FILE", True, "label i + 1 matches row i", id="shifted"),
        pytest.param(np.roll(VALUES, -2), True, "LABEL_FILE", True, "label i - 2 matches row i", id="shifted-back"),
        pytest.param(VALUES[::-1], True, "LABEL_FILE", True, "of the same values in another order", id="reversed"),
        pytest.param(VALUES[::-1], False, "LABEL_FILE", False, "of the same values", id="not-by-content"),
        pytest.param(VALUES + 1, True, "OTHER_LABELS", False, "50 rows carry another target", id="other-values"),
    ],
)
def test_an_aligned_stream_with_other_targets_accuses_the_label_file(values, content, cause, certain, words):
    found = recognised(labelling.label_file, range(50), values=values, content=content)
    assert found is not None
    assert (found.cause, found.certain) == (getattr(labelling, cause), certain)
    assert words in found.evidence


@pytest.mark.parametrize("recogniser", [labelling.label_file, labelling.unpaired, labelling.shifted])
def test_nothing_is_recognised_where_rows_and_labels_match(recogniser):
    assert recognised(recogniser, range(50)) is None


def test_targets_that_stay_while_rows_move_are_unpaired_and_certain_with_two_shuffled_branches():
    order = np.random.default_rng(0).permutation(50)
    for branches, certain in ((0, False), (2, True)):
        found = recognised(labelling.unpaired, order, targets=VALUES, facts={"shuffled_branches": branches})
        assert found is not None
        assert found.certain is certain
        assert "it equals the label at the row's own index" in found.evidence
    assert recognised(labelling.unpaired, order) is None, "targets that move with their rows are a pair"


@pytest.mark.parametrize(("shift", "way"), [(1, "1 row ahead of"), (-3, "3 rows behind"), (16, "16 rows ahead of")])
def test_a_shift_of_targets_is_recognised_only_where_samples_are_unknown(shift, way):
    targets = np.roll(VALUES, -shift)
    found = recognised(labelling.shifted, range(50), known=False, targets=targets)
    assert found is not None
    assert way in found.evidence
    assert not found.certain
    assert recognised(labelling.shifted, range(50), targets=targets) is None


def test_equal_labels_have_no_shift():
    same = np.zeros(50, dtype=np.int64)
    targets = np.r_[1, np.zeros(49)]
    assert recognised(labelling.shifted, range(50), known=False, values=same, targets=targets) is None
