"""tf_keras: bits, pulls, traces, patches; and what the engine rests on in it."""

import gc
import inspect
import warnings
import weakref

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard import Verdict, testing
from tests.capture.engines import patching

N, BATCH = 37, 8
X = np.stack([np.sin(np.arange(N) * k + k) for k in range(1, 7)], axis=1).astype("float32")
Y = np.arange(N) % 3


def functional(**options):
    tf_keras.utils.set_random_seed(1)
    inputs = tf_keras.Input((6,))
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(3, activation="softmax")(inputs))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


class Subclassed(tf_keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = tf_keras.layers.Dense(3, activation="softmax")
        self.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    def call(self, x):
        return self.dense(x)


# Other kinds of model: test_model_kinds.py, each with one kind of source.
MODELS = {
    "functional": functional,
    "steps_per_execution": lambda: functional(steps_per_execution=3),
}


def batch(ids):
    return X[ids], Y[ids]


BATCHES = testing.aligned_batches(N, BATCH)
SOURCES = {
    "arrays": lambda: X,
    "generator": lambda: testing.as_generator(BATCHES, batch),
    "sequence": lambda: testing.as_sequence(BATCHES, batch, with_index=True),
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH),
}


def guard(**options):
    return evalguard.guard(labels=Y, mlflow=False, on_unproven="record", **options)


def run(model, method, source):
    sized: dict[str, object] = {"batch_size": BATCH} if isinstance(source, np.ndarray) else {}
    if inspect.isgenerator(source):
        sized = {"steps": len(BATCHES)}  # needed by tf_keras for steps_per_execution
    if method == "evaluate" and isinstance(source, np.ndarray):
        sized["y"] = Y
    return getattr(model, method)(source, verbose=0, **sized)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("method", ["predict", "evaluate"])
def test_a_guarded_call_returns_the_same_bits_and_leaves_nothing_behind(method, kind, source):
    model = MODELS[kind]()
    bare = run(model, method, SOURCES[source]())
    with guard(reference=X) as g:
        guarded = run(model, method, SOURCES[source]())
    again = run(model, method, SOURCES[source]())
    assert np.array_equal(bare, guarded)
    assert np.array_equal(bare, again)
    assert g.report.verdict is Verdict.PASS, g.report.not_proven
    assert g.report.proof == "identity"
    assert "make_predict_function" not in vars(model)
    assert not patching.active()
    assert tf_keras.Model.predict.__module__.startswith("tf_keras")


@pytest.mark.parametrize("source", ["generator", "sequence", "tf.data", "arrays"])
def test_guarded_calls_after_the_first_cause_no_trace(source):
    traces = []

    class Counting(tf_keras.layers.Layer):
        def call(self, x):
            traces.append(1)
            return x

    inputs = tf_keras.Input((6,))
    model = tf_keras.Model(inputs, Counting()(inputs))
    with guard():
        run(model, "predict", SOURCES[source]())
        before = len(traces)
        run(model, "predict", SOURCES[source]())
        run(model, "predict", SOURCES[source]())
    assert len(traces) == before


@pytest.mark.parametrize("kind", ["generator", "sequence"])
def test_the_source_is_asked_for_the_same_in_the_same_order(kind):
    def pulls(guarded):
        log = []

        def make(ids):
            log.append(int(ids[0]))
            return batch(ids)

        source = testing.as_generator(BATCHES, make) if kind == "generator" else testing.as_sequence(BATCHES, make)
        model = functional()
        if guarded:
            with guard(reference=X):
                model.predict(source, verbose=0)
        else:
            model.predict(source, verbose=0)
        return log

    assert pulls(guarded=True) == pulls(guarded=False)


@pytest.mark.parametrize("method", ["predict_generator", "evaluate_generator"])
def test_the_old_names_are_guarded(method):
    model = functional()
    with warnings.catch_warnings(), guard() as g:
        warnings.simplefilter("ignore")
        getattr(model, method)(SOURCES["generator"](), steps=len(BATCHES), max_queue_size=5)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")
    assert g.report.method == method.partition("_")[0]


