"""A batch computed again: models that move rows are found, those that cannot be tested named, nothing is changed."""

import random
from contextlib import nullcontext

import keras as keras3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard.capture import verify_model
from evalguard.capture.verify_model import ModelTest
from evalguard.core.findings import Status

N, BATCH = 40, 16
X = np.random.default_rng(1).normal(size=(N, 4)).astype("float32")
Y = np.arange(N) % 3
PERMUTATION = np.random.default_rng(2).permutation(BATCH)


@pytest.fixture(params=[keras3, tf_keras], ids=["keras3", "tf_keras"])
def keras(request):
    return request.param


def of_batch(keras, function):
    """A layer that computes a function of the whole batch."""

    def call(self, x):
        return function(x)

    return type("OfBatch", (keras.layers.Layer,), {"call": call})()


def layered(keras, function, *, before=2, **compiled):
    """Dense, and a function of the batch behind it."""

    keras.utils.set_random_seed(3)
    x = keras.Input((4,))
    model = keras.Model(x, of_batch(keras, function)(keras.layers.Dense(before)(x) if before else x))
    if compiled:
        model.compile(**compiled)
    return model


def stepping(keras, function):
    """A model whose ``predict_step`` does more."""

    def predict_step(self, data):
        return function(keras.Model.predict_step(self, data))

    keras.utils.set_random_seed(3)
    x = keras.Input((4,))
    return type("Stepping", (keras.Model,), {"predict_step": predict_step})(x, keras.layers.Dense(2)(x))


def always_training(keras, layer):
    """The layer as in training, also when it predicts."""

    def call(self, x):
        return layer(x, training=True)

    return type("Always", (keras.layers.Layer,), {"call": call, "build": lambda self, shape: layer.build(shape)})()


def judged(model, x=X, n=N, method="predict", **options):
    """The report of a call, and its predictions; the inputs have a position in an array."""
    options = {"labels": Y[:n], "on_failure": "record", "on_unproven": "record", "mlflow": False} | options
    with evalguard.guard(verify_model=True, **options) as g:
        predicted = model.predict(x, batch_size=BATCH, verbose=0) if method == "predict" else method(model, x)
    return g.report, predicted


def computed(report):
    return next(link for link in report.chain if link.link == "computed")


def assert_moved(report):
    assert report.verdict is evalguard.Verdict.FAIL
    assert [finding.reason for finding in report.findings] == ["rows_moved_in_model"]
    assert computed(report).status is Status.BROKEN
    assert report.diagnosis[0].cause == "the model moves rows between its input and its output"
    assert report.diagnosis[0].certain


def assert_untestable(report, why=""):
    assert report.verdict is evalguard.Verdict.PASS
    link = computed(report)
    assert link.status is Status.DECLARED
    assert f"(untestable: {why}" in link.basis


# -- Models that move rows, and those that do not ---------------------------------------------------------------------


MOVING = {
    "reversed": lambda y: y[::-1],
    "sorted": lambda y: tf.sort(y, axis=0),
    "sorted by rows": lambda y: tf.gather(y, tf.argsort(y[:, 0])),
    "rolled": lambda y: tf.roll(y, 1, axis=0),
    "shifted": lambda y: tf.concat([tf.zeros_like(y[:1]), y[:-1]], axis=0),
    "two swapped": lambda y: tf.concat([y[1:2], y[:1], y[2:]], axis=0),
    "classes reversed": lambda y: tf.argmax(y, axis=1)[::-1],
}


