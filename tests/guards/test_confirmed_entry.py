"""An entry whose scores are confirmed: the verdict that counts acts, and metrics are those of the scores."""

import keras
import numpy as np
import pytest

import evalguard
from evalguard import Verdict

N = 40
X = np.random.default_rng(0).normal(size=(N, 4)).astype("float32")
Y = np.arange(N) % 3
ORDER = np.random.default_rng(1).permutation(N)
RAISES = {"labels": Y, "reference": X, "on_failure": "raise", "on_unproven": "raise", "mlflow": False}


def made():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


@pytest.fixture(scope="module")
def model():
    return made()


def halves(model):
    return [model.predict(X[rows], verbose=0) for rows in (ORDER[:20], ORDER[20:])]


def put_back(rows):
    back = np.empty_like(rows)
    back[ORDER] = rows
    return back


@pytest.mark.parametrize("scope", ["parts", "session"])
def test_what_is_confirmed_inside_the_entry_acts_and_not_what_was_known_before(model, scope, recwarn):
    with evalguard.guard(**RAISES, scope=scope) as g:
        y_pred = g.confirm(put_back(np.concatenate(halves(model))), Y)
    assert g.report.verdict is Verdict.PASS
    assert len(y_pred) == N
    assert not [warning for warning in recwarn if issubclass(warning.category, evalguard.EvalGuardWarning)]


def test_a_loop_that_is_put_back_and_confirmed_is_a_pass(model):
    with evalguard.guard(**RAISES) as g:
        rows = np.concatenate([model.predict_on_batch(X[part]) for part in np.split(ORDER, 5)])
        g.confirm(put_back(rows), Y)
    assert g.report.verdict is Verdict.PASS


def test_parts_that_are_not_put_back_raise_at_the_end(model):
    with pytest.raises(evalguard.MisalignmentError), evalguard.guard(**RAISES, scope="parts") as g:
        g.confirm(np.concatenate(halves(model)), Y)
    assert g.report.verdict is Verdict.FAIL


def test_what_is_not_confirmed_acts_beside_what_is(model):
    other = made()
    with pytest.raises(evalguard.UnprovenError), evalguard.guard(**RAISES) as g:
        g.confirm(np.concatenate([model.predict_on_batch(X[part]) for part in np.split(np.arange(N), 5)]), Y)
        for part in np.split(ORDER, 5):
            other.predict_on_batch(X[part])
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.UNPROVEN]


def test_a_member_in_another_order_is_named(model):
    with evalguard.guard(**RAISES | {"on_failure": "record"}, scope="parts") as g:
        g.confirm(model.predict(X, verbose=0), Y)
        g.confirm(made().predict(X[ORDER], verbose=0), Y)
    assert g.report.verdict is Verdict.FAIL
    (cause,) = g.report.diagnosis
    assert cause.cause == "one of several calls was fed in another order"
    assert "call 1, as it returned them" in cause.evidence


@pytest.mark.parametrize("scope", ["call", "parts"])
def test_metrics_are_those_of_the_scores(model, scope):
    def right(y_true, y_pred):
        return float(np.mean(y_true == y_pred.argmax(axis=1)))

    expected = right(Y, model.predict(X, verbose=0))
    options = {**RAISES, "on_failure": "record", "metrics": [right], "scope": scope}
    with evalguard.guard(**options) as g:
        y_pred = put_back(model.predict(X[ORDER], verbose=0))
        g.confirm(y_pred, Y)
        y_pred[:] = 0  # what was confirmed is a copy
    assert g.report.verdict is Verdict.PASS
    assert (g.report.impact or {})["right"].as_scored == pytest.approx(expected)
    with evalguard.guard(**options) as g:
        y_pred = model.predict(X, verbose=0)
        g.confirm(y_pred[ORDER], Y)
    impact = (g.report.impact or {})["right"]
    assert impact.as_scored == pytest.approx(right(Y, y_pred[ORDER]))
    assert impact.realigned == pytest.approx(expected)
