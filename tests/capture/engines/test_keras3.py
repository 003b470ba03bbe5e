"""What guarding must not change: pulls, bits, traces, other threads; and what it rests on in Keras."""

import threading
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import testing
from tests.capture.engines import patching

N, BATCH = 37, 8


def features(ids):
    return np.stack([np.sin(np.asarray(ids) * k + k) for k in range(1, 7)], axis=1).astype("float32")


X = features(range(N))
LABELS = np.arange(N) % 4


def functional(**compile_options):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(16, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    if compile_options:
        model.compile(**compile_options)
    return model


class CustomFunction(keras.Model):
    made = 0

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, x):
        return self.dense(x)

    def make_predict_function(self, force=False):
        self.made += 1
        self.predict_function = lambda data: self(keras.utils.unpack_x_y_sample_weight(data[0])[0], training=False)
        return self.predict_function


# Other kinds of model: test_model_kinds.py, each with one kind of source.
MODELS = {
    "functional": functional,
    "steps_per_execution": lambda: functional(steps_per_execution=3),
    "custom_make_predict_function": CustomFunction,
}


def batch(ids):
    return (features(ids),)


SOURCES = {
    "arrays": lambda: X,
    "tensor": lambda: tf.constant(X),
    "generator": lambda: testing.as_generator(testing.aligned_batches(N, BATCH), batch),
    "tagged-generator": lambda: testing.as_generator(testing.aligned_batches(N, BATCH), batch, with_index=True),
    "pydataset": lambda: testing.as_pydataset(testing.aligned_batches(N, BATCH), batch, with_index=True),
    "pydataset-4-threads": lambda: testing.as_pydataset(testing.aligned_batches(N, BATCH), batch, workers=4),
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices(X).batch(BATCH),
}


def guard(**options):
    return evalguard.guard(labels=LABELS, mlflow=False, on_unproven="record", **options)


