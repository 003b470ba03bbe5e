"""``model(x)`` inside a guard: the loop over batches is one session; calls by other code do not count."""

import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard import Verdict, testing
from tests.capture.engines import patching

N, BATCH = 37, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N + 20, 6)).astype("float32")
Y = RNG.integers(0, 3, size=N + 20)
ENGINES = {"keras3": keras, "tf_keras": tf_keras}


def make_model(kit, inner=None):
    kit.utils.set_random_seed(1)
    inputs = kit.Input((6,))
    model = kit.Model(inputs, kit.layers.Dense(3, activation="softmax")(inputs if inner is None else inner(inputs)))
    model.compile(loss="sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    kit = ENGINES[request.param]
    return SimpleNamespace(kit=kit, model=make_model(kit))


def guard(**options):
    given = {"labels": Y[:N], "reference": X[:N], "mlflow": False, "on_failure": "record", "on_unproven": "record"}
    return evalguard.guard(**{**given, **options})


def stream(batches):
    return testing.as_tf_dataset(batches, lambda ids: (X[ids], Y[ids]))


ALIGNED = testing.aligned_batches(N, BATCH)
WAYS = {
    "tensor": lambda model, x: model(x),
    "numpy": lambda model, x: model(x.numpy()),
    "not-training": lambda model, x: model(x, training=False),
    "by-name": lambda model, x: model(inputs=x),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_loop_of_calls_is_one_session_and_gives_the_same_bits(engine, way):
    model, call = engine.model, WAYS[way]
    bare = [call(model, x).numpy() for x, _ in stream(ALIGNED)]
    with guard() as g:
        seen = [call(model, x).numpy() for x, _ in stream(ALIGNED)]
    assert all(np.array_equal(a, b) for a, b in zip(bare, seen, strict=True))
    assert [(report.verdict, report.proof) for report in g.reports] == [(Verdict.PASS, "identity")]
    assert g.report.calls == tuple(len(ids) for ids in ALIGNED)
    assert not patching.active()
    assert "__call__" not in vars(keras.Model)
    assert tf_keras.Model.__call__.__module__.startswith("tf_keras")


@pytest.mark.parametrize("fault", list(testing.FAULTS))
def test_every_fault_of_the_stream_is_found(engine, fault):
    batches = testing.faulty_batches(fault, n=N, batch_size=BATCH)
    delivered = np.concatenate(batches)
    with guard(scope="session") as g:
        for x, _ in stream(batches):
            engine.model(x)
    assert g.report.verdict is Verdict.FAIL
    inside = delivered[delivered < N]
    assert g.report.counts["missing"] == N - len(np.unique(inside))
    assert g.report.counts["foreign"] == np.count_nonzero(delivered >= N)
    assert g.report.counts["misaligned"] == np.count_nonzero(delivered != np.arange(len(delivered)))


def test_without_a_reference_nothing_is_proven(engine):
    with guard(reference=None) as g:
        for x, _ in stream(testing.faulty_batches("shuffled", n=N, batch_size=BATCH)):
            engine.model(x)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "reference=" in g.report.advice


def test_a_key_is_taken_out_of_x_where_the_guard_is_asked_to(engine):
    kit = engine.kit
    inputs = {"a": kit.Input((6,), name="a")}
    model = kit.Model(inputs, kit.layers.Dense(1)(inputs["a"]))
    names = np.array([f"row-{number}" for number in range(N)])
    labels = evalguard.Labels(values=Y[:N], keys=names)
    for order, verdict in ((np.arange(N), Verdict.PASS), (np.arange(N)[::-1], Verdict.FAIL)):
        with guard(labels=labels, reference=None, key="id", drop_key=True, scope="session") as g:
            for ids in np.array_split(order, 5):
                model({"a": X[ids], "id": names[ids]})
        assert (g.report.verdict, g.report.proof) == (verdict, "identity")


def not_own(engine):
    """Calls that are no evaluation by the caller, by name; each would be a foreign row if it were judged."""
    kit, model, tf_x = engine.kit, engine.model, tf.constant(X[N : N + 4])

    def taped():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(tf_x))
        tape.gradient(loss, model.trainable_variables)

    def traced():
        tf.function(lambda x: model(x))(tf_x)

    def eager_fit():
        other = make_model(kit)
        other.compile(loss="sparse_categorical_crossentropy", run_eagerly=True)
        other.fit(X[:8], Y[:8], validation_data=(X[:8], Y[:8]), verbose=0)
        other.train_on_batch(X[:8], Y[:8])

    class Wrapping(kit.layers.Layer):  # type: ignore[name-defined]
        def call(self, x):
            return model(x)

    return {
        "inside-a-layer": lambda: Wrapping()(tf_x),
        "training": lambda: model(tf_x, training=True),
        "tape": taped,
        "tf.function": traced,
        "functional": lambda: make_model(kit, inner=model),
        "symbolic": lambda: model(kit.Input((6,))),
        "dataset-map": lambda: list(tf.data.Dataset.from_tensor_slices(X).batch(9).map(model)),
        "fit": eager_fit,
        "clone": lambda: kit.models.clone_model(model),
    }


@pytest.mark.parametrize("kind", list(not_own(SimpleNamespace(kit=keras, model=None))))
def test_a_call_that_is_not_the_callers_evaluation_is_not_judged(engine, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with guard() as g:
            for number, (x, _) in enumerate(stream(ALIGNED)):
                engine.model(x)
                if number == 1:
                    not_own(engine)[kind]()
    assert [report.verdict for report in g.reports] == [Verdict.PASS], g.report.headline


def test_a_model_inside_another_is_part_of_it(engine):
    kit = engine.kit

    class Outer(kit.Model):  # type: ignore[name-defined]
        def __init__(self):
            super().__init__()
            self.inner = engine.model

        def call(self, x):
            return self.inner(x * 2.0) + self.inner(x)

    outer = Outer()
    with guard() as g:
        for x, _ in stream(ALIGNED):
            outer(x)
    assert [(report.verdict, report.calls) for report in g.reports] == [
        (Verdict.PASS, tuple(len(ids) for ids in ALIGNED))
    ]
    outer.compile(loss="mse", run_eagerly=True)
    with guard() as g:
        outer.predict(X[:N], batch_size=BATCH, verbose=0)
    assert [(report.verdict, report.method) for report in g.reports] == [(Verdict.PASS, "predict")]


def test_two_models_in_one_loop_are_two_sessions(engine):
    models = [make_model(engine.kit), make_model(engine.kit)]
    with guard() as g:
        for x, _ in stream(ALIGNED):
            sum(model(x) for model in models)
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.PASS]
    with guard() as g:
        for x, _ in stream(ALIGNED):
            sum(model.predict_on_batch(x) for model in models)
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.PASS]


