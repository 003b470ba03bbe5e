"""A wrapped model guards ``predict`` and ``evaluate``; everything else is the model's own."""

import contextlib
import copy
import functools
import importlib
import inspect
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.guards.wrap import WRAPPED
from tests.capture.engines import patching
from tests.guards.streams import ALIGNED, N, X, Y, dataset, faulty


def test_a_wrapped_model_guards_predict_and_passes_the_rest_through(model):
    guarded = evalguard.wrap(model, labels=Y, reference=X, mlflow=False)
    assert len(guarded.predict(dataset(), verbose=0)) == N
    assert guarded.report.verdict is Verdict.PASS
    assert guarded.count_params() == model.count_params()
    assert guarded.name == model.name
    assert np.array_equal(guarded(X[:2]), X[:2])
    with pytest.raises(evalguard.MisalignmentError):
        guarded.predict(faulty(), verbose=0)


def test_wrap_takes_its_model_once():
    with pytest.raises(TypeError):
        evalguard.wrap(None, model=None)  # type: ignore[misc]


class Plain:
    """No Keras model: calls of it are not patched."""

    units = 3

    def __call__(self, x):
        return x + 1

    def predict(self, x):
        """Predictions."""
        return x * 2


def test_what_is_not_guarded_is_the_model_s_own():
    guarded = evalguard.wrap(Plain(), labels=Y, mlflow=False)
    assert (guarded.units, guarded(1)) == (3, 2)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = guarded.no_such_name


def test_a_guarded_method_keeps_its_name_and_enters_the_guard_at_each_call():
    guarded = evalguard.wrap(Plain(), labels=Y, mlflow=False, on_unproven="record")
    assert (guarded.predict.__name__, guarded.predict.__doc__) == ("predict", "Predictions.")
    assert "nothing judged yet" in repr(guarded)
    assert [guarded.predict(1), guarded.predict(2)] == [2, 4]
    assert [report.verdict for report in guarded.guard.reports] == [Verdict.UNPROVEN] * 2
    assert guarded.report is guarded.guard.report


def test_the_methods_that_are_guarded_are_those_that_predict_or_score():
    assert set(WRAPPED) == {"predict", "evaluate", "predict_on_batch", "test_on_batch"}


def test_the_guard_is_of_this_model_only():
    model = Plain()
    assert evalguard.wrap(model, labels=Y).guard.options.model is model


def test_a_repr_names_the_model_and_the_guard():
    guarded = evalguard.wrap(Plain(), require="count")
    ours = "<Guard require='count', model=<Plain>: nothing judged yet>"
    assert repr(guarded) == f"<GuardedModel of Plain: {ours}>"
    guarded.name = "digits\n" * 100
    assert repr(guarded).startswith("<GuardedModel of Plain 'digits\\\\u000adigits")
    assert len(repr(guarded)) < 200
    assert repr(guarded).isprintable()


@pytest.fixture
def dense(engine):
    """A model of each Keras with weights, and the same wrapped."""
    layers = engine.keras.layers
    inputs = engine.keras.Input((1,))
    model = engine.keras.Model(inputs, layers.Dense(1)(inputs))
    return model, evalguard.wrap(model, labels=Y, reference=X, mlflow=False)


def test_attributes_are_set_and_deleted_on_the_model():
    model = Plain()
    guarded = evalguard.wrap(model, labels=Y)
    guarded.units = 4
    assert (model.units, guarded.units, vars(guarded)) == (4, 4, vars(model))
    del guarded.units
    assert model.units == 3
    other = evalguard.wrap(model, labels=Y).guard
    guarded.guard = other
    assert guarded.guard is other
    assert not hasattr(model, "guard")
    for name in ("report", "verdict"):
        with pytest.raises(AttributeError, match=name):
            setattr(guarded, name, 3)
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del guarded.guard


def test_a_wrapper_is_of_the_class_of_its_model(engine, dense):
    model, guarded = dense
    assert isinstance(guarded, engine.keras.Model)
    assert isinstance(guarded, evalguard.GuardedModel)
    assert guarded.__class__ is type(model)
    kind = functools.singledispatch(lambda _: "other")
    kind.register(engine.keras.layers.Layer, lambda _: "layer")
    assert kind(guarded) == "layer"