def predict(model, source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return model.predict(
            source, batch_size=BATCH if isinstance(source, (np.ndarray, tf.Tensor)) else None, verbose=0
        )


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", MODELS)
def test_a_guarded_call_returns_the_same_bits_and_leaves_nothing_behind(kind, source):
    model = MODELS[kind]()
    bare = predict(model, SOURCES[source]())
    with guard(reference=X) as g:
        guarded = predict(model, SOURCES[source]())
    again = predict(model, SOURCES[source]())
    assert guarded.dtype == bare.dtype
    assert guarded.tobytes() == bare.tobytes() == again.tobytes()
    assert g.report.verdict is evalguard.Verdict.PASS
    assert "predict" not in vars(keras.Model)
    assert "make_predict_function" not in vars(model)
    assert not patching.active()


@pytest.mark.parametrize("order", ["bare-first", "guarded-first"])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", ["functional", "steps_per_execution"])
def test_guarding_causes_no_trace_that_an_unguarded_call_would_not(kind, source, order):
    traces = []

    class Counting(keras.layers.Layer):
        def call(self, x):
            traces.append(1)  # runs while tracing only
            return x

    inputs = keras.Input((6,))
    model = keras.Model(inputs, Counting()(inputs))
    if kind == "steps_per_execution":
        model.compile(steps_per_execution=3)
    if order == "bare-first":
        predict(model, SOURCES[source]())
        before = len(traces)
        with guard():
            predict(model, SOURCES[source]())
            predict(model, SOURCES[source]())
    else:
        with guard():
            predict(model, SOURCES[source]())
            before = len(traces)
            predict(model, SOURCES[source]())
        predict(model, SOURCES[source]())
    assert len(traces) == before


class LoggedGenerator:
    """Notes the thread and the order in which batches are asked for."""

    def __init__(self, batches):
        self.log = []
        self.source = self._stream(batches)

    def _stream(self, batches):
        for number, ids in enumerate(batches):
            self.log.append(number)
            yield batch(ids)
        self.log.append("end")


class LoggedDataset(keras.utils.PyDataset):
    def __init__(self, **options):
        super().__init__(**options)
        self.log = []
        self.batches = testing.aligned_batches(N, BATCH)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        self.log.append(index)
        return batch(self.batches[index])

    def on_epoch_begin(self):
        self.log.append("begin")

    def on_epoch_end(self):
        self.log.append("end")


def pulls(kind, guarded):
    model = functional()
    if kind == "generator":
        logged = LoggedGenerator(testing.aligned_batches(N, BATCH))
        source = logged.source
    elif kind == "arrays":
        return []
    elif kind == "tf.data":
        logged = LoggedGenerator([])
        logged.log = log = []

        def note(row):
            log.append(int(row[0] * 0))
            return row

        source = tf.data.Dataset.from_tensor_slices(X).map(lambda row: tf.numpy_function(note, [row], tf.float32))
        source = source.map(lambda row: tf.ensure_shape(row, (6,))).batch(BATCH)
    else:
        logged = LoggedDataset(workers=4 if kind == "pydataset-4-threads" else 1)
        source = logged
    if guarded:
        with guard(reference=X):
            predict(model, source)
    else:
        predict(model, source)
    return logged.log


@pytest.mark.parametrize("kind", ["generator", "pydataset", "tf.data"])
def test_the_source_is_asked_for_the_same_in_the_same_order(kind):
    assert pulls(kind, guarded=True) == pulls(kind, guarded=False)


def test_parallel_workers_are_asked_for_the_same_items():
    # Threads may swap neighbours, guarded or not; what is asked and how often is the same.
    def signature(log):
        return sorted(map(str, log))

    assert signature(pulls("pydataset-4-threads", True)) == signature(pulls("pydataset-4-threads", False))


def test_keras_still_asks_twice_for_the_first_two_items():
    """``probes/tagged_pydataset.py`` compares the two readings."""
    assert pulls("pydataset", guarded=False)[:2] == [0, 1]
    assert [item for item in pulls("pydataset", guarded=False) if item == 0] == [0, 0]


def test_keras_still_feeds_predict_function_a_list_of_batches():
    """``engines/keras3.py`` stands on this."""
    model = functional(steps_per_execution=2)
    model.make_predict_function()
    function, seen = model.predict_function, []

    def spy(data):
        seen.append(data)
        return function(data)

    model.predict_function = spy
    predict(model, tf.data.Dataset.from_tensor_slices(X).batch(BATCH))
    assert [len(data) for data in seen] == [2, 2, 1]
    assert all(isinstance(item, tf.Tensor) for data in seen for item in data)


@pytest.mark.parametrize("where", ["source", "model", "callback"])
def test_the_users_exception_comes_through_and_no_patch_stays(where):
    class BoomError(Exception):
        pass

    def broken():
        yield batch(range(BATCH))
        yield batch(range(BATCH))
        raise BoomError

    class BoomCallback(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            raise BoomError

    model = functional(run_eagerly=True)
    sink = testing.MemorySink()
    if where == "model":
        model.layers[1].call = None
    expected = {"source": Exception, "model": TypeError, "callback": BoomError}[where]
    with pytest.raises(expected), guard(sinks=(sink,)):
        if where == "source":
            model.predict(broken(), verbose=0)
        else:
            callbacks = [BoomCallback()] if where == "callback" else None
            model.predict(X, verbose=0, callbacks=callbacks)
    assert "predict" not in vars(keras.Model)
    assert "make_predict_function" not in vars(model)
    assert not patching.active()
    assert len(sink.errors) == 1
    assert not sink.reports


def test_other_threads_are_untouched():
    model = functional()
    bare, bare_part = predict(model, X), predict(model, X[:10])
    started, done, results = threading.Event(), threading.Event(), {}

    def outside():
        started.wait(20)
        results["outside"] = [predict(model, X[:10]) for _ in range(5)]
        done.set()

    thread = threading.Thread(target=outside)
    thread.start()
    with guard(reference=X) as g:
        started.set()
        inside = [predict(model, X) for _ in range(5)]
        assert done.wait(60)
    thread.join()
    assert len(g.reports) == 5, "the calls of the other thread must not be judged"
    assert all(report.verdict is evalguard.Verdict.PASS for report in g.reports)
    assert all(np.array_equal(result, bare) for result in inside)
    assert all(np.array_equal(result, bare_part) for result in results["outside"])


def test_two_threads_may_guard_one_model_at_the_same_time():
    model = functional()
    bare = {rows: predict(model, X[:rows]) for rows in (N, N - 5)}
    verdicts, barrier = [], threading.Barrier(2)

    def work(rows):
        barrier.wait(20)
        for _ in range(5):
            with evalguard.guard(labels=LABELS[:rows], reference=X[:rows], mlflow=False) as g:
                result = predict(model, X[:rows])
            verdicts.append((g.report.verdict.value, g.report.counts["n_labels"], np.array_equal(result, bare[rows])))

    threads = [threading.Thread(target=work, args=(rows,)) for rows in (N, N - 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(verdicts)) == [("PASS", N - 5, True), ("PASS", N, True)]
    assert len(verdicts) == 10
    assert "make_predict_function" not in vars(model)


def test_calls_made_inside_a_guarded_call_are_not_judged():
    helper, model = functional(), functional()

    class Nested(keras.callbacks.Callback):
        def on_predict_end(self, logs=None):
            helper.predict(X[:3], verbose=0)

    with guard() as g:
        model.predict(X, verbose=0, callbacks=[Nested()])
    assert len(g.reports) == 1


def test_only_the_named_model_is_guarded():
    model, other = functional(), functional()
    with guard(model=model) as g:
        other.predict(X[:5], verbose=0)
        model.predict(X, verbose=0)
    assert [report.counts["n_predictions"] for report in g.reports] == [N]


def test_the_model_is_fed_nothing_of_ours():
    seen = []

    class Spy(keras.Model):
        def call(self, x):
            seen.append(keras.tree.map_structure(lambda leaf: leaf.shape, x))
            return x["a"]

    model = Spy()
    model.compile(run_eagerly=True)
    with guard():
        model.predict({"a": X, "b": X}, verbose=0)
    assert all(set(shapes) == {"a", "b"} for shapes in seen)
