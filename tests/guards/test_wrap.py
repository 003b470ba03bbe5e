"""A wrapped model guards ``predict`` and ``evaluate``; everything else is the model's own."""

import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.guards.wrap import WRAPPED
from tests.guards.streams import N, X, Y, dataset, faulty


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
    assert repr(evalguard.wrap(Plain(), require="count")).endswith(
        ": <Guard require='count', model=<Plain>: nothing judged yet>>"
    )
