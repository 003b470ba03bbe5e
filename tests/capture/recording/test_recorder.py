"""Small batches are recorded together, in the order and with the content in which they were fed."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from evalguard.capture.batch_digests import BatchDigests
from evalguard.capture.contract import CaptureOptions
from evalguard.capture.recording.batches import capture_batch
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.recording.small_batches import MAX_BATCHES, SMALL_BATCH
from evalguard.data.fingerprint import row_fingerprints
from tests.buffers import aligned, aligned_copy

ROWS = 3
SMALL, LARGE = 2, SMALL_BATCH // (4 * ROWS) + 1


def batch(number, width=SMALL):
    return (tf.fill((ROWS, width), np.float32(number)),)


def run(recorder, batches):
    for data in batches:
        capture_batch(recorder, data)
    recorder.flush()
    return recorder


@given(st.lists(st.sampled_from([SMALL, LARGE, SMALL + 1]), min_size=1, max_size=12))
def test_batches_of_all_sizes_are_recorded_in_the_order_they_were_fed(widths):
    fed = [batch(number, width) for number, width in enumerate(widths)]
    recorder = run(Recorder(CaptureOptions("always")), fed)
    found = recorder.fingerprints.parts[:]
    assert found.tolist() == np.concatenate([row_fingerprints(data[0])[0] for data in fed]).tolist()
    assert len(recorder.tags) == len(fed)


@pytest.mark.parametrize("reused_after", [0, 1, 3])
def test_the_order_is_kept_where_a_source_begins_to_reuse_its_array(reused_after):
    buffer = aligned((ROWS, SMALL))
    fed = [(np.full((ROWS, SMALL), number, np.float32),) for number in range(6)]
    digests = BatchDigests()
    recorder = Recorder(CaptureOptions("always"), digests)
    for number, data in enumerate(fed):
        if number >= reused_after:
            buffer[:] = number
            digests.emit((buffer,), number)
        else:
            digests.emit(data, number)
        capture_batch(recorder, data)
        recorder.after_step([], None)
    recorder.flush()
    assert np.asarray(recorder.tags.tags()).tolist() == [
        (number << 32) + row for number in range(6) for row in range(3)
    ]
    found = recorder.fingerprints.parts[:]
    assert found.tolist() == np.concatenate([row_fingerprints(data[0])[0] for data in fed]).tolist()


@pytest.mark.parametrize("width", [SMALL, LARGE])
def test_the_order_is_kept_where_a_source_begins_to_emit_memory_that_is_used_in_place(width):
    digests = BatchDigests()
    recorder = Recorder(CaptureOptions("always"), digests)
    fed = [
        aligned_copy(np.full((ROWS, width), number, np.float32), 0 if number in {3, 5} else 16) for number in range(8)
    ]
    for number, data in enumerate(fed):
        digests.emit((data,), number)
        capture_batch(recorder, (data,))
        recorder.after_step([], None)
    recorder.end()
    assert not recorder.problem
    assert np.asarray(recorder.tags.tags()).tolist() == [
        (number << 32) + row for number in range(8) for row in range(ROWS)
    ]
    found = recorder.fingerprints.parts[:]
    assert found.tolist() == np.concatenate([row_fingerprints(data)[0] for data in fed]).tolist()


@pytest.mark.parametrize("widths", [[LARGE] * 5, [SMALL, LARGE, LARGE, SMALL, LARGE], [LARGE, SMALL, SMALL]])
def test_tags_of_large_batches_are_recorded_where_their_rows_are_not_needed(widths):
    digests = BatchDigests()
    recorder = Recorder(CaptureOptions(), digests)
    fed = [batch(number % 2, width) for number, width in enumerate(widths)]
    for number, data in enumerate(fed):
        digests.emit(tuple(part.numpy() for part in data), number)
    for data in fed:
        assert capture_batch(recorder, data) is data
    recorder.end()
    assert np.asarray(recorder.tags.tags()).tolist() == [
        (number << 32) + row for number in range(len(fed)) for row in range(ROWS)
    ]
    assert not len(recorder.fingerprints.parts)


def test_rows_are_recorded_as_they_were_when_they_were_fed():
    x = np.zeros((ROWS, SMALL), np.float32)
    recorder = Recorder(CaptureOptions("always"))
    capture_batch(recorder, (x,))
    before = row_fingerprints(x)[0]
    x[:] = 7
    recorder.flush()
    assert recorder.fingerprints.parts[:].tolist() == before.tolist()


@pytest.mark.parametrize("width", [SMALL, LARGE])
@pytest.mark.parametrize("count", [1, 2, 30, MAX_BATCHES + 40])
def test_each_batch_is_recorded_however_many_there_are(count, width):
    fed = [batch(number % 7, width) for number in range(count)]
    recorder = Recorder(CaptureOptions("always"))
    for data in fed:
        assert capture_batch(recorder, data) is data
    recorder.end()
    assert recorder.seconds > 0
    assert recorder.tags.n_rows == count * ROWS
    found = recorder.fingerprints.parts[:]
    assert found.tolist() == np.concatenate([row_fingerprints(data[0])[0] for data in fed]).tolist()


@pytest.mark.parametrize(
    "capture_options",
    [CaptureOptions("always", key=lambda data: data[0][:, 0]), CaptureOptions("always", fingerprint=lambda x: x)],
)
def test_a_function_of_the_user_is_called_with_each_batch_at_once(capture_options):
    recorder = Recorder(capture_options)
    for number in range(3):
        capture_batch(recorder, batch(number))
        assert len(recorder.fingerprints.parts) == (number + 1) * ROWS
    assert not recorder.problem


def test_a_batch_that_cannot_be_recorded_is_a_problem_and_no_error():
    recorder = Recorder(CaptureOptions("always"))
    capture_batch(recorder, batch(0))
    capture_batch(recorder, (object(),))
    recorder.end()
    assert "while a batch was recorded" in recorder.problem


@pytest.mark.parametrize("key", ["id", lambda data: data[0]["id"]], ids=["entry", "function"])
def test_keys_are_recorded_as_they_were_when_they_were_fed(key):
    ids = np.arange(ROWS)
    recorder = Recorder(CaptureOptions(key=key))
    capture_batch(recorder, ({"id": ids, "x": np.zeros((ROWS, SMALL))},))
    ids[:] = 9
    assert recorder.keys[0].tolist() == list(range(ROWS))


def test_a_batch_that_is_read_and_not_fed_is_what_the_model_would_get_and_is_not_counted():
    recorder = Recorder(CaptureOptions(key="id", drop_key=True))
    x, y = np.zeros((2, 1)), np.ones(2)
    read = recorder.without_tag(({"id": np.arange(2), "x": x}, y))
    assert list(read[0]) == ["x"]
    assert read[0]["x"] is x
    assert read[1] is y
    recorder.end()
    assert not len(recorder.tags)
    assert not recorder.keys