KINDS = ["reversed", "sorted", "sorted by rows", "rolled", "shifted", "two swapped"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_moves_rows_is_found(keras, kind):
    report, _ = judged(layered(keras, MOVING[kind]))
    assert_moved(report)


@pytest.mark.parametrize("kind", KINDS)
def test_a_predict_step_that_moves_rows_is_found(keras, kind):
    report, _ = judged(stepping(keras, MOVING[kind]))
    assert_moved(report)


def test_a_fixed_permutation_of_whole_batches_is_found(keras):
    model = layered(keras, lambda y: tf.gather(y, PERMUTATION))
    report, _ = judged(model, X[:32], n=32)
    assert_moved(report)


@pytest.mark.parametrize("classes", [2, 10])
def test_classes_that_are_reversed_are_found(keras, classes):
    assert_moved(judged(layered(keras, MOVING["classes reversed"], before=classes))[0])


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("kind", ["reversed", "rolled", "two swapped"])
def test_small_batches_show_it_too(rows, kind):
    report, _ = judged(layered(keras3, MOVING[kind]), X[:rows], n=rows)
    assert_moved(report)


def test_a_model_that_computes_row_by_row_is_proven(keras):
    report, predicted = judged(layered(keras, lambda y: y))
    assert report.verdict is evalguard.Verdict.PASS
    assert computed(report).status is Status.PROVEN
    assert "computed again" in computed(report).basis
    assert predicted.shape == (N, 2)


@pytest.mark.parametrize("compiled", [{"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 2}, {}])
def test_however_it_is_compiled(keras, compiled):
    assert computed(judged(layered(keras, lambda y: y, **compiled))[0]).status is Status.PROVEN
    assert_moved(judged(layered(keras, lambda y: y[::-1], **compiled))[0])


def test_without_the_option_it_is_declared_and_nothing_is_kept(keras, monkeypatch):
    monkeypatch.setattr(ModelTest, "__init__", None)
    model = layered(keras, lambda y: y[::-1])
    with evalguard.guard(labels=Y, mlflow=False) as g:
        model.predict(X, batch_size=BATCH, verbose=0)
    assert computed(g.report).status is Status.DECLARED
    assert "untestable" not in computed(g.report).basis


def test_one_of_two_outputs_that_is_reversed_is_found(keras):
    x = keras.Input((4,))
    y = keras.layers.Dense(2)(x)
    labels = {"labels": {"a": Y, "b": Y}}
    assert_moved(judged(keras.Model(x, {"a": y, "b": of_batch(keras, MOVING["reversed"])(y)}), **labels)[0])
    assert_moved(judged(keras.Model(x, [of_batch(keras, MOVING["reversed"])(y), y]), labels=[Y, Y])[0])
    assert computed(judged(keras.Model(x, [y, keras.layers.Dense(1)(x)]), labels=[Y, Y])[0]).status is Status.PROVEN


def test_inputs_in_a_dict_with_targets(keras):
    a, b = keras.Input((4,), name="a"), keras.Input((1,), name="b")
    model = keras.Model({"a": a, "b": b}, keras.layers.Dense(2)(a) + b)
    report, _ = judged(model, {"a": X, "b": X[:, :1]})
    assert computed(report).status is Status.PROVEN


def test_batches_of_a_dataset_with_targets_and_weights(keras):
    data = tf.data.Dataset.from_tensor_slices((X, Y, np.ones(N, "float32"))).batch(BATCH)
    with evalguard.guard(labels=Y, verify_model=True, duplicate_inputs="allow", mlflow=False) as g:
        layered(keras, lambda y: y).predict(data, verbose=0)
    assert computed(g.report).status is Status.PROVEN


def test_text_and_ragged_inputs():
    words = tf.constant([f"word {number}" for number in range(N)])

    class Length(keras3.Model):
        def predict_step(self, data):
            return tf.strings.to_number(tf.strings.substr(data, 5, 4))

    data = tf.data.Dataset.from_tensor_slices(words).batch(BATCH)
    with evalguard.guard(labels=Y, reference=words.numpy(), verify_model=True, mlflow=False) as g:
        Length().predict(data, verbose=0)
    assert computed(g.report).status is Status.PROVEN

    class Sum(keras3.Model):
        def predict_step(self, data):
            return tf.reduce_sum(data, axis=1)[::-1]

    ragged = tf.RaggedTensor.from_row_lengths(tf.range(N * (N + 1) // 2, dtype=tf.float32), range(1, N + 1))
    data = tf.data.Dataset.from_tensor_slices(ragged).batch(BATCH)
    with evalguard.guard(labels=Y, require="count", verify_model=True, on_failure="record", mlflow=False) as g:
        Sum().predict(data, verbose=0)
    assert_moved(g.report)


# -- What cannot be tested --------------------------------------------------------------------------------------------


def test_batch_dependent_models_are_untestable(keras):
    def attention(y):
        return tf.matmul(tf.nn.softmax(tf.matmul(y, y, transpose_b=True)), y)

    assert_untestable(judged(layered(keras, attention))[0], "computed again in parts")
    assert_untestable(judged(layered(keras, lambda y: y - tf.reduce_mean(y, axis=0)))[0], "computed again in parts")
    assert_untestable(judged(layered(keras, lambda y: tf.cumsum(y, axis=0)))[0], "computed again in another order")


@pytest.mark.parametrize("classes", [2, 10])
def test_classes_that_depend_on_the_batch_are_untestable(keras, classes):
    def ranks(y):
        return tf.argmax(y / tf.reduce_max(tf.abs(y), axis=0) + tf.reduce_sum(y, axis=0), axis=1)

    x = np.random.default_rng(5).normal(size=(4000, 4)).astype("float32")
    with evalguard.guard(labels=np.arange(4000), verify_model=True, mlflow=False) as g:
        layered(keras, ranks, before=classes).predict(x, batch_size=1024, verbose=0)
    assert_untestable(g.report)


@pytest.mark.parametrize("kind", ["BatchNormalization", "Dropout", "GaussianNoise"])
def test_state_and_randomness_are_recognised_before_anything_is_computed(keras, kind):
    layer = {
        "BatchNormalization": lambda: keras.layers.BatchNormalization(),
        "Dropout": lambda: keras.layers.Dropout(0.5),
        "GaussianNoise": lambda: keras.layers.GaussianNoise(0.5),
    }[kind]()
    x = keras.Input((4,))
    y = keras.layers.Dense(8)(x)
    in_training = keras.Model(x, always_training(keras, layer)(y))
    assert_untestable(judged(in_training)[0], "the model keeps state, draws random numbers or")
    assert computed(judged(keras.Model(x, layer(y)))[0]).status is Status.PROVEN


def test_random_operations_and_python_code_are_recognised(keras):
    generator = tf.random.Generator.from_seed(1)
    for function in (
        lambda y: y + tf.random.normal(tf.shape(y)),
        lambda y: y + generator.normal(tf.shape(y)),
        tf.random.shuffle,
        lambda y: tf.numpy_function(lambda rows: rows, [y], tf.float32),
        lambda y: tf.cond(tf.reduce_sum(y) > 0, lambda: y + tf.random.uniform(tf.shape(y)), lambda: y),
    ):
        assert_untestable(judged(stepping(keras, function))[0], "the model keeps state, draws random numbers or")


def test_a_stateless_draw_is_the_same_each_time(keras):
    report, _ = judged(stepping(keras, lambda y: y + tf.random.stateless_normal((1, 2), seed=(1, 2))))
    assert computed(report).status is Status.PROVEN


def test_equal_outputs_prove_nothing(keras):
    assert_untestable(judged(layered(keras, lambda y: 0 * y[::-1]))[0], "all rows of an output are equal")
    assert_untestable(judged(layered(keras, lambda y: y), np.ones((N, 4), "float32"))[0], "all rows of an output")


def test_batches_of_one_row_prove_nothing(keras):
    model = layered(keras, lambda y: y)
    with evalguard.guard(labels=Y[:5], verify_model=True, mlflow=False) as g:
        model.predict(X[:5], batch_size=1, verbose=0)
    assert_untestable(g.report, "no batch has more than one row")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("reverse", [False, True])
def test_half_precision_is_never_taken_for_rows_that_moved(keras, policy, reverse):
    before = keras.mixed_precision.global_policy() if keras is tf_keras else keras.config.dtype_policy()
    setter = keras.mixed_precision.set_global_policy
    setter(policy)
    try:
        keras.utils.set_random_seed(3)
        x = keras.Input((64,))
        y = keras.layers.Dense(1)(keras.layers.Dense(64, activation="relu")(x))

        model = keras.Model(x, of_batch(keras, lambda y: y[::-1] if reverse else y)(y))
    finally:
        setter(before)
    inputs = np.random.default_rng(1).normal(size=(2000, 64)).astype("float32")
    with evalguard.guard(labels=np.arange(2000), verify_model=True, on_failure="record", mlflow=False) as g:
        model.predict(inputs, batch_size=1000, verbose=0)
    assert (g.report.verdict is evalguard.Verdict.FAIL) == reverse


def test_a_batch_that_is_split_over_replicas_is_not_tested(monkeypatch):
    monkeypatch.setattr(verify_model, "local_batches", lambda batch: [batch, batch])
    assert_untestable(judged(layered(keras3, lambda y: y))[0], "each batch is split over several replicas")


def test_evaluate_has_no_rows(keras):
    model = layered(keras, lambda y: y)
    model.compile(loss="mse")
    with evalguard.guard(labels=X[:, :2], verify_model=True, mlflow=False) as g:
        model.evaluate(X, X[:, :2], verbose=0)
    assert_untestable(g.report, "evaluate returns metrics, not rows")


# -- What stays as it was ---------------------------------------------------------------------------------------------


def draws():
    """What user code draws from the global generators of Python and NumPy."""
    return random.random(), np.random.random()  # noqa: NPY002, S311


def test_predictions_the_model_and_the_next_draws_stay_as_they_were(keras):
    def run(guard):
        keras.utils.set_random_seed(7)
        x = keras.Input((4,))
        y = keras.layers.Dense(3)(x)
        noisy = [keras.Model(x, always_training(keras, layer)(y)) for layer in (
            keras.layers.Dropout(0.5), keras.layers.BatchNormalization()
        )]  # fmt: skip
        found = []
        for model in (keras.Model(x, y), *noisy):
            for inside in (nullcontext, guard, nullcontext):
                with inside():
                    found += [
                        model.predict(X, batch_size=BATCH, verbose=0),
                        np.asarray([*draws(), float(tf.random.uniform(()))]),
                    ]
            found += [np.asarray(variable) for variable in model.variables]
        return [part.tobytes() for part in found]

    def guarded(**options):
        return run(lambda: evalguard.guard(labels=Y, mlflow=False, **options))

    tested = guarded(verify_model=True)
    assert tested == guarded()
    if keras is keras3:  # a guard runs the step of tf_keras in another function, with another seed
        assert tested == run(nullcontext)


def test_the_model_keeps_its_function_and_its_traces(keras):
    model = layered(keras, lambda y: y)
    model.predict(X, batch_size=BATCH, verbose=0)
    model.predict(X[:8], batch_size=8, verbose=0)
    function = model.predict_function
    traced = function.experimental_get_tracing_count()
    judged(model)
    assert model.predict_function is function
    assert function.experimental_get_tracing_count() == traced


@pytest.mark.parametrize("compiled", [{}, {"jit_compile": True}])
def test_later_calls_with_batches_of_another_size_give_the_same_bits(keras, compiled):
    def run(verify):
        model = layered(keras, lambda y: y, **compiled)
        with evalguard.guard(labels=Y, verify_model=verify, mlflow=False):
            model.predict(X, batch_size=BATCH, verbose=0)
        return [model.predict(X[:7], batch_size=size, verbose=0).tobytes() for size in (7, 3, 8)]

    assert run(verify=True) == run(verify=False)


def test_python_code_that_draws_while_it_is_traced_takes_nothing_from_the_caller():
    model = stepping(keras3, lambda y: y + sum(draws()))
    model.predict(X, batch_size=BATCH, verbose=0)
    keras3.utils.set_random_seed(1)
    report, _ = judged(model)
    drawn = draws()
    keras3.utils.set_random_seed(1)
    assert drawn == draws()
    assert_untestable(report, "computed again")


def test_a_batch_that_cannot_be_computed_again_costs_nothing():
    calls = []

    def once(y):
        calls.append(1)
        if len(calls) > 1:
            message = "not again"
            raise RuntimeError(message)
        return y

    report, predicted = judged(stepping(keras3, once), X[:BATCH], n=BATCH)
    assert_untestable(report, "the batch could not be computed again: RuntimeError: ")
    assert predicted.shape == (BATCH, 2)


def test_a_buffer_that_the_source_fills_again_is_not_the_batch():
    model = layered(keras3, lambda y: y)

    def batches():
        buffer = np.empty((20, 4), "float32")
        for start in range(0, N, 20):
            buffer[:] = X[start : start + 20]
            yield (buffer,)

    with evalguard.guard(labels=Y, require="count", verify_model=True, on_failure="record", mlflow=False) as g:
        model.predict(batches(), steps=2, verbose=0)
    assert "rows_moved_in_model" not in [finding.reason for finding in g.report.findings]


# -- Several calls ----------------------------------------------------------------------------------------------------


def test_a_window_that_moves_on_in_one_buffer_is_not_a_model_that_moves_rows():
    """What is kept of the batch is the next window: each row is there, one place further."""
    model, test = layered(keras3, lambda y: y), ModelTest()
    model.predict(X, batch_size=BATCH, verbose=0)
    test.keep([X[1:17]], model.predict(X[:16], verbose=0))
    result = test.run(lambda: model.predict_step)
    assert result.moved == 0
    assert result.result.startswith("untestable: a second computation of the batch in the same order")


def test_of_a_loop_one_batch_is_tested(keras, monkeypatch):
    runs, run = [], ModelTest.run

    def counted(self, step):
        runs.append(1)
        return run(self, step)

    monkeypatch.setattr(ModelTest, "run", counted)

    def loop(model, x):
        return np.concatenate([model.predict_on_batch(x[start : start + 8]) for start in range(0, N, 8)])

    report, _ = judged(layered(keras, lambda y: y), method=loop, reference=X)
    assert computed(report).status is Status.PROVEN
    assert len(runs) == 1
    report, _ = judged(layered(keras, lambda y: y[::-1]), method=loop, reference=X)
    assert_moved(report)
    assert report.findings[0].count <= 8


def test_one_call_of_a_session_that_moves_rows_is_enough(keras):
    straight, reversing = layered(keras, lambda y: y), layered(keras, lambda y: y[::-1])
    for models, status in (((straight, reversing), Status.BROKEN), ((straight, straight), Status.PROVEN)):
        with evalguard.guard(
            labels=Y, reference=X, scope="session", verify_model=True, on_failure="record", mlflow=False
        ) as g:
            for model, rows in zip(models, (X[:20], X[20:]), strict=True):
                model.predict(rows, batch_size=BATCH, verbose=0)
        assert computed(g.report).status is status


def test_rows_that_the_model_moves_are_not_repaired():
    model = layered(keras3, lambda y: y[::-1])
    shuffled = np.random.default_rng(4).permutation(N)
    with (
        pytest.raises(evalguard.MisalignmentError) as raised,
        evalguard.guard(labels=Y, reference=X, verify_model=True, on_failure="repair", mlflow=False),
    ):
        model.predict(X[shuffled], batch_size=BATCH, verbose=0)
    report = raised.value.report
    assert report.verdict is evalguard.Verdict.FAIL
    assert (report.repair or {})["refused"] == "the model moves rows, and only the rows of one batch were tested"
    assert {finding.reason for finding in report.findings} == {"reordered", "rows_moved_in_model"}
    assert "the model moves rows between its input and its output" in [cause.cause for cause in report.diagnosis]


def test_a_wrapped_model_takes_the_option(keras):
    model = evalguard.wrap(
        layered(keras, lambda y: y[::-1]), labels=Y, verify_model=True, on_failure="record", mlflow=False
    )
    model.predict(X, batch_size=BATCH, verbose=0)
    assert_moved(model.report)


def test_the_result_of_a_test_that_never_saw_a_batch():
    assert ModelTest().run(lambda: tf.identity).result == "untestable: no batch was observed"
