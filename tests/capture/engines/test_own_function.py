"""The model's own function computes, with its state; where it keeps none, a copy of its graph does."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard.capture.engines.own_function import BEFORE_A_COPY, MAX_WAYS, WAYS, own_function, without_pull

X = np.random.default_rng(0).normal(size=(37, 6)).astype("float32")
Y = np.arange(37) % 3


class Noise(tf_keras.layers.Layer):
    def call(self, x):
        return x + tf.random.normal(tf.shape(x))


def built(*layers, **options):
    tf_keras.utils.set_random_seed(1)
    inputs = tf_keras.Input((6,))
    outputs = inputs
    for layer in layers or (tf_keras.layers.Dense(3),):
        outputs = layer(outputs)
    model = tf_keras.Model(inputs, outputs)
    model.compile(loss="mse", **options)
    return model


def guard():
    return evalguard.guard(labels=Y, reference=X, mlflow=False, on_failure="record", on_unproven="record")


def function_of(model, what="predict"):
    getattr(model, f"make_{what}_function")()
    return getattr(model, f"{what}_function")


def dataset(*parts, size=8):
    return tf.data.Dataset.from_tensor_slices(parts or (X,)).batch(size)


def own(function, data):
    return own_function(function, data.element_spec)


def copies_of(function):
    return [way for way in getattr(function, WAYS, {}).values() if way._copy is not None]  # noqa: SLF001 - no one else asks


CALLS = {
    "predict": lambda model: model.predict(X, batch_size=8, verbose=0),
    "evaluate": lambda model: model.evaluate(X, np.zeros((37, 6)), batch_size=8, verbose=0),
    "predict_on_batch": lambda model: model.predict_on_batch(X[:5]),
    "dataset": lambda model: model.predict(dataset(), verbose=0),
}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}, {"steps_per_execution": 5}], ids=str)
def test_random_numbers_are_those_of_a_bare_call_before_within_and_after_a_guard(method, options):
    if "steps_per_execution" in options and method == "predict_on_batch":
        method = "predict"  # tf_keras pulls five batches from an iterator of one, and fails

    def draws(guarded):
        model = built(tf_keras.layers.Dropout(0.5), Noise(), **options)
        results = [CALLS[method](model)]
        if guarded:
            with guard():
                results.append(CALLS[method](model))
        else:
            results.append(CALLS[method](model))
        return [*results, CALLS[method](model), tf.random.normal((3,)).numpy(), np.random.rand()]  # noqa: NPY002

    for bare, guarded in zip(draws(guarded=False), draws(guarded=True), strict=True):
        assert np.array_equal(bare, guarded)


def test_a_number_drawn_while_the_function_is_traced_stays_the_same():
    class Drawing(tf_keras.layers.Layer):
        def call(self, x):
            return x * np.random.rand()  # noqa: NPY002

    model = built(Drawing())
    bare = model.predict(X, verbose=0)
    with guard():
        assert np.array_equal(model.predict(X, verbose=0), bare)


@pytest.mark.parametrize("what", ["predict", "test"])
def test_a_copy_computes_the_same_bits_and_updates_the_same_variables(what):
    model = built(tf_keras.layers.BatchNormalization(), tf_keras.layers.Dense(3), metrics=["mae"])
    function = function_of(model, what)
    data = iter(dataset(X, np.zeros((37, 3), "float32")))
    run = own(function, data)
    counter = getattr(model, f"_{what}_counter")
    outputs = [run([next(data)]) for _ in range(BEFORE_A_COPY)]
    assert len(copies_of(function)) == 1
    outputs += [run([batch]) for batch in data]
    assert int(counter) == 5
    if what == "predict":
        assert np.array_equal(np.concatenate(outputs), model.predict(X, batch_size=8, verbose=0))
    else:
        again = model.evaluate(X, np.zeros((37, 3)), batch_size=8, verbose=0)
        assert [float(outputs[-1][name]) for name in ("loss", "mae")] == again


def test_batches_of_many_sizes_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr("evalguard.capture.engines.own_function.MAX_WAYS", 4)
    model = built()
    with guard():
        for size in range(1, 12):
            assert model.predict_on_batch(X[:size]).shape == (size, 3)
    assert len(getattr(model.predict_function, WAYS)) <= 4 < MAX_WAYS


def test_each_specification_runs_the_trace_that_tensorflow_chooses_for_it():
    scale = [1.0]

    class Traced(tf_keras.layers.Layer):
        def call(self, x):
            return x * scale[0]

    def outcomes(guarded):
        model, scale[0] = built(Traced()), 1.0
        found = []
        for size in (6, 3, 6, 6, 6, 3, 6):
            call = partial(model.predict_on_batch, np.ones((size, 6), "float32"))
            if guarded:
                with guard():
                    found.append(float(call()[0, 0]))
            else:
                found.append(float(call()[0, 0]))
            scale[0] += 1
        return found

    assert outcomes(guarded=True) == outcomes(guarded=False)


def test_calls_leave_nothing_behind_in_a_model_that_draws():
    model = built(Noise())
    with guard():
        model.predict(X, verbose=0)
        ways = dict(getattr(model.predict_function, WAYS))
        iterators = [way._iterator for way in ways.values()]  # noqa: SLF001 - no one else asks
        model.predict(X, verbose=0)
    assert getattr(model.predict_function, WAYS) == ways
    assert [way._iterator for way in ways.values()] == iterators  # noqa: SLF001


def test_models_that_are_traced_once_each_cause_no_warning_of_retracing(caplog):
    # TensorFlow counts the calls of all models together: what was traced before is forgotten after ten calls.
    built().predict(X, batch_size=1, verbose=0)
    caplog.clear()
    for _ in range(6):
        with guard():
            built().predict(X, batch_size=4, verbose=0)
    assert "retracing" not in caplog.text


# TensorFlow says that datasets are not run eagerly.
@pytest.mark.filterwarnings("ignore:Even though the")
def test_functions_that_run_eagerly_run_as_they_are():
    tf.config.run_functions_eagerly(True)
    try:
        calls = []

        class Counting(tf_keras.layers.Layer):
            def call(self, x):
                calls.append(1)
                return x

        model = built(Counting())
        calls.clear()
        model.predict(X, batch_size=8, verbose=0)
        bare = len(calls)
        with guard():
            model.predict(X, batch_size=8, verbose=0)
        assert len(calls) == 2 * bare
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize(
    "layers",
    [(Noise(),), (tf_keras.layers.Lambda(lambda x: tf.numpy_function(lambda a: a, [x], tf.float32)),)],
    ids=["random", "python"],
)
def test_a_function_that_keeps_state_is_not_copied(layers):
    model = built(*layers)
    function = function_of(model)
    data = iter(dataset())
    run = own(function, data)
    assert [len(run([batch])) for batch in data] == [8, 8, 8, 8, 5]
    assert not copies_of(function)


def test_a_function_that_pulls_twice_is_not_copied():
    def twice(iterator):
        return next(iterator)[0] + next(iterator)[0]

    data = dataset()
    assert without_pull(tf.function(twice).get_concrete_function(iter(data)), data.element_spec) is None


def test_ragged_rows_are_fed_to_the_function_itself():
    rows = tf.ragged.constant([[1.0], [2.0, 3.0], [4.0], [5.0, 6.0, 7.0]])
    data = iter(tf.data.Dataset.from_tensor_slices(rows).batch(2))
    function = tf.function(lambda iterator: tf.reduce_sum(next(iterator), axis=1))
    run = own(function, data)
    assert [value for batch in data for value in run([batch]).numpy()] == [1, 5, 4, 18]
    assert not copies_of(function)


def test_several_batches_of_one_execution_are_fed_in_order():
    model = built(steps_per_execution=3)
    bare = model.predict(X, batch_size=8, verbose=0)
    with guard() as g:
        assert np.array_equal(model.predict(X, batch_size=8, verbose=0), bare)
    assert g.report.verdict is evalguard.Verdict.PASS


def test_a_callable_put_in_the_place_of_the_function_is_the_one_that_computes():
    model = built()
    function = function_of(model)
    model.predict_function = lambda iterator: 2 * function(iterator)
    bare = model.predict(X, verbose=0)
    with guard():
        assert np.array_equal(model.predict(X, verbose=0), bare)


def test_a_source_that_ends_is_asked_once_more_as_without_a_guard():
    def draws(guarded):
        model, found = built(Noise()), []
        for number in range(3):
            source = (X[start : start + 10] for start in range(0, 30, 10))
            if guarded and number == 1:
                with guard():
                    found.append(model.predict(source, verbose=0))
            else:
                found.append(model.predict(source, verbose=0))
        return found

    assert all(map(np.array_equal, draws(guarded=True), draws(guarded=False)))
