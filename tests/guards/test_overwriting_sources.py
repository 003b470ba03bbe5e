"""Sources that overwrite everything that they gave: inputs, targets, keys, indices, at each moment when they can.

The model returns what it read, so each case knows which sample each returned row is. Where the model read other rows
than those recorded, there is no PASS and no REPAIRED; where memory is overwritten only after it was used, no FAIL.
"""

import threading
import warnings
from functools import cache
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from tests.buffers import aligned

N, BATCH = 12, 4
ENGINES: dict[str, Any] = {"keras": keras, "tf_keras": tf_keras}
# Rows of no sample, which the source leaves in its memory.
SPOILT = 77
ORDERS = {
    "none": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    "permuted": [3, 8, 1, 10, 5, 0, 11, 2, 7, 4, 9, 6],
    "swapped": [0, 1, 9, 3, 4, 5, 6, 7, 8, 2, 10, 11],
    "skipped": [0, 1, 2, 3, 8, 9, 10, 11],
    "repeated": [0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11],
}
# TensorFlow reads both aligned and shared memory in place.
FAULTS_IN = {"plain": ("none", "permuted"), "aligned": tuple(ORDERS), "shared": ("none", "permuted", "repeated")}
# All batches one after the other in one memory; or each in separate memory, overwritten at the end of the pass, while
# the model is traced for its first step, or as soon as it is used.
WHEN = ("next", "end", "tracing", "used")


@pytest.fixture(scope="module", autouse=True)
def shared_memory():
    """Pieces of one block: none is used twice, because a thread of a call that is over may still write."""
    block = SharedMemory(create=True, size=1 << 20)
    pieces.append(iter(np.frombuffer(block.buf, "uint8").reshape(-1, 1 << 10)))
    yield
    block.unlink()
    # TensorFlow may still hold arrays in it: it is unmapped with the process.
    block.close = lambda: None  # type: ignore[method-assign]


pieces: list[Any] = []


class Memory:
    """The arrays of each batch, side by side in one block.

    Args:
        kind: ``plain``: at addresses at which TensorFlow copies; ``aligned``, ``shared``: where it reads in place.
        one: All batches lie in the same arrays.
    """

    def __init__(self, kind, one):
        self.one = one
        self.step = 16 if kind == "plain" else 0
        size = (1 if one else N // BATCH) * 4 * 64 + 64
        self.raw = next(pieces[0])[:size] if kind == "shared" else aligned((size,), dtype="uint8")

    def parts(self, slot):
        def part(number, dtype, shape):
            start = ((0 if self.one else slot) * 4 + number) * 64 + self.step
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            return self.raw[start : start + size].view(dtype).reshape(shape)

        index = part(3, "int32", (BATCH,))
        return part(0, "float32", (BATCH, 2)), part(1, "float32", (BATCH,)), part(2, "int64", (BATCH,)), index

    def fill(self, slot, rows):
        for array, values in zip(self.parts(slot), (x_of(rows), y_of(rows), key_of(rows), rows), strict=True):
            array[:] = values
        return self.parts(slot)

    def spoil(self, order, slots=None):
        """Write the rows of ``order``, or of no sample, into all memory, or into that of some batches."""
        for slot in range(1 if self.one else N // BATCH) if slots is None else slots:
            self.fill(slot, order[slot * BATCH : (slot + 1) * BATCH] if order else [SPOILT] * BATCH)


def x_of(rows):
    return np.stack([np.asarray(rows), np.asarray(rows) * 7 % 5], axis=1).astype("float32")


def y_of(rows):
    return np.asarray(rows, "float32") * 3 + 100


def key_of(rows):
    return np.asarray(rows, "int64") * 17 + 1000


class Moment:
    """When the model is traced, another thread overwrites the memory of the source; the model waits for it."""

    act: Any = None


@cache
def echo(engine):
    """A model that returns twice its input, computed from memory that it reads after it has been traced."""

    base: Any = ENGINES[engine].Model

    class Echo(base):
        def call(self, inputs):
            if Moment.act is not None:
                thread, Moment.act = threading.Thread(target=Moment.act), None
                thread.start()
                thread.join()
            return (inputs["x"] if isinstance(inputs, dict) else inputs) * 2

    model = Echo()
    model.compile(loss="mse")
    return model


class Source:
    """Batches of rows in one order.

    Args:
        memory: Where they lie.
        order: Samples, in the order emitted.
        identity: What a batch holds beside the inputs.
        after: What is written to the memory at its end: other rows, or None for rows of no sample.
    """

    def __init__(self, memory, order, identity, after):
        self.memory, self.identity, self.after = memory, identity, after
        self.batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]

    def batch(self, at):
        x, y, key, index = self.memory.fill(at, self.batches[at])
        inputs = {"x": x, "id": key} if self.identity == "key" else x
        batch = (inputs, y) if self.identity == "targets" else (inputs,)
        return batch, index

    def end(self):
        self.memory.spoil(self.after)

    def generator(self, when):
        for at in range(len(self.batches)):
            batch, index = self.batch(at)
            yield evalguard.tagged(batch, index=index) if self.identity == "index" else batch
        if when == "end":
            self.end()

    def dataset(self, base: Any, when: str, **options: Any) -> Any:
        source = self

        class Batches(base):
            def __init__(self):
                super().__init__(**options)

            def __len__(self):
                return len(source.batches)

            def __getitem__(self, at):
                return source.batch(at)[0]

            def on_epoch_end(self):
                if when == "end":
                    source.end()

        if self.identity == "index":
            Batches.sample_indices = lambda self, at: source.memory.parts(at)[3]
        return Batches()

    def tf_data(self, when):
        spec = tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), self.batch(0)[0])
        return tf.data.Dataset.from_generator(lambda: self.generator(when), output_signature=spec)


