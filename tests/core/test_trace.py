"""Traces: tags, and whether rows arrived in the order the source emitted them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.columns import storage
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.trace import (
    ALTERED,
    FOREIGN,
    ROW_BITS,
    UNKNOWN,
    BatchTags,
    SourceState,
    Trace,
    batch_and_row,
    row_tag,
)


def tags_of(sizes):
    return [pull << ROW_BITS | row for pull, size in enumerate(sizes) for row in range(size)]


SIZES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(SIZES)
def test_rows_delivered_as_pulled_are_intact(sizes):
    tags = np.asarray(tags_of(sizes))
    assert Trace(len(tags), tags).transport_intact is True


@given(SIZES, st.data())
def test_another_order_or_a_gap_is_not_intact(sizes, data):
    whole = tags_of(sizes)
    order = data.draw(st.permutations(whole))
    assert Trace(len(order), np.asarray(order)).transport_intact is (list(order) == whole)
    if len(sizes) > 1:
        lost = data.draw(st.integers(0, len(sizes) - 2))
        skipped = [tag for tag in whole if tag >> ROW_BITS != lost]
        assert Trace(len(skipped), np.asarray(skipped)).transport_intact is False
    again = whole + whole[-1:]
    assert Trace(len(again), np.asarray(again)).transport_intact is False


def test_transport_is_unknown_for_rows_without_a_tag_or_not_observed():
    assert Trace(2, np.asarray([0, -1])).transport_intact is None
    assert Trace(2, np.asarray([0, 1]), unobserved="an error").transport_intact is None
    assert Trace(0, np.zeros(0, np.int64)).transport_intact is True


@pytest.mark.parametrize("part", ["index", "keys", "fingerprints", "padding"])
def test_a_part_of_another_length_is_refused(part):
    parts: dict[str, Any] = {part: np.zeros(3)}
    with pytest.raises(ValueError, match=rf"Trace\.{part}: expected 2 rows, found 3"):
        Trace(2, np.zeros(2, np.int64), **parts)


def test_batches_taken_and_not_delivered_are_ahead():
    assert SourceState(pulled=5, delivered=3).ahead == 2
    assert SourceState(pulled=None, delivered=3).ahead == 0
    assert SourceState(pulled=2, delivered=3).ahead == 0


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_a_tag_names_a_batch_and_a_row_in_it(number, row):
    assert batch_and_row(row_tag(number, row)) == (number, row)
    assert row_tag(number, row) - row_tag(number) == row
    assert row_tag(number) <= np.iinfo(np.int64).max


def forms(batches):
    """Tags of batches, given as pairs of number and size: batch by batch, in runs, and as an array."""
    rows = [row_tag(pull, row) if pull >= 0 else pull for pull, size in batches for row in range(size)]
    pulls, sizes = ([batch[part] for batch in batches] for part in (0, 1))
    by_batch = BatchTags(RunLengthColumn.of(pulls), RunLengthColumn.of(sizes, step=0))
    return rows, (by_batch, RunLengthColumn.of(rows), np.asarray(rows, dtype=np.int64))


PULLS = st.lists(st.integers(-2, 4), max_size=6) | st.integers(0, 6).map(range)


@given(PULLS, st.lists(st.integers(1, 3), min_size=6, max_size=6), st.sampled_from([1, 2, 1 << 16]))
def test_tags_in_any_form_are_the_same_tags(pulls, sizes, chunk):
    rows, all_forms = forms(list(zip(pulls, sizes, strict=False)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalguard.core.columns.chunks.ROWS", chunk)
        for tags in all_forms:
            trace = Trace(len(rows), tags)
            assert len(tags) == len(rows)
            assert np.asarray(tags).tolist() == rows
            assert trace.tagged is (min(rows, default=0) >= 0)
            assert trace.transport_intact is (all(a == b for a, b in enumerate(pulls)) if trace.tagged else None)
            for value in (ALTERED, UNKNOWN):
                assert trace.rows_tagged(value).tolist() == [row for row, tag in enumerate(rows) if tag == value]


def test_batches_without_rows_are_no_gap():
    for batches, intact in (([(0, 2), (7, 0), (1, 1)], True), ([(0, 2), (-1, 0), (1, 1)], True), ([(1, 2)], False)):
        _, (tags, *_) = forms(batches)
        assert np.asarray(tags).tolist() == [row_tag(pull, row) for pull, size in batches for row in range(size)]
        assert Trace(len(tags), tags).transport_intact is intact


def test_tags_have_the_type_that_is_requested():
    _, (tags, *_) = forms([(0, 2)])
    assert np.asarray(tags).dtype == np.int64
    assert np.asarray(tags, dtype=np.int32).dtype == np.int32


@pytest.mark.parametrize(
    ("tags", "calls", "intact"),
    [
        ([0, 1, 0, 1], (2, 2), True),
        ([0, 1, 0, 1], (3, 1), False),
        ([0, 1, 1, 0], (2, 2), False),
        ([0, 1, 2, 3], (2, 2), False),
        ([0, 1, 0, 1], (4,), False),
    ],
)
def test_each_call_begins_with_the_first_row(tags, calls, intact):
    assert Trace(4, np.asarray(tags), calls=calls).transport_intact is intact
    assert Trace(4, RunLengthColumn.of(tags), calls=calls).transport_intact is intact


def test_rows_of_a_batch_that_go_on_in_another_are_not_intact():
    whole = np.asarray([0, 1, row_tag(1)])
    assert Trace(3, whole).transport_intact is True
    for other in ([0, 1, row_tag(1, 1)], [0, 1, row_tag(2)], [0, 2, row_tag(1)], [1, 2, row_tag(1)]):
        assert Trace(3, np.asarray(other)).transport_intact is False


def test_the_source_is_that_of_the_last_call():
    states = SourceState("generator"), SourceState("arrays")
    assert Trace(1, np.zeros(1, int), sources=states).source is states[1]
    assert Trace(1, np.zeros(1, int)).source == SourceState()
    assert Trace(1, np.zeros(1, int)).calls == (1,)


def test_the_size_of_a_trace_is_that_of_its_columns(monkeypatch):
    column = np.arange(100)
    targets = {"a": np.zeros(100), "b": (np.zeros(100, "float32"), np.zeros((100, 2), "int8"))}
    trace = Trace(100, column, index=column, keys=np.arange(100), targets=targets, batch_sizes=np.zeros(0, int))
    # A column that is used twice is there once.
    assert trace.n_bytes == 800 + 800 + 800 + 400 + 200
    # One in a file counts, too.
    monkeypatch.setattr(storage, "MAX_IN_MEMORY", 0)
    mapped = Trace(100, column, fingerprints=storage.concatenated([np.arange(100, dtype=np.uint64)]))
    assert mapped.n_bytes == 800 + 800


def test_runs_take_what_their_column_takes():
    _, (by_batch, runs, _) = forms([(number, 10) for number in range(1000)])
    sizes = RunLengthColumn.of([10] * 1000, step=0)
    for tags, expected in ((by_batch, by_batch.pulls.n_bytes + by_batch.sizes.n_bytes), (runs, runs.n_bytes)):
        assert Trace(10_000, tags).n_bytes == expected
        assert Trace(10_000, tags, batch_sizes=sizes).n_bytes == expected + sizes.n_bytes


def test_rows_without_a_sample_have_the_numbers_that_reports_show():
    assert (UNKNOWN, FOREIGN) == (-1, -2)


def test_of_a_source_nothing_is_known_unless_it_is_given():
    state = SourceState()
    assert (state.kind, state.pulled, dict(state.facts)) == ("unknown", None, {})
    assert not any((state.started, state.calls_before, state.pulled_before, state.delivered, state.exhausted))


def test_rows_are_in_order_and_one_for_each_input_unless_something_else_is_said():
    trace = Trace(1, np.zeros(1, int))
    assert trace.ordered
    assert trace.one_to_one