def test_a_thread_safe_iterator_may_be_asked_by_several_threads():
    class Batches:
        def __init__(self):
            self.batches = iter(BATCHES)

        def __iter__(self):
            return self

        def __next__(self):
            return batch(next(self.batches))

    with guard(reference=X) as g:
        functional().predict(Batches(), verbose=0)
    assert g.report.verdict is Verdict.PASS


def test_a_forked_worker_neither_judges_nor_records_nor_speaks(tmp_path, capfd):
    class Telling(testing.MemorySink):
        def failed(self, error):
            (tmp_path / "failed").write_text(repr(error))

    def endless():
        while True:
            yield from map(batch, BATCHES)

    with guard(reference=X, sinks=(Telling(),), on_failure="record"):
        functional().predict(endless(), steps=len(BATCHES), workers=2, use_multiprocessing=True, verbose=0)
    assert not (tmp_path / "failed").exists()
    assert "Exception ignored" not in capfd.readouterr().err


@pytest.mark.skipif(
    tf_keras.__version__.startswith("2.16."), reason="tf_keras 2.16 keeps a model that was not guarded too"
)
def test_a_guarded_model_is_freed_as_any_other():
    model = functional()
    with guard(reference=X):
        model.predict(X, verbose=0)
    alive = weakref.ref(model)
    del model
    tf_keras.backend.clear_session()
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("where", ["source", "callback"])
def test_the_users_exception_comes_through_and_no_patch_stays(where):
    class BoomError(Exception):
        pass

    class Boom(tf_keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            raise BoomError

    def broken():
        yield batch(BATCHES[0])
        raise BoomError

    model, sink = functional(), testing.MemorySink()
    with pytest.raises(Exception, match="BoomError" if where == "source" else None), guard(sinks=(sink,)):
        if where == "source":
            model.predict(broken(), verbose=0)
        else:
            model.predict(X, verbose=0, callbacks=[Boom()])
    assert "make_predict_function" not in vars(model)
    assert not patching.active()
    assert len(sink.errors) == 1


def test_a_model_that_makes_its_own_function_is_unproven_and_unharmed():
    class Own(Subclassed):
        def make_predict_function(self, force=False):
            return super().make_predict_function(force)

    model = Own()
    bare = model.predict(X, batch_size=BATCH, verbose=0)
    with guard(reference=X) as g:
        guarded = model.predict(X, batch_size=BATCH, verbose=0)
    assert np.array_equal(bare, guarded)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "Own overrides make_predict_function" in " ".join(g.report.not_proven)


def test_tf_keras_still_pulls_inside_predict_function():
    """``engines/tf_keras.py`` stands on this."""
    model, seen = functional(), []
    function = model.make_predict_function()

    def spy(iterator):
        seen.append(type(iterator).__name__)
        return function(iterator)

    model.predict_function = spy
    model.predict(tf.data.Dataset.from_tensor_slices(X).batch(BATCH), verbose=0)
    assert set(seen) == {"OwnedIterator"}


def test_what_tf_keras_refuses_is_refused_in_its_words():
    def outcome():
        try:
            functional().predict(iter([(0, 0, 0, 0)] * 3), verbose=0)
        except ValueError as error:
            return str(error)

    bare = outcome()
    assert bare is not None
    with guard():
        assert outcome() == bare


def test_what_only_tf_keras_takes_for_an_array_is_judged_by_its_content():
    class Rows:
        shape, dtype = X.shape, X.dtype

        def __len__(self):
            return N

        def __getitem__(self, rows):
            return X[rows]

    model = functional()
    with guard(reference=X) as g:
        model.predict(Rows(), verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    with guard(reference=X[::-1], on_failure="record") as g:
        model.predict(Rows(), verbose=0)
    assert g.report.verdict is Verdict.FAIL
