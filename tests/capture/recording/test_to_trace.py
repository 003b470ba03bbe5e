"""A recorded call as a trace: what is not known of all rows is not in it."""

from types import SimpleNamespace

import numpy as np
import pytest

from evalguard.capture.contract import NOT_OBSERVED, BatchTag, CaptureOptions
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.recording.to_trace import to_trace
from evalguard.core.own_errors import STRICT
from evalguard.core.trace import ALTERED, UNKNOWN, SourceState

X = np.arange(8, dtype="float32").reshape(4, 2)


def recorded(*tags, options=None, targets=False):
    """Batches of two rows with these tags."""
    recorder = Recorder(options or CaptureOptions("always"))
    for tag in tags:
        recorder.record((X[:2], X[:2]) if targets else (X[:2],), tag)
    return recorder


def trace_of(recorder, *, index_source="stated", n_rows=4, **options):
    return to_trace(
        recorder, method="predict", source=SourceState(), index_source=index_source, n_rows=n_rows, **options
    )


def test_rows_have_what_was_recorded_of_them():
    trace = trace_of(recorded(BatchTag(0, np.array([3, 2])), BatchTag(1), targets=True))
    assert trace.transport_intact
    assert np.asarray(trace.index).tolist() == [3, 2, UNKNOWN, UNKNOWN]
    assert len(trace.fingerprints) == len(trace.targets) == 4
    assert np.asarray(trace.batch_sizes).tolist() == [2, 2]
    assert trace.keys is None
    assert len(trace.spec) == 1


def test_the_position_in_an_array_is_the_index_where_there_is_one():
    trace = trace_of(recorded(BatchTag(0), BatchTag(0, first_row=2)), index_source="position")
    assert np.asarray(trace.index).tolist() == [0, 1, 2, 3]
    assert trace_of(recorded(NOT_OBSERVED, NOT_OBSERVED), index_source="position").index is None
    some = trace_of(recorded(BatchTag(0), NOT_OBSERVED), index_source="position")
    assert np.asarray(some.index).tolist() == [0, 1, UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("n_rows", [3, 5])
def test_another_number_of_rows_is_paired_with_nothing(n_rows):
    trace = trace_of(recorded(BatchTag(0), BatchTag(1)), n_rows=n_rows)
    assert trace.unobserved == f"the model received 4 rows and returned {n_rows}"
    assert (trace.n_rows, trace.one_to_one, trace.fingerprints) == (n_rows, False, None)
    assert set(np.asarray(trace.tags)) == {UNKNOWN}


def test_a_method_that_returns_no_rows_is_judged_by_the_rows_fed():
    trace = trace_of(recorded(BatchTag(0), BatchTag(1)), n_rows=None)
    assert (trace.n_rows, trace.ordered) == (4, False)


def test_tags_that_are_not_trusted_are_unknown():
    trace = trace_of(recorded(BatchTag(0), BatchTag(1)), trust_tags=False)
    assert set(np.asarray(trace.tags)) == {UNKNOWN}


def test_a_batch_that_changed_leaves_no_fingerprints_of_the_call():
    recorder = recorded(BatchTag(0), BatchTag(1))
    recorder.tags.mark_changed(1)
    trace = trace_of(recorder)
    assert trace.fingerprints is None
    assert trace.rows_tagged(ALTERED).tolist() == [2, 3]


FILES = np.array(["a", "b"], dtype=object)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param([FILES, FILES[::-1]], ["a", "b", "b", "a"], id="of-all-batches"),
        pytest.param([FILES, None], None, id="of-some"),
        pytest.param([FILES, FILES[:1]], None, id="too-few"),
        pytest.param([np.arange(2), np.arange(2, 4)], [0, 1, 2, 3], id="numbers"),
        pytest.param([np.arange(2), np.array(["a", "b"])], ["0", "1", "a", "b"], id="numbers-and-names"),
    ],
)
def test_keys_are_those_of_all_rows_or_none(keys, expected):
    found = trace_of(recorded(*(BatchTag(number, keys=part) for number, part in enumerate(keys)))).keys
    assert (None if found is None else found.tolist()) == expected


@pytest.mark.parametrize(("key", "index_source"), [(None, "listed"), (lambda batch: batch[0][:, 0] > 0, "stated")])
def test_an_index_counts_in_the_list_of_the_source_only_if_the_keys_are_its_own(key, index_source):
    options = CaptureOptions(key=key)
    recorder = recorded(*(BatchTag(number, np.arange(2), FILES) for number in (0, 1)), options=options)
    assert trace_of(recorder, index_source="listed").index_source == index_source


def test_why_rows_were_not_observed_is_in_the_trace():
    recorder = recorded(BatchTag(0))
    recorder.record((SimpleNamespace(shape=()),), BatchTag(1))
    assert recorder.problem
    assert trace_of(recorder, n_rows=2).unobserved == recorder.problem


def test_targets_are_those_of_all_rows_or_none():
    recorder = recorded(BatchTag(0), targets=True)
    assert len(trace_of(recorder, n_rows=2).targets) == 2
    recorder.record((X[:2],), BatchTag(1))
    assert trace_of(recorder).targets is None


def test_what_was_observed_is_in_the_trace_also_if_something_else_was_not():
    recorder = recorded(BatchTag(0), BatchTag(1))
    recorder.problem = "something was not recorded"
    trace = trace_of(recorder)
    assert (trace.unobserved, trace.one_to_one, len(trace.fingerprints)) == (recorder.problem, True, 4)


def test_values_that_are_not_rows_are_no_samples():
    recorder = recorded(BatchTag(0), BatchTag(1))
    recorder.no_rows = True
    trace = trace_of(recorder)
    assert (trace.n_rows, trace.one_to_one, trace.fingerprints) == (4, False, None)


def test_of_a_call_that_could_not_be_observed_nothing_is_known():
    recorder = recorded()
    recorder.problem = "nothing was recorded"
    trace = trace_of(recorder, n_rows=None)
    assert (trace.n_rows, trace.one_to_one, trace.unobserved) == (0, False, recorder.problem)


def test_scalar_targets_of_a_whole_batch_are_no_targets_of_its_rows():
    recorder = Recorder(CaptureOptions("always"))
    for _ in range(2):
        recorder.record((X[:2], np.float32(0)), BatchTag(0))
    trace = trace_of(recorder)
    assert (trace.targets, trace.n_rows, trace.unobserved) == (None, 4, "")


def test_what_cannot_be_put_together_is_not_observed(monkeypatch):
    monkeypatch.delenv(STRICT)
    recorder = recorded(BatchTag(0), BatchTag(1))
    recorder.keys = [object()]
    monkeypatch.setattr("evalguard.capture.recording.to_trace._all_keys", lambda *_: 1 / 0)
    trace = trace_of(recorder)
    assert trace.n_rows == 4
    assert not trace.one_to_one
    assert trace.unobserved.startswith("the recorded batches could not be joined: ZeroDivisionError")
