"""One guarded call: how the probe is chosen and what is recorded."""

from dataclasses import dataclass
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import evalguard
from evalguard import Verdict
from evalguard.capture.probes import KERAS3
from evalguard.capture.probes.base import PassiveProbe
from evalguard.capture.probes.batches import BatchProbe
from evalguard.core.own_errors import STRICT
from evalguard.guards.calls import BATCH_METHODS, metric_names, probe_of
from tests.guards.streams import BATCH, N, X, Y, dataset, guard


def test_a_source_that_keras_refuses_is_refused_in_its_words(model):
    with pytest.raises(ValueError, match="Unrecognized data type: x=<zip"), guard():
        model.predict(zip([X], [X], strict=True), verbose=0)


def test_a_model_that_returns_another_number_of_rows_is_unproven():
    inputs = keras.Input((1,))
    halved = keras.Model(inputs, keras.layers.Lambda(lambda t: t[::2])(inputs))
    with guard(on_unproven="record", reference=X) as g:
        result = halved.predict(dataset(), verbose=0)
    assert g.report.verdict is Verdict.UNPROVEN
    assert f"the model received {N} rows and returned {len(result)}" in g.report.not_proven[0]


@dataclass
class Scores:
    """What a model may return."""

    rows: object


class Returning(keras.Model):
    """A model of outputs that are chosen."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs_of = outputs

    def call(self, x):
        return self.outputs_of(x)


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        pytest.param(lambda x: {"a": x, "b": x[::2]}, f"received {N} rows and returned {N // 2}", id="half"),
        pytest.param(lambda x: [x[:0], x], f"received {N} rows and returned 0", id="none"),
    ],
)
def test_rows_of_every_output_are_counted(outputs, why):
    for call in (lambda model: model.predict(X, batch_size=N, verbose=0), lambda model: model(X)):
        with guard(on_unproven="record", reference=X) as g:
            call(Returning(outputs))
        assert g.report.verdict is Verdict.UNPROVEN
        assert why in g.report.not_proven[0]


@pytest.mark.parametrize(
    ("outputs", "name"),
    [
        pytest.param(Scores, "Scores", id="object"),
        pytest.param(lambda x: {"rows": x, "loss": tf.reduce_sum(x)}, "EagerTensor", id="scalar"),
        pytest.param(lambda x: None, "NoneType", id="nothing"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_an_output_without_rows_is_no_pass(outputs, name, order):
    with guard(on_unproven="record", on_failure="record", reference=X) as g:
        Returning(outputs)(X[::order])
    assert g.report.verdict is (Verdict.UNPROVEN if order == 1 else Verdict.FAIL)
    assert f"an output of the model ({name}) has no rows that can be counted" in g.report.not_proven[0]


@pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match")
@pytest.mark.parametrize("engine", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("takes", ["dict", "named", "other"])
def test_what_is_left_beside_the_key_is_a_dict_by_name(engine, takes):
    """As docs/sources.md says; what Keras refuses without a guard it refuses here."""
    inputs = engine.layers.Input((1,), name="other" if takes == "other" else "x")
    model = engine.Model({"x": inputs} if takes == "dict" else inputs, engine.layers.Activation("linear")(inputs))
    ids = np.array([f"id{row}" for row in range(N)])
    stream = tf.data.Dataset.from_tensor_slices({"id": ids, "x": X}).batch(BATCH)
    g = guard(labels=evalguard.Labels(values=Y, keys=ids), key="id", drop_key=True)
    try:
        model.predict({"x": X}, verbose=0)
    except ValueError:
        assert takes == "other"
        with pytest.raises(ValueError, match="input"), g:
            model.predict(stream, verbose=0)
        return
    with g:
        predictions = model.predict(stream, verbose=0)
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "identity")
    assert np.array_equal(predictions, X)


def of_user():
    raise RuntimeError


@pytest.mark.parametrize(
    ("names", "values", "expected"),
    [
        pytest.param(["loss", "acc"], of_user, ("loss", "acc"), id="tf_keras"),
        pytest.param(["loss", "compile_metrics"], lambda: {"loss": 0, "acc": 1}, ("loss", "acc"), id="keras3"),
        pytest.param(["loss", "compile_metrics"], of_user, ("loss", "compile_metrics"), id="overridden"),
    ],
)
def test_metrics_have_the_names_that_were_compiled(names, values, expected):
    model = SimpleNamespace(metrics_names=names, get_metrics_result=values)
    assert metric_names(model, [0.1, 0.2]) == expected
    assert metric_names(model, {"f1": 0.1}) == ("f1",)


@pytest.mark.parametrize("method", BATCH_METHODS)
def test_one_batch_needs_no_tag(method):
    probe, problem = probe_of(method, {"x": np.zeros(3)}, KERAS3)
    assert isinstance(probe, BatchProbe)
    assert problem == ""


def of_probe(error):
    def probe(_source, _call):
        raise error

    return ((lambda _source: True, probe),)


def test_a_source_that_cannot_be_tagged_is_passed_on_and_the_reason_is_kept(monkeypatch):
    monkeypatch.delenv(STRICT)
    monkeypatch.setattr("evalguard.guards.calls.probe_for", lambda _source, table: table[0][1])
    probe, problem = probe_of("predict", {"x": "mine"}, of_probe(KeyError("rows")))
    assert (type(probe), probe.source) == (PassiveProbe, "mine")
    assert problem == "the source could not be tagged: KeyError: 'rows'"


def anything(original):
    return lambda *args, **kwargs: original(*args, **kwargs)


def anything_of_self(original):
    def predict(self, *args, **kwargs):
        return original(self, *args, **kwargs)

    return predict


@pytest.mark.parametrize("wrapper", [anything, anything_of_self])
@pytest.mark.parametrize("by_name", [False, True])
def test_a_method_that_takes_anything_is_seen(engine, monkeypatch, wrapper, by_name):
    inputs = engine.keras.Input((1,))
    model = engine.keras.Model(inputs, engine.keras.layers.Activation("linear")(inputs))
    model.compile(loss="mse")
    owner = engine.keras.Model
    for method in ("predict", "evaluate", "predict_on_batch", "test_on_batch"):
        monkeypatch.setattr(owner, method, wrapper(getattr(owner, method)))
    calls = {
        "predict": lambda: model.predict(x=X, verbose=0) if by_name else model.predict(X, BATCH, verbose=0),
        "evaluate": lambda: model.evaluate(x=X, y=Y, verbose=0) if by_name else model.evaluate(X, Y, BATCH, 0),
        "predict_on_batch": lambda: model.predict_on_batch(x=X) if by_name else model.predict_on_batch(X),
        "test_on_batch": lambda: model.test_on_batch(x=X, y=Y) if by_name else model.test_on_batch(X, Y),
    }
    for method, call in calls.items():
        bare = call()
        with guard(reference=X) as g:
            assert np.array_equal(call(), bare)
        assert (g.report.verdict, g.report.method) == (Verdict.PASS, method)


def test_a_method_that_takes_anything_gets_its_arguments_as_they_were_passed(engine, monkeypatch):
    inputs = engine.keras.Input((1,))
    model = engine.keras.Model(inputs, engine.keras.layers.Activation("linear")(inputs))
    original, seen = engine.keras.Model.predict, []

    def predict(self, *args, **kwargs):
        seen.append((len(args), sorted(kwargs)))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(engine.keras.Model, "predict", predict)
    with guard(reference=X):
        model.predict(X, BATCH, verbose=0)
        model.predict(x=X, verbose=0)
    assert seen == [(2, ["verbose"]), (0, ["verbose", "x"])]


def test_a_subclass_that_takes_anything_is_seen(engine):
    class Own(engine.keras.Model):  # type: ignore[name-defined]
        def predict(self, *args, **kwargs):
            return super().predict(*args, **kwargs)

    inputs = engine.keras.Input((1,))
    model = Own(inputs, engine.keras.layers.Activation("linear")(inputs))
    with guard(reference=X) as g:
        model.predict(X, verbose=0)
        model.predict(x=X, verbose=0)
    assert [report.verdict for report in g.reports] == [Verdict.PASS] * 2
    guarded = evalguard.wrap(model, labels=Y, reference=X, mlflow=False)
    guarded.predict(X, verbose=0)
    assert guarded.verdict is Verdict.PASS


def broken():
    yield (X[:3],)
    msg = "disk"
    raise OSError(msg)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda model: model.predict(X, no_such_argument=1), id="unknown-argument"),
        pytest.param(lambda model: model.predict(np.zeros((3, 4, 5), "float32"), verbose=0), id="wrong-shape"),
        pytest.param(lambda model: model.evaluate(X, Y[:-1], verbose=0), id="other-number-of-targets"),
        pytest.param(lambda model: model.predict(broken(), verbose=0), id="a-source-that-raises"),
    ],
)
def test_what_keras_raises_is_raised_unchanged(engine, wrong):
    inputs = engine.keras.Input((1,))
    model = engine.keras.Model(inputs, engine.keras.layers.Dense(1)(inputs))
    model.compile(loss="mse")
    with pytest.raises(Exception) as bare:  # noqa: PT011 - compared below
        wrong(model)
    g = guard(reference=X)
    with pytest.raises(type(bare.value)) as guarded, g:
        wrong(model)
    assert type(guarded.value) is type(bare.value)
    # With tf_keras, TensorFlow adds its traceback and the names of graph nodes.
    if engine.name == "keras3":
        assert str(guarded.value) == str(bare.value)
    assert g.verdict is Verdict.UNPROVEN
