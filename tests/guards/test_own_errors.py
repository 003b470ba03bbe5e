"""A defect of evalguard in the middle of an evaluation: loud in tests, UNPROVEN for a user."""

import keras
import numpy as np
import pytest

import evalguard
from evalguard import EvalGuardWarning, Verdict
from evalguard.core.own_errors import STRICT, OwnError

N = 10
X = np.arange(N, dtype="float32")[:, None]
# Where a defect is planted: in recording a batch, in judging, in a digest of a batch that is fed, in choosing a probe.
PLACES = {
    "recording": "evalguard.capture.recording.recorder.Recorder._record_group",
    "judging": "evalguard.core.judge.gather",
    "digests": "evalguard.capture.array_rows.ArrayRows._tag_of",
    "tagging": "evalguard.guards.calls.probe_for",
}


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.fixture(params=PLACES)
def planted(request, monkeypatch):
    def defect(*_args, **_kwargs):
        raise ZeroDivisionError(request.param)

    monkeypatch.setattr(PLACES[request.param], defect)
    return request.param


def predict(model, **options):
    with evalguard.guard(labels=X, mlflow=False, **options) as g:
        predictions = model.predict(X, verbose=0)
    return g, predictions


def test_in_strict_mode_it_is_raised_with_its_cause(model, planted):
    with pytest.raises(OwnError) as caught:
        predict(model)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert str(caught.value.__cause__) == planted


def test_for_a_user_the_verdict_is_unproven_and_the_predictions_are_intact(model, planted, monkeypatch):
    monkeypatch.delenv(STRICT)
    with pytest.warns(EvalGuardWarning, match="UNPROVEN"):
        g, predictions = predict(model)
    assert g.report.verdict is Verdict.UNPROVEN
    assert np.array_equal(predictions, X)


def a_key(_batch):
    raise ZeroDivisionError


def a_metric(_labels, _predictions):
    raise ZeroDivisionError


def test_a_key_function_of_the_user_that_fails_is_reported_in_strict_mode_too(model):
    with pytest.warns(EvalGuardWarning, match="ZeroDivisionError while a batch was recorded"):
        g, predictions = predict(model, key=a_key)
    assert g.report.verdict is Verdict.UNPROVEN
    assert np.array_equal(predictions, X)


def test_a_metric_of_the_user_that_fails_is_reported_in_strict_mode_too(model):
    g, predictions = predict(model, metrics={"mine": a_metric})
    assert g.report.verdict is Verdict.PASS
    assert g.report.impact["mine"].error == "ZeroDivisionError: "
    assert np.array_equal(predictions, X)
