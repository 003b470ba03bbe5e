"""Small batches are recorded together, in the order and with the content in which they were fed."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from evalguard.capture.array_rows import ArrayRows
from evalguard.capture.batch_digests import BatchDigests
from evalguard.capture.contract import BatchTag, CaptureOptions, Untagged
from evalguard.capture.probes.tf_data import CountedBatches
from evalguard.capture.recording.batches import capture_batch
from evalguard.capture.recording.recorder import MAX_WAITING, MAX_WAITING_BYTES, Recorder, to_numpy
from evalguard.capture.recording.small_batches import MAX_BYTES, SMALL_BATCH
from evalguard.core.own_errors import STRICT, OwnError
from evalguard.core.trace import ALTERED, UNKNOWN, row_tag
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
@pytest.mark.parametrize("count", [1, 2, 30, 300])
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


X = np.arange(ROWS * SMALL, dtype=np.float32).reshape(ROWS, SMALL)


def tags_found(recorder):
    recorder.end()
    return np.asarray(recorder.tags.tags()).tolist()


@pytest.mark.parametrize("content", ["targets", "always"])
@pytest.mark.parametrize("width", [SMALL, LARGE])
@pytest.mark.parametrize("flat", [True, False], ids=["arrays", "named"])
def test_targets_are_recorded_beside_content(content, width, flat):
    recorder = Recorder(CaptureOptions(content))
    for number in range(4):
        x = np.full((ROWS, width), number, np.float32)
        capture_batch(recorder, (x if flat else {"a": x}, np.arange(ROWS) + number))
    recorder.end()
    assert not recorder.problem
    assert recorder.n_with_targets == 4
    assert np.concatenate(recorder.targets).tolist() == [row + number for number in range(4) for row in range(ROWS)]
    assert len(recorder.fingerprints.parts) == 4 * ROWS


def test_targets_are_copies():
    y = np.arange(ROWS)
    recorder = Recorder(CaptureOptions())
    recorder.record((np.zeros((ROWS, LARGE), np.float32), y), BatchTag())
    y[:] = 9
    assert recorder.targets[0].tolist() == list(range(ROWS))
    recorder.record((X, {}), BatchTag())
    assert recorder.n_with_targets == 1


@pytest.mark.parametrize(
    ("options", "y", "samples", "hashed"),
    [
        pytest.param({}, None, None, False, id="no-targets"),
        pytest.param({}, np.arange(ROWS), None, True, id="targets-only"),
        pytest.param({}, np.arange(ROWS), np.arange(ROWS), False, id="targets-and-samples"),
        pytest.param({}, np.arange(ROWS), np.full(ROWS, UNKNOWN), True, id="targets-and-unknown-samples"),
        pytest.param({"key": lambda data: data[1]}, np.arange(ROWS), None, False, id="targets-and-keys"),
        pytest.param({"content": "always"}, None, np.arange(ROWS), True, id="always"),
    ],
)
def test_content_is_hashed_where_targets_need_it_to_find_repeated_rows(options, y, samples, hashed):
    recorder = Recorder(CaptureOptions(**options))
    recorder.record((X,) if y is None else (X, y), BatchTag(samples=samples))
    assert len(recorder.fingerprints.parts) == (ROWS if hashed else 0)
    assert not recorder.problem


def test_a_key_is_no_part_of_the_content():
    ids = np.arange(ROWS)
    recorder = Recorder(CaptureOptions("always", key="id"))
    recorder.record(({"id": ids, "x": X},), BatchTag())
    assert recorder.fingerprints.parts[:].tolist() == row_fingerprints({"x": X})[0].tolist()
    alone = Recorder(CaptureOptions("always", key="id"))
    alone.record(({"id": ids},), BatchTag())
    assert alone.fingerprints.parts[:].tolist() == row_fingerprints({"id": ids})[0].tolist()
    assert not recorder.problem + alone.problem


@pytest.mark.parametrize(
    ("x", "found"), [(X, "ndarray"), ({"b": X, "a": X}, "entries ['a', 'b']")], ids=["an-array", "other-entries"]
)
def test_a_key_that_is_not_there_is_a_problem_that_names_what_is(x, found):
    recorder = Recorder(CaptureOptions(key="id", drop_key=True))
    recorder.record((x,), BatchTag())
    assert f"expected x to be a dict with an entry 'id', found {found}" in recorder.problem
    assert recorder.without_key((x,))[0] is x
    assert recorder.without_key(x) is x


def test_a_bare_dict_stays_bare_without_its_key():
    recorder = Recorder(CaptureOptions(key="id", drop_key=True))
    assert recorder.without_key({"id": np.arange(ROWS), "x": X}) == {"x": X}


class Changing(Untagged):
    """A stream some of whose latest batches have changed."""

    def __init__(self, *unchanged):
        self.unchanged = list(unchanged)
        self.numbers = itertools.count()

    def identify(self, data):
        return data, BatchTag(next(self.numbers))

    def intact(self):
        return self.unchanged


@pytest.mark.parametrize(
    ("unchanged", "altered"),
    [((True, True), []), ((True, False), [2]), ((False, True), [1]), ((False, False), [1, 2])],
)
def test_batches_that_changed_are_marked_from_the_last_one_backwards(unchanged, altered):
    stream = Changing(*unchanged)
    recorder = Recorder(CaptureOptions(), stream)
    for _ in range(3):
        recorder.capture((X,))
    recorder.after_step([], None)
    stream.unchanged = []
    recorder.capture((X,))
    found = [row_tag(number, row) for number in range(4) for row in range(ROWS)]
    expected = [ALTERED if tag // row_tag(1) in altered else tag for tag in found]
    assert tags_found(recorder) == expected


def test_outputs_that_share_memory_with_their_batch_are_checked_at_the_end():
    x = X.copy()
    recorder = Recorder(CaptureOptions())
    capture_batch(recorder, (x,))
    recorder.after_step([(x,)], x)
    x[:] = 9
    assert tags_found(recorder) == [ALTERED] * ROWS
    assert not recorder.problem


def failing(*_):
    msg = "broken"
    raise ValueError(msg)


@pytest.mark.parametrize(
    ("when", "broken"),
    [
        ("while a batch was checked for changes", lambda recorder: setattr(recorder.stream, "intact", failing)),
        ("during the fail-fast check", lambda recorder: setattr(recorder, "fail_fast_check", failing)),
        (
            "while outputs were checked for changes",
            lambda recorder: setattr(recorder, "_passed_on", SimpleNamespace(compares=True, add=print, intact=failing)),
        ),
        ("while batches were recorded", lambda recorder: setattr(recorder, "tags", None)),
    ],
)
def test_an_error_in_here_is_a_problem_of_the_trace_and_none_of_the_call(monkeypatch, when, broken):
    monkeypatch.delenv(STRICT, raising=False)
    recorder = Recorder(CaptureOptions(), Changing())
    recorder.capture((X,))
    broken(recorder)
    recorder.after_step([], None)
    recorder.end()
    assert when in recorder.problem


def test_the_first_problem_is_kept():
    recorder = Recorder(CaptureOptions(key="id"))
    recorder.record((X,), BatchTag())
    recorder.record(({"other": X},), BatchTag())
    assert "found ndarray" in recorder.problem


def test_inputs_that_are_no_rows_are_said():
    recorder = Recorder(CaptureOptions())
    recorder.record((X,), BatchTag())
    assert not recorder.no_rows
    recorder.record(((X, X[:2]),), BatchTag())
    assert recorder.no_rows
    assert recorder.problem


def test_the_fail_fast_check_sees_each_batch_until_it_stops_the_call():
    seen = []

    def check(recorder):
        seen.append([(rows, None if tag.keys is None else tag.keys.tolist()) for rows, tag in recorder.unchecked])
        return "wrong" if len(seen) == 2 else ""

    recorder = Recorder(CaptureOptions(key="id"), fail_fast_check=check)
    for number in range(3):
        capture_batch(recorder, ({"id": np.arange(ROWS) + number, "x": X},))
        recorder.after_step([], None)
    assert recorder.stopped == "wrong"
    assert seen == [[(ROWS, [0, 1, 2])], [(ROWS, [0, 1, 2]), (ROWS, [1, 2, 3])]]
    assert recorder.seconds > 0


def test_without_a_fail_fast_check_no_batch_is_kept_for_it():
    recorder = Recorder(CaptureOptions(key="id"))
    capture_batch(recorder, ({"id": np.arange(ROWS), "x": X},))
    recorder.after_step([], None)
    assert recorder.unchecked == []
    assert recorder.stopped == ""


def test_tensors_of_every_kind_become_arrays():
    ragged = to_numpy(tf.ragged.constant([[1, 2], [3]]))
    assert [row.tolist() for row in ragged] == [[1, 2], [3]]
    assert ragged.dtype == object
    assert to_numpy(tf.ragged.constant([[1], [2]])[:0]).shape == (0,)
    sparse = tf.sparse.SparseTensor([[0, 1], [1, 0]], [5, 7], (2, 2))
    assert to_numpy(sparse).tolist() == [[0, 5], [7, 0]]
    assert to_numpy(tf.experimental.Optional.from_value(tf.constant([1, 2]))).tolist() == [1, 2]
    assert to_numpy(tf.experimental.Optional.empty(tf.TensorSpec([2]))) is None


def test_the_form_of_what_was_fingerprinted_is_kept():
    recorder = run(Recorder(CaptureOptions("always")), [(X,)])
    assert recorder.fingerprints.specs != ()
    assert recorder.fingerprints.first_row is not None


def test_small_batches_are_recorded_once_there_are_many_bytes_of_them():
    recorder = Recorder(CaptureOptions("always"))
    almost_large = batch(1, LARGE - 1)
    n_bytes = 4 * ROWS * (LARGE - 1)
    for _ in range(MAX_BYTES // n_bytes):
        assert len(recorder.tags) == 0
        capture_batch(recorder, almost_large)
    capture_batch(recorder, almost_large)
    assert len(recorder.tags) == MAX_BYTES // n_bytes + 1


def waiting(recorder, batches):
    """How many batches wait after each one."""
    found = []
    for fed, data in enumerate(batches, 1):
        assert capture_batch(recorder, data) is data
        found.append(fed - len(recorder.tags))
    return found


def arrays(count, shape, dtype="float32"):
    """A stream of arrays, and its batches."""
    x = np.arange(count * ROWS * int(np.prod(shape))).reshape(count * ROWS, *shape).astype(dtype)
    return ArrayRows(x), [(tf.constant(x[at * ROWS : at * ROWS + ROWS]),) for at in range(count)]


def test_batches_in_memory_of_tensorflow_are_identified_later_more_each_time():
    stream, batches = arrays(800, (2,))
    recorder = Recorder(CaptureOptions("always"), stream)
    found = waiting(recorder, batches)
    flushed = [number + 1 for number, left in enumerate(found) if left == 0]
    assert flushed == [1, 3, 7, 15, 31, 63, 127, 255, 511, 767]
    assert found[-1] == 33
    assert MAX_WAITING == 256
    recorder.end()
    assert tags_found(recorder) == list(range(800 * ROWS))
    found = recorder.fingerprints.parts[:]
    assert found.tolist() == row_fingerprints(np.concatenate([x.numpy() for (x,) in batches]))[0].tolist()


def test_large_batches_and_text_do_not_wait():
    stream, batches = arrays(4, (MAX_WAITING_BYTES // 4,))
    assert waiting(Recorder(CaptureOptions(), stream), batches) == [0] * 4
    half = MAX_WAITING_BYTES // 2 // (4 * ROWS)
    stream, batches = arrays(6, (half,))
    assert waiting(Recorder(CaptureOptions(), stream), batches) == [0, 1, 0, 1, 0, 1]
    words = [(tf.constant(["a", "b", "c"]),) for _ in range(4)]
    assert waiting(Recorder(CaptureOptions(), CountedBatches()), words) == [0] * 4


@pytest.mark.parametrize("options", [{"key": lambda data: data[0][:, 0]}, {"fingerprint": lambda x: x}])
def test_a_batch_that_a_function_of_the_user_must_see_does_not_wait(options):
    stream, batches = arrays(4, (2,))
    assert waiting(Recorder(CaptureOptions("always", **options), stream), batches) == [0] * 4


def test_a_batch_that_the_fail_fast_check_must_see_does_not_wait():
    stream, batches = arrays(4, (2,))
    recorder = Recorder(CaptureOptions(), stream, fail_fast_check=lambda _: "")
    assert waiting(recorder, batches) == [0] * 4


def test_a_batch_without_rows_waits_like_others():
    recorder = Recorder(CaptureOptions(), CountedBatches())
    assert waiting(recorder, [(tf.zeros((0, 2)),)] * 4) == [0, 1, 0, 1]


@pytest.mark.parametrize("changed", range(1, 5))
def test_a_batch_that_changes_after_others_began_to_wait_is_marked(changed):
    digests, buffer = BatchDigests(), aligned((ROWS, SMALL))
    recorder = Recorder(CaptureOptions("always"), digests)
    for number in range(6):
        data = aligned_copy(np.full((ROWS, SMALL), number, np.float32), 16)
        if number == changed:
            buffer[:] = number
            data = buffer
        digests.emit((data,), number)
        capture_batch(recorder, (data,))
        buffer[:] = -1
        recorder.after_step([], None)
    expected = [ALTERED if number == changed else row_tag(number, row) for number in range(6) for row in range(ROWS)]
    assert tags_found(recorder) == expected


def test_batches_that_are_single_arrays_are_recorded_together():
    recorder = run(Recorder(CaptureOptions("always")), [X, X + 1, X + 2])
    found = recorder.fingerprints.parts[:]
    assert found.tolist() == np.concatenate([row_fingerprints(X + number)[0] for number in range(3)]).tolist()


def test_keys_that_the_source_states_are_recorded():
    recorder = Recorder(CaptureOptions())
    capture_batch(recorder, (X,))
    recorder.record((X,), BatchTag(keys=np.array(["a", "b", "c"])))
    assert [keys.tolist() for keys in recorder.keys] == [["a", "b", "c"]]


def test_the_time_of_everything_that_is_recorded_is_counted(monkeypatch):
    monkeypatch.setattr("time.perf_counter", itertools.count(7).__next__)
    recorder = Recorder(CaptureOptions(), fail_fast_check=lambda _: "")
    recorder.after_step([], None)
    assert recorder.seconds == 1
    recorder.end()
    assert recorder.seconds == 2


def test_a_defect_of_ours_is_loud_in_strict_mode():
    recorder = Recorder(CaptureOptions(), Changing())
    recorder.fail_fast_check = failing
    with pytest.raises(OwnError, match="broken"):
        recorder.after_step([], None)
