"""Sources that overwrite one array while its batches wait in a queue for the model.

TensorFlow uses an aligned array without copying it, so the model is fed what the
array holds by then. Each input is its sample's number, so the predictions show it.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard.capture.contract import BatchTag, CaptureOptions, Untagged
from evalguard.capture.probes.tf_data import TfDataProbe
from evalguard.capture.recording.batches import capture_batch
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.recording.to_trace import to_trace
from evalguard.core.trace import ALTERED
from tests.buffers import aligned

BATCH, N = 8, 48
WIDTH = 16
# Larger than what the recorder copies.
WIDE = 1 << 13


def filled(buffer, start):
    buffer[:] = np.arange(start, start + BATCH)[:, None]
    return buffer


def one_buffer(copied, width=WIDTH):
    buffer = aligned((BATCH, width))
    for start in range(0, N, BATCH):
        filled(buffer, start)
        yield (buffer.copy() if copied else buffer), np.arange(start, start + BATCH)


def echo(engine, width=WIDTH):
    model = engine.Sequential([engine.Input((width,)), engine.layers.Lambda(lambda x: x[:, :1])])
    model.compile(loss="mse")
    return model


@pytest.fixture(params=[pytest.param(keras, id="keras"), pytest.param(tf_keras, id="tf_keras")])
def engine(request):
    return request.param


def guarded(engine, source, width=WIDTH):
    with evalguard.guard(labels=np.arange(N), mlflow=False, on_failure="record", on_unproven="record") as g:
        rows = echo(engine, width).predict(source, steps=N // BATCH, verbose=0)
    return rows[:, 0], g.report


@pytest.mark.parametrize("width", [WIDTH, WIDE])
def test_rows_that_changed_while_they_waited_are_a_failure(engine, width):
    rows, report = guarded(engine, one_buffer(copied=False, width=width), width)
    wrong = rows != np.arange(N)
    if not wrong.any():  # the framework copied, so there is nothing to find
        assert report.verdict == "PASS"
        return
    assert report.verdict == "FAIL"
    assert [finding.reason for finding in report.findings] == ["altered"]
    assert report.diagnosis[0].cause == "the source fills its array again while the model still waits for it"
    assert report.diagnosis[0].certain
    # No additional evidence would prove these rows: the remedy is to change the source.
    assert not report.advice
    assert "copy()" in report.diagnosis[0].remedy


def test_rows_that_changed_on_the_way_are_not_repaired_by_their_keys():
    """A key says which sample a row was to be when it was emitted, not what the model read."""
    labels = evalguard.Labels(values=np.arange(N), keys=np.arange(N))
    with pytest.raises(evalguard.MisalignmentError) as raised:
        with evalguard.guard(labels=labels, key=lambda batch: batch[1], mlflow=False, on_failure="repair"):
            echo(keras).predict(one_buffer(copied=False), steps=N // BATCH, verbose=0)
    assert "rows changed before the model: only content identifies them" in str(raised.value.report.repair)
    assert (raised.value.predictions[:, 0] != np.arange(N)).any()


def test_keras_3_feeds_what_the_buffer_holds_by_then():
    """The fault is real; a test that never meets it would prove nothing."""
    rows = echo(keras).predict(one_buffer(copied=False), steps=N // BATCH, verbose=0)
    assert (rows[:, 0] != np.arange(N)).any()


@pytest.mark.parametrize("width", [WIDTH, WIDE])
def test_copies_pass(engine, width):
    rows, report = guarded(engine, one_buffer(copied=True, width=width), width)
    assert (rows == np.arange(N)).all()
    assert report.verdict == "PASS"
    assert not report.findings


def test_a_batch_that_changed_while_the_model_computed_is_marked():
    class Stream(Untagged):
        def intact(self):
            return [True, False]

    recorder = Recorder(CaptureOptions(), Stream())
    for pull in (0, 1):
        recorder.record(np.zeros((BATCH, WIDTH)), BatchTag(pull))
    recorder.after_step([], None)
    assert np.asarray(recorder.tags.tags()).tolist() == [*range(BATCH), *[ALTERED] * BATCH]


def in_one_array():
    spec = (tf.TensorSpec((BATCH, WIDTH), tf.float32), tf.TensorSpec((BATCH,), tf.int64))
    return tf.data.Dataset.from_generator(lambda: one_buffer(copied=False), output_signature=spec)


REFERENCE = np.repeat(np.arange(N, dtype="float32")[:, None], WIDTH, axis=1)


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_a_dataset_with_one_buffer_passes_only_where_its_rows_are_right(engine, ahead):
    dataset = in_one_array().prefetch(ahead) if ahead else in_one_array()
    with evalguard.guard(labels=np.arange(N), reference=REFERENCE, mlflow=False, on_failure="record") as g:
        rows = echo(engine).predict(dataset, steps=N // BATCH, verbose=0)[:, 0]
    if g.report.verdict == "PASS":
        assert (rows == np.arange(N)).all()
    else:  # if the array was overwritten just after the model had read it, the rows are right, but this is not known
        assert g.report.verdict == "FAIL"
        assert g.report.diagnosis[0].cause == "the source fills its array again while the model still waits for it"
        assert "copy()" in g.report.diagnosis[0].remedy


@pytest.mark.parametrize("when", [0, 2, 5])
def test_a_dataset_whose_array_is_overwritten_while_the_model_computes_proves_nothing_by_content(when):
    buffer = aligned((BATCH, WIDTH))

    def batches():
        for start in range(0, N, BATCH):
            yield filled(buffer, start)

    spec = tf.TensorSpec((BATCH, WIDTH), tf.float32)
    probe = TfDataProbe(tf.data.Dataset.from_generator(batches, output_signature=spec), {})
    recorder = Recorder(CaptureOptions("always"), probe.stream)
    for number, data in enumerate(probe.source):
        capture_batch(recorder, data)
        if number == when:
            buffer += 1
        recorder.after_step([], None)
    recorder.end()
    trace = to_trace(recorder, method="predict", source=probe.state(N // BATCH), index_source="stated", n_rows=N)
    assert trace.fingerprints is None
    # tf.data may request the next batch early and so overwrite another batch, too.
    assert set(range(when * BATCH, (when + 1) * BATCH)) <= set(trace.rows_tagged(ALTERED).tolist())


# So many that early ones tell nothing of later ones.
ITEMS = 192


class Long(keras.utils.PyDataset):
    """A dataset of many items.

    Args:
        buffers: How many arrays are reused in turn; 0: a new one for each item.
        opaque: NumPy does not own the memory, and each item is a separate array over it.
        beyond: How many bytes the addresses lie after one that TensorFlow uses in place.
        spoilt: Item whose array is changed when the next one is requested.
    """

    def __init__(self, buffers=0, spoilt=None, order=None, opaque=False, beyond=0):
        super().__init__()
        self.opaque, self.beyond = opaque, beyond
        self.buffers = [aligned((BATCH, WIDTH), beyond) for _ in range(buffers)]
        self.spoilt, self.order, self.given = spoilt, order, {}

    def __len__(self):
        return ITEMS

    def __getitem__(self, index):
        if self.spoilt is not None and index == self.spoilt + 1:
            self.given[self.spoilt] += 1
        buffer = self.buffers[index % len(self.buffers)] if self.buffers else aligned((BATCH, WIDTH), self.beyond)
        number = index if self.order is None else self.order[index]
        if self.opaque:
            buffer = np.frombuffer(memoryview(buffer), "float32").reshape(BATCH, WIDTH)
        self.given = {index: filled(buffer, number * BATCH)}
        return buffer, np.arange(number * BATCH, (number + 1) * BATCH)


LONG = np.arange(ITEMS * BATCH)


def predicted(source, **options):
    with evalguard.guard(labels=LONG, mlflow=False, on_failure="record", on_unproven="record", **options) as g:
        rows = echo(keras).predict(source, verbose=0)[:, 0]
    return rows, g.report


@pytest.mark.parametrize(
    "options",
    [{}, {"reference": np.repeat(LONG.astype("float32")[:, None], WIDTH, axis=1)}],
    ids=["targets", "content"],
)
def test_many_items_are_judged_by_what_the_model_was_fed(options):
    rows, report = predicted(Long(), **options)
    assert (rows == LONG).all()
    assert report.verdict == "PASS"
    assert report.proof == ("identity" if options else "labels")
    order = np.arange(ITEMS)
    order[[150, 170]] = order[[170, 150]]
    rows, report = predicted(Long(order=order), **options)
    assert report.verdict == "FAIL"
    assert report.counts["misaligned" if options else "label_disagreements"] == 2 * BATCH
    assert (rows != LONG).sum() == 2 * BATCH


def test_items_in_memory_that_numpy_does_not_own_pass_only_where_the_rows_are_right():
    rows, report = predicted(Long(buffers=12, opaque=True))
    assert (report.verdict == "PASS") == (rows == LONG).all()


@pytest.mark.parametrize("source", [*({"buffers": count} for count in (1, 2, 70)), {"spoilt": 150}])
def test_a_long_dataset_whose_arrays_change_passes_only_where_the_rows_are_right(source):
    rows, report = predicted(Long(**source))
    assert report.verdict == "FAIL" or (rows == LONG).all()
    if report.verdict == "FAIL":
        assert "altered" in {finding.reason for finding in report.findings}


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("buffers", [0, 1, 2, 70])
def test_arrays_that_tensorflow_copies_may_be_overwritten(buffers, opaque):
    rows, report = predicted(Long(buffers=buffers, opaque=opaque, beyond=16))
    assert (rows == LONG).all()
    assert report.verdict == "PASS"
    order = np.arange(ITEMS)
    order[[20, 170]] = order[[170, 20]]
    rows, report = predicted(Long(buffers=buffers, opaque=opaque, beyond=16, order=order))
    assert (rows != LONG).sum() == 2 * BATCH
    assert report.verdict == "FAIL"


class OneBuffer(keras.utils.PyDataset):
    def __init__(self):
        super().__init__(workers=1)
        self.buffer = aligned((BATCH, WIDTH))

    def __len__(self):
        return N // BATCH

    def __getitem__(self, index):
        start = index * BATCH
        return filled(self.buffer, start), np.arange(start, start + BATCH)


def test_a_pydataset_with_one_buffer_is_never_proven_by_its_targets_alone():
    with evalguard.guard(labels=np.arange(N), mlflow=False, on_failure="record", on_unproven="record") as g:
        rows = echo(keras).predict(OneBuffer(), verbose=0)
    right = bool((rows[:, 0] == np.arange(N)).all())
    assert (g.report.verdict == "PASS") == right