def test_a_wrapper_equals_its_model(dense):
    model, guarded = dense
    assert guarded == model == guarded == evalguard.wrap(model)
    assert guarded != copy.copy(model)
    assert {model: "found"}[guarded] == "found"
    assert guarded.__wrapped__ is inspect.unwrap(guarded) is model


def test_a_wrapper_lists_the_names_of_its_model_and_those_that_can_be_read(model):
    guarded = evalguard.wrap(model, labels=Y, reference=X, mlflow=False)
    assert set(dir(guarded)) - set(dir(model)) == {"guard", "raise_for_verdict"}
    assert mock.Mock(spec=guarded, **{"predict.return_value": 3}).predict() == 3
    guarded.predict(dataset(), verbose=0)
    assert set(dir(guarded)) - set(dir(model)) == {"guard", "raise_for_verdict", "report", "verdict"}


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda guarded: pickle.loads(pickle.dumps(guarded)),  # noqa: S301 - made here
    "cloudpickle": lambda guarded: pickle.loads(importlib.import_module("cloudpickle").dumps(guarded)),  # noqa: S301
}


@pytest.mark.parametrize("made", COPIES)
def test_a_copy_is_of_the_bare_model(dense, made):
    model, guarded = dense
    found = COPIES[made](guarded)
    assert type(found) is type(model)
    assert found is not model
    assert np.array_equal(found.get_weights()[0], model.get_weights()[0])


def test_what_is_pickled_with_its_model_stays_one(dense):
    model, guarded = dense
    first, second = pickle.loads(pickle.dumps([model, guarded]))  # noqa: S301 - made here
    assert first is second


def save(guarded, keras, path):
    guarded.save(path)
    return keras.models.load_model(path)


def save_model(guarded, keras, path):
    keras.saving.save_model(guarded, path)
    return keras.models.load_model(path)


def clone_model(guarded, keras, _path):
    clone = keras.models.clone_model(guarded)
    clone.set_weights(guarded.get_weights())
    return clone


def with_joblib(guarded, _keras, path):
    joblib = importlib.import_module("joblib")
    joblib.dump(guarded, path)
    return joblib.load(path)


@pytest.mark.parametrize("made", [save, save_model, clone_model, with_joblib])
def test_what_is_saved_or_cloned_is_the_bare_model(engine, dense, made, tmp_path):
    model, guarded = dense
    found = made(guarded, engine.keras, tmp_path / "model.keras")
    assert type(found) is type(model)
    assert np.array_equal(found.get_weights()[0], model.get_weights()[0])


def test_a_wrapper_is_a_layer_of_another_model(engine, dense, tmp_path):
    model, guarded = dense
    outer = engine.keras.Sequential([engine.keras.layers.InputLayer((1,)), guarded])
    assert guarded in outer.layers
    assert model in outer.layers
    assert len(outer.trainable_weights) == 2
    expected = outer.predict(X, verbose=0)
    found = save(outer, engine.keras, tmp_path / "outer.keras")
    assert np.array_equal(found.predict(X, verbose=0), expected)


def test_a_wrapped_model_that_is_wrapped_or_named_as_a_guard_s_model_is_the_model(model):
    guarded = evalguard.wrap(evalguard.wrap(model), labels=Y, reference=X, mlflow=False)
    assert guarded.__wrapped__ is model
    guarded.predict(dataset(), verbose=0)
    with evalguard.guard(model=guarded, labels=Y, reference=X, mlflow=False) as g:
        model.predict(dataset(), verbose=0)
    assert guarded.verdict is g.verdict is Verdict.PASS


def test_other_special_methods_are_not_passed_through():
    class Sized(Plain):
        def __len__(self):
            return 3

    guarded = evalguard.wrap(Sized())
    with pytest.raises(TypeError):
        len(guarded)
    assert len(guarded.__wrapped__) == 3


HALVES = np.split(np.arange(N), 2)


def wrapped(model, **options):
    return evalguard.wrap(model, **{"labels": Y, "reference": X, "mlflow": False, **options})


