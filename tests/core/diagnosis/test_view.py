"""What the recognisers read, against a brute-force reading of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from evalguard.core.diagnosis.view import View, listed
from evalguard.core.label_table import LabelTable
from evalguard.core.trace import ROW_BITS, SourceState, Trace
from tests.core import brute
from tests.core.diagnosis.causes import KINDS, view_of
from tests.core.streams import streams


@given(streams(unknown=True))
def test_counts_and_displacements_are_those_of_the_terms(stream):
    samples, n = stream
    rows = samples.tolist()
    view = View(Trace(len(rows), np.zeros(len(rows), np.int64)), LabelTable(values=np.zeros(n)), samples)
    arrived = brute.first_arrivals(rows, n)
    # In positions among the samples that arrived, so that a missing sample displaces no other.
    displaced = brute.displacements([sorted(arrived).index(sample) for sample in arrived])
    assert (view.n, view.n_rows) == (n, len(rows))
    assert view.missing.tolist() == brute.missing(rows, n)
    assert view.duplicates == len(brute.duplicate(rows, n))
    assert view.foreign == len(brute.foreign(rows, n))
    assert view.unnamed == rows.count(brute.UNKNOWN)
    assert view.displaced.tolist() == displaced
    assert view.moved == sum(moved != 0 for moved in displaced)
    assert view.reach == -min([0, *displaced])
    assert view.in_order == (rows == list(range(len(rows))))
    assert view.aligned == (rows == list(range(n)))


def test_a_stream_that_starts_again_wraps_after_its_length():
    view = view_of(np.arange(56) % 48)
    assert view.wraps_after(48)
    assert not view.wraps_after(50)
    assert not view_of(np.arange(56) % 48, known=False).wraps_after(48)


@pytest.mark.parametrize(
    ("kind", "name", "called"),
    [
        ("arrays", "x", "model.predict(x, steps=7)"),
        ("batch", "loader", "for batch in loader: model.predict(batch, steps=7)"),
        ("generator", "batches", "model.predict(batches, steps=7)"),
        ("pydataset", "Images", "model.predict(Images, steps=7)"),
        ("tf.data", "dataset", "model.predict(dataset, steps=7)"),
        ("DataLoader", "loader", "model.predict(loader, steps=7)"),
        ("_BatchMapDataset", "dataset", "model.predict(dataset, steps=7)"),
        ("unknown", "source", "model.predict(source, steps=7)"),
    ],
)
def test_a_source_has_the_name_that_its_user_gave_it(kind, name, called):
    view = view_of(np.arange(50), kind, facts={"steps": 7, "batch_size": 8})
    assert (view.name, view.called) == (name, called)


@pytest.mark.parametrize(
    ("method", "called"),
    [("evaluate", "model.evaluate(gen)"), ("__call__", "model(gen)"), ("check", "model.predict(gen)")],
)
def test_a_call_has_the_method_that_was_guarded(method, called):
    assert view_of(np.arange(50), method=method).call("gen") == called
    assert (
        view_of(np.arange(50), facts={"steps": 7}).call("gen", steps=None, workers=1) == "model.predict(gen, workers=1)"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_pipelines_and_loops_are_distinguished(kind):
    view = view_of(np.arange(50), kind)
    assert view.is_loop == (kind == "batch")
    assert view.is_loader == (kind == "DataLoader")
    assert view.is_tf == (kind in {"tf.data", "DistributedDataset"})
    assert view.is_pipeline == (kind in {"tf.data", "DistributedDataset", "_BatchMapDataset"})
    assert view.one_shot == (kind == "generator")


def test_only_a_generator_counts_as_used_before():
    for state in ({"started": True}, {"calls_before": 1}):
        assert view_of(np.arange(50), state=state).used_before
        assert not view_of(np.arange(50), "pydataset", state=state).used_before
    assert not view_of(np.arange(50)).used_before


def test_batches_have_their_size_and_first_rows():
    view = view_of(np.arange(50))
    assert view.batch == 8
    assert view.starts.tolist() == [0, 8, 16, 24, 32, 40, 48]
    assert view.first_pull == 0
    without = view_of(np.arange(50), sizes=np.zeros(0, np.int64), tags=np.full(50, -1), facts={"batch_size": 9})
    assert (without.batch, without.starts.tolist(), without.first_pull) == (9, [], None)
    assert view_of(np.arange(50), tags=np.arange(50) + (3 << ROW_BITS)).first_pull == 3
    assert view_of(np.arange(2), tags=np.asarray([3 << ROW_BITS, 4 << ROW_BITS])).first_pull == 3
    assert view_of(np.arange(2), tags=np.asarray([-1, 4 << ROW_BITS])).first_pull is None


@pytest.mark.parametrize(
    ("sizes", "starts"),
    [
        pytest.param([49, 1], [0, 49], id="a-batch-of-one-row"),
        pytest.param([25, 25, 25], [0, 25], id="more-than-are-judged"),
        pytest.param([20, 20], [], id="less-than-are-judged"),
        pytest.param([0, 50], [], id="a-batch-without-rows"),
    ],
)
def test_first_rows_are_those_of_batches_that_hold_all_rows(sizes, starts):
    trace = Trace(75, np.arange(75), batch_sizes=np.asarray(sizes))
    assert View(trace, LabelTable(values=np.zeros(50)), np.arange(50)).starts.tolist() == starts


@pytest.mark.parametrize(("rows", "reference"), [(True, True), (True, False), (False, True), (False, False)])
def test_samples_are_identified_by_content_where_rows_and_a_reference_have_it(rows, reference):
    content = np.arange(3, dtype=np.uint64)
    trace = Trace(3, np.arange(3), fingerprints=content if rows else None)
    labels = LabelTable(values=np.zeros(3), fingerprints=content if reference else None)
    assert View(trace, labels, None).by_content is (rows and reference)


def test_facts_that_are_no_numbers_count_as_unknown():
    view = view_of(np.arange(50), facts={"steps": np.int64(7), "workers": "many"})
    assert (view.fact("steps"), view.fact("workers"), view.fact("replicas")) == (7, 0, 0)


def test_rows_are_sorted_where_the_order_does_not_matter():
    view = view_of([2, 0, 1], n=3)
    unordered = replace(view, trace=replace(view.trace, ordered=False))
    assert (view.rows.tolist(), unordered.rows.tolist()) == ([2, 0, 1], [0, 1, 2])


def test_targets_are_compared_with_labels_by_row_and_by_sample_and_padding_is_left_out():
    swapped = view_of([1, 0, 2], n=3)
    assert swapped.against_rows.rows.tolist() == [0, 1]
    assert swapped.against_samples.rows.tolist() == []
    unordered = replace(swapped, trace=replace(swapped.trace, ordered=False))
    assert unordered.against_rows.rows.tolist() == []
    padded = view_of([0, 1, 2, 0], n=3, targets=np.asarray([9, *swapped.labels.values[1:3], 9]))
    judged = replace(padded, samples=np.asarray([0, 1, 2]))
    assert judged.against_rows.rows.tolist() == [0]


def test_numbers_are_cut_to_the_first_few():
    assert listed(np.arange(3)) == "0, 1, 2"
    assert listed(np.arange(9), 2) == "0, 1, …"
    assert listed(np.arange(5)) == "0, 1, 2, 3, 4"
    assert listed(np.arange(6)) == "0, 1, 2, 3, 4, …"


def test_without_a_source_nothing_is_known_about_it():
    view = View(Trace(1, np.zeros(1, np.int64)), LabelTable(values=np.zeros(1)), None)
    assert (view.source, view.kind, view.used_before, view.n_rows) == (SourceState(), "unknown", False, 1)
    assert view.rows.tolist() == []
