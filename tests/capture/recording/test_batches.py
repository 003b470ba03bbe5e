"""Batches on their way to the model: what is pulled, what is passed on, what is recorded."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.distribute.values import PerReplica

from evalguard.capture.contract import CaptureOptions, Untagged
from evalguard.capture.recording.batches import capture_batch, capture_batches
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.tags import RidingTags
from evalguard.core.trace import row_tag

X = np.arange(12, dtype="float32").reshape(6, 2)


def test_an_execution_gets_as_many_batches_as_there_are_and_ends_with_the_source():
    recorder, source = Recorder(CaptureOptions()), iter([(X[:2],), (X[2:4],), (X[4:],)])
    assert [len(capture_batches(recorder, source, 2)) for _ in range(2)] == [2, 1]
    with pytest.raises(StopIteration):
        capture_batches(recorder, source, 2)
    recorder.end()
    assert np.asarray(recorder.tags.sizes).tolist() == [2, 2, 2]
    assert recorder.seconds > 0


@pytest.mark.parametrize("x", [X, np.zeros((2, 1 << 15), "float32")], ids=["copied", "recorded-at-once"])
def test_the_model_receives_the_callers_own_arrays_without_their_tag(x):
    riding = RidingTags((x,))
    recorder = Recorder(CaptureOptions("always"), riding)
    (passed,) = capture_batch(recorder, riding.emit((x,), 3))
    assert passed is x
    recorder.end()
    assert np.asarray(recorder.tags.tags())[0] == row_tag(3)
    assert len(recorder.fingerprints.parts) == len(x)


def test_the_model_does_not_receive_the_key_that_is_dropped():
    recorder = Recorder(CaptureOptions(key="id", drop_key=True))
    (passed, y) = capture_batch(recorder, ({"id": np.arange(6), "x": X}, X))
    assert list(passed) == ["x"]
    assert passed["x"] is X
    assert y is X
    assert recorder.keys[0].tolist() == list(range(6))


def test_the_parts_of_replicas_are_recorded_in_their_order_each_with_its_tag():
    riding = RidingTags((X,))
    x, rows = riding.emit((X,), 2)
    parts = [slice(0, 4), slice(4, 6)]
    data = tuple(PerReplica([tf.constant(whole[part]) for part in parts]) for whole in (x, rows))
    recorder = Recorder(CaptureOptions("always"), riding, replicated=True)
    assert capture_batch(recorder, data)[0] is data[0]
    assert np.asarray(recorder.tags.tags()).tolist() == [row_tag(2, row) for row in range(6)]
    assert np.asarray(recorder.tags.sizes).tolist() == [4, 2]
    assert len(recorder.fingerprints.parts) == 6


def test_a_batch_that_a_strategy_did_not_split_is_recorded_as_it_is():
    recorder = Recorder(CaptureOptions(), Untagged(), replicated=True)
    assert capture_batch(recorder, (X,))[0] is X
    assert recorder.tags.n_rows == 6


def test_the_time_of_each_batch_is_counted(monkeypatch):
    monkeypatch.setattr("time.perf_counter", itertools.count(7).__next__)
    recorder = Recorder(CaptureOptions())
    for number in range(3):
        capture_batch(recorder, (X,))
        assert recorder.seconds == number + 1


def test_a_source_that_has_ended_is_not_asked_again_in_the_same_execution():
    class Source:
        asked = 0

        def __next__(self):
            self.asked += 1
            if self.asked > 1:
                raise StopIteration
            return (X,)

    source = Source()
    assert len(capture_batches(Recorder(CaptureOptions()), source, 5)) == 1
    assert source.asked == 2