def test_a_call_that_builds_or_warms_up_a_model_is_not_the_evaluation(engine):
    kit = engine.kit
    with guard() as g:
        model = kit.Sequential([kit.layers.Dense(2)])
        model(np.zeros((1, 6), "float32"))
        for x, _ in stream(ALIGNED):
            model(x)
    assert [report.verdict for report in g.reports] == [Verdict.PASS]
    with guard() as g:
        engine.model(X[:2])
        engine.model.predict(X[:N], verbose=0)
    assert [(report.verdict, report.method) for report in g.reports] == [(Verdict.PASS, "predict")]


def test_a_repeated_first_batch_is_no_warm_up(engine):
    with guard() as g:
        for ids in [ALIGNED[0], *ALIGNED]:
            engine.model(X[ids])
    assert g.report.verdict is Verdict.FAIL
    assert g.report.counts["duplicate"] == BATCH


def test_a_wrapped_model_is_called_unguarded(engine):
    guarded = evalguard.wrap(engine.model, labels=Y[:N], reference=X[:N], mlflow=False)
    assert np.array_equal(guarded(X[:3]), engine.model(X[:3]))
    assert guarded.guard.reports == ()


def test_calls_outside_a_guard_and_in_other_threads_are_untouched(engine):
    import threading

    with guard() as g:
        thread = threading.Thread(target=lambda: engine.model(X[N:]))
        thread.start()
        thread.join()
        for x, _ in stream(ALIGNED):
            engine.model(x)
    engine.model(X[N:])
    assert [report.verdict for report in g.reports] == [Verdict.PASS]


def test_tracing_a_call_inside_a_guard_gives_a_function_that_works_outside_it(engine):
    with guard(model=engine.model) as g:
        step = tf.function(lambda x: engine.model(x, training=False))
        inside = step(X[:4])
    assert np.array_equal(inside, step(X[:4]))
    assert "no guarded call was observed" in g.report.not_proven[0]
    assert step.experimental_get_tracing_count() == 1


def test_tensorflow_still_says_whether_a_tape_records():
    from tensorflow.python.eager import record

    assert not record.could_possibly_record()
    with tf.GradientTape():
        assert record.could_possibly_record()
