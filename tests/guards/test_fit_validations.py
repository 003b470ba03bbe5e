"""What is recorded of the validations inside ``fit``, and how Keras makes them."""

import functools
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import evalguard
from evalguard import UnprovenError, Verdict
from evalguard.capture.contract import CaptureOptions
from evalguard.core.epochs import Validation
from evalguard.core.policy import Policy
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.guards.fit_validations import FitValidations, current_fit, judge_fit, no_fit
from tests.guards.fits import EPOCHS, FORMS, STEPS, N, X, Y, dataset, endless, fit, guarded, make_model


def test_one_validation_or_none_is_no_pass(engine):
    g, _ = guarded("with", make_model(engine), engine, (X, Y), epochs=1)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "only one validation was observed (epoch 1)" in g.report.not_proven[0]
    g, _ = guarded("callback", make_model(engine), engine, None)
    assert "no validation inside `fit` was observed" in g.report.not_proven[0]
    with (
        pytest.raises(UnprovenError, match="no fit was observed"),
        evalguard.ValidationGuard(on_unproven="raise", mlflow=False),
    ):
        pass


@pytest.mark.parametrize("form", FORMS[:2])
@pytest.mark.parametrize(
    ("options", "validated"),
    [
        ({"validation_freq": 2, "epochs": 5}, [2, 4]),
        ({"validation_freq": [1, 3]}, [1, 3]),
        ({"initial_epoch": 1}, [2, 3]),
    ],
)
def test_epochs_are_numbered_as_keras_does(engine, options, validated, form):
    g, _ = guarded(form, make_model(engine), engine, endless(), validation_steps=STEPS, **options)
    report = g.report
    assert len(report.calls) == len(validated)
    assert f"than epoch {validated[0]}." in report.headline
    assert f"epoch{'s' * (len(validated) > 2)} {', '.join(map(str, validated[1:]))} (" in report.headline


@pytest.mark.parametrize("form", FORMS[:3])
def test_what_a_callback_evaluates_itself_is_not_the_validation(engine, form):
    other = (X[::-1][:10], Y[:10])
    calls = []

    def look(*_):
        calls.append(model.evaluate(*other, verbose=0))
        model.predict(X[:5], verbose=0)

    model = make_model(engine)
    own = engine.keras.callbacks.LambdaCallback(on_epoch_end=look)
    g, _ = guarded(form, model, engine, (X, Y), callbacks=[own])
    assert len(calls) == EPOCHS
    assert (g.report.verdict, g.report.calls) == (Verdict.PASS, (N,) * EPOCHS)


@pytest.mark.parametrize("form", FORMS[:2])
def test_the_source_is_asked_for_the_same_in_the_same_order(engine, form):
    asked: list[list[object]] = [[], []]
    runs: tuple[Any, ...] = (fit, functools.partial(guarded, form))
    for calls, run in zip(asked, runs, strict=True):
        source = dataset(engine)
        inner = type(source).__getitem__
        type(source).__getitem__ = lambda self, n, inner=inner, calls=calls: calls.append(n) or inner(self, n)
        run(make_model(engine), engine, source)
    assert asked[0] == asked[1]


def test_inputs_that_change_at_random_are_not_proven_and_targets_in_order_will_do_if_asked(engine):
    def source():
        return dataset(engine, lambda x, count: x + count)

    g, _ = guarded("with", make_model(engine), engine, source())
    assert g.report.verdict is Verdict.UNPROVEN
    assert "augmented at random" in g.report.not_proven[0]
    assert "require=" in g.report.advice
    g, _ = guarded("with", make_model(engine), engine, source(), {"require": "labels"})
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, "labels")


def test_keras_validates_by_evaluate_with_its_own_callback_list_and_keywords_only(engine):
    seen = []

    class Watched(engine.keras.Sequential):  # type: ignore[name-defined]
        def evaluate(self, *args, **kwargs):
            seen.append((args, kwargs))
            return super().evaluate(*args, **kwargs)

    model = Watched([engine.keras.Input((3,)), engine.keras.layers.Dense(1)])
    model.compile(loss="mse")
    fit(model, engine, (X, Y), epochs=2)
    assert [args for args, _ in seen] == [(), ()]
    assert all(isinstance(kwargs["callbacks"], engine.keras.callbacks.CallbackList) for _, kwargs in seen)
    assert all(kwargs["x"] is X for _, kwargs in seen)


def validation(number, order=(0, 1, 2)):
    rows = np.array(order, dtype=np.uint64)
    given = Trace(len(rows), np.full(len(rows), UNKNOWN), fingerprints=rows, method="fit", ordered=False)
    return Validation(number, given)


def observed(*validations):
    fit = FitValidations("model", CaptureOptions())
    fit.validations = list(validations)
    return fit


def trained(fit, ran, **arguments):
    """Train by a ``fit`` that made these validations; their numbers after it."""

    def original(model, validation_freq=1):
        assert current_fit() is fit
        return SimpleNamespace(epoch=ran)

    fit.fit(original, (), arguments)
    assert current_fit() is None
    return [item.epoch for item in fit.validations]


@pytest.mark.parametrize(
    ("ran", "arguments", "numbers"),
    [
        pytest.param([0, 1], {}, [1, 2], id="each"),
        pytest.param([3, 4], {}, [4, 5], id="initial-epoch"),
        pytest.param([0, 1, 2, 3], {"validation_freq": 2}, [2, 4], id="every-second"),
        pytest.param([0, 1, 2], {"validation_freq": [1, 3]}, [1, 3], id="listed"),
        pytest.param([0, 1, 2], {}, [1, 2], id="stopped-before-the-third-validation"),
    ],
)
def test_validations_are_numbered_as_keras_counts_epochs(ran, arguments, numbers):
    assert trained(observed(validation(1), validation(2)), ran, **arguments) == numbers


def test_training_that_raises_leaves_no_fit_behind():
    def original(model):
        raise KeyError

    with pytest.raises(KeyError):
        observed().fit(original, (), {})
    assert current_fit() is None


def test_only_an_evaluate_with_keras_own_callback_list_is_a_validation_of_fit(monkeypatch):
    class CallbackList:
        pass

    fake = SimpleNamespace(callbacks=SimpleNamespace(CallbackList=CallbackList))
    monkeypatch.setitem(sys.modules, "keras", fake)
    monkeypatch.delitem(sys.modules, "tf_keras", raising=False)
    fit = observed()
    assert fit.is_validation_of_fit("model", {"callbacks": CallbackList()})
    assert not fit.is_validation_of_fit("model", {"callbacks": [CallbackList()]})
    assert not fit.is_validation_of_fit("model", {})
    assert not fit.is_validation_of_fit("other model", {"callbacks": CallbackList()})


@pytest.mark.parametrize(
    ("second", "verdict"),
    [((2, 0, 1), Verdict.PASS), ((0, 1, 3), Verdict.FAIL), ((0, 1), Verdict.FAIL), ((0, 1, 2, 0), Verdict.FAIL)],
)
def test_a_fit_is_judged_by_its_first_validation_whatever_the_order(second, verdict):
    # These options of a guard are about predictions: they must not excuse a validation.
    policy = Policy(require="identity", padding="trim", scope="session")
    report = judge_fit(observed(validation(1), validation(2, second)), policy, "mine")
    assert (report.verdict, report.method, report.name) == (verdict, "fit", "mine")
    assert report.calls == (3, len(second))


def test_without_a_fit_there_is_no_pass():
    report = no_fit(Policy(), "mine")
    assert (report.verdict, report.method) == (Verdict.UNPROVEN, "fit")
    assert "callbacks=[guard.callback()]" in report.not_proven[0]