def test_the_calls_of_a_session_are_judged_together_when_the_block_ends(model):
    with wrapped(model, scope="session") as guarded:
        for half in HALVES:
            assert np.array_equal(guarded.predict(dataset([half]), verbose=0), X[half])
        with pytest.raises(LookupError):
            _ = guarded.report
    assert (guarded.verdict, guarded.report.calls, len(guarded.guard.reports)) == (Verdict.PASS, (25, 25), 1)
    with pytest.raises(evalguard.MisalignmentError), guarded:
        for half in HALVES[::-1]:
            guarded.predict(dataset([half]), verbose=0)
    assert guarded.verdict is Verdict.FAIL


def test_a_call_of_a_session_outside_of_a_block_is_refused(model):
    guarded = wrapped(model, scope="session")
    with pytest.raises(evalguard.ConfigError, match=r"`with evalguard.wrap\(model, ...\) as model:`"):
        guarded.predict(dataset(), verbose=0)
    assert guarded.count_params() == 0


def test_each_call_in_a_block_is_reported_once(model):
    guarded = wrapped(model, on_failure="record")
    with guarded:
        guarded.predict(faulty(), verbose=0)
        guarded.predict(dataset(), verbose=0)
    assert [report.verdict for report in guarded.guard.reports] == [Verdict.FAIL, Verdict.PASS]
    with pytest.raises(evalguard.MisalignmentError):
        guarded.raise_for_verdict()
    with guarded.guard:
        guarded.predict(dataset(), verbose=0)
        model.predict(dataset(), verbose=0)
    assert [report.verdict for report in guarded.guard.reports[2:]] == [Verdict.PASS] * 2
    guarded.predict(dataset(), verbose=0)
    assert guarded.verdict is Verdict.PASS


@pytest.mark.parametrize("call", [lambda guarded, x: guarded.predict_on_batch(x), lambda guarded, x: guarded(x)])
def test_a_loop_in_a_block_is_judged_together(model, call):
    with wrapped(model) as guarded:
        for ids in ALIGNED:
            call(guarded, X[ids])
    assert (guarded.verdict, len(guarded.guard.reports)) == (Verdict.PASS, 1)


def test_calls_of_other_threads_belong_to_the_block(model):
    with wrapped(model, scope="session") as guarded, ThreadPoolExecutor(1) as pool:
        parts = list(pool.map(lambda half: guarded.predict(dataset([half]), verbose=0), HALVES))
    assert [part.shape for part in parts] == [(25, 1)] * 2
    assert (guarded.verdict, len(guarded.guard.reports)) == (Verdict.PASS, 1)


def test_the_end_of_a_block_waits_for_calls_of_other_threads(model):
    started, left = threading.Event(), threading.Event()

    def slowly():
        started.set()
        # The block is about to end by now.
        left.wait(5)
        yield (X[HALVES[1]],)

    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        with wrapped(model, scope="session", on_unproven="record") as guarded:
            guarded.predict(dataset([HALVES[0]]), verbose=0)
            later = pool.submit(lambda: guarded.predict(slowly(), verbose=0))
            started.wait()
            threading.Timer(0.2, left.set).start()
        assert later.done()
    assert guarded.report.calls == (25, 25)
    assert "several threads or tasks" in guarded.report.not_proven[0]


def test_calls_of_threads_outside_of_a_block_are_judged_each_by_itself(model):
    guarded = wrapped(model)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: guarded.predict(dataset(), verbose=0), range(8)))
    assert all(np.array_equal(rows, X) for rows in found)
    assert [report.verdict for report in guarded.guard.reports] == [Verdict.PASS] * 8


def test_threads_with_a_block_each_do_not_mix(model):
    guarded, together = wrapped(model, scope="session"), threading.Barrier(2)

    def evaluate(_):
        with guarded:
            together.wait()
            for half in HALVES:
                guarded.predict(dataset([half]), verbose=0)
            together.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(evaluate, range(2)))
    assert [report.verdict for report in guarded.guard.reports] == [Verdict.PASS] * 2


def test_an_interrupted_block_leaves_nothing_patched(model, monkeypatch):
    guarded = wrapped(model)
    monkeypatch.setattr(threading.Condition, "wait_for", mock.Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt), guarded:
        pass
    assert not patching.active()
    assert guarded.verdict is Verdict.UNPROVEN