def labels_and_options(identity):
    """Labels, and options of a guard; what is read once comes in arrays that are overwritten each time."""
    values, reused = y_of(range(N)), Memory("aligned", one=True)
    if identity == "key":
        return {"labels": evalguard.Labels(values=values, keys=key_of(range(N))), "key": "id"}
    if identity == "collected":
        ordered = Source(reused, ORDERS["none"], "targets", None)
        return {"labels": evalguard.Labels.collect(lambda: ordered.generator("end"))}
    if identity == "reference":
        row = np.zeros(2, "float32")

        def sample(number):
            row[:] = x_of([number])[0]
            return row

        return {"labels": values, "reference": sample}
    return {"labels": values}


KINDS = {
    "generator": ("keras", "tf_keras"),
    "dataset": ("keras", "tf_keras"),
    "threads": ("keras",),
    "tf_data": ("keras", "tf_keras"),
    "predict_on_batch": ("keras", "tf_keras"),
    "call": ("keras", "tf_keras"),
}
# The first one with aligned memory only: both it and `reference` are content.
ALL_IDENTITIES = ("collected", "key", "reference", "targets", "index")
IDENTITIES = {
    "tf_data": ALL_IDENTITIES[:-1],
    "predict_on_batch": ALL_IDENTITIES[:-2],
    "call": ALL_IDENTITIES[:-2],
}
LOOPS = {"predict_on_batch", "call"}


def predicted(engine, kind, source, when):
    """The rows that the model returns."""
    model = echo(engine)
    if kind in LOOPS:
        call, rows = (model.predict_on_batch if kind == "predict_on_batch" else model), []
        for at in range(len(source.batches)):
            rows.append(np.array(call(source.batch(at)[0][0])))
            if when == "used":
                source.memory.spoil(source.after, [at])
        if when == "end":
            source.end()
        return np.concatenate(rows)

    callback: Any = ENGINES[engine].callbacks.Callback

    class Used(callback):
        def on_predict_batch_end(self, batch, logs=None):
            if when == "used":
                source.memory.spoil(source.after, [batch])

    if kind in {"dataset", "threads"}:
        base = keras.utils.PyDataset if engine == "keras" else tf_keras.utils.Sequence
        x = source.dataset(base, when, **({"workers": 2} if kind == "threads" else {}))
    else:
        x = source.generator(when) if kind == "generator" else source.tf_data(when)
    return model.predict(x, steps=len(source.batches), verbose=0, callbacks=[Used()])


def judged(engine, kind, when, memory, fault, identity):
    """The report, and the samples of the rows that the caller has."""
    model, order = echo(engine), ORDERS[fault]
    after = None if fault == "none" else ORDERS["none"]
    source = Source(Memory(memory, one=when == "next"), order, identity, after)
    if when == "tracing":
        model.predict_function, Moment.act = None, source.end
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            options = labels_and_options(identity)
            with evalguard.guard(mlflow=False, on_failure="repair", on_unproven="record", **options) as g:
                rows = predicted(engine, kind, source, when)
            report = g.report
        except evalguard.MisalignmentError as error:
            report = error.report
            rows = rows if kind in LOOPS else error.predictions
    samples = {tuple(x * 2): sample for sample, x in enumerate(x_of(range(N)))}
    return report, [samples.get(tuple(row)) for row in np.asarray(rows)]


def only_after_use(kind, when):
    """Whether memory is overwritten only after the model has read it."""
    if kind in LOOPS:
        return when != "tracing"
    return when == "used" or (when == "end" and kind in {"dataset", "threads"})


@pytest.mark.slow
@pytest.mark.parametrize("memory", FAULTS_IN)
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize(("kind", "engine"), [(kind, engine) for kind, engines in KINDS.items() for engine in engines])
def test_what_is_overwritten_is_never_proven_unless_the_rows_are_right(kind, engine, when, memory):
    breaches = []
    for identity in IDENTITIES.get(kind, ALL_IDENTITIES)[memory != "aligned" :]:
        for fault in FAULTS_IN[memory]:
            report, rows = judged(engine, kind, when, memory, fault, identity)
            sound = report.verdict in {"PASS", "REPAIRED"}
            right = rows == list(range(N))
            if (sound and not right) or (fault == "none" and only_after_use(kind, when) and not (sound and right)):
                breaches.append((identity, fault, str(report.verdict), rows, [f.reason for f in report.findings]))
    assert not breaches, "\n".join(map(str, breaches))
