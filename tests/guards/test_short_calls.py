"""Calls on fewer rows than there are labels: warm-ups, parts of an evaluation, or rows that are missing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict
from tests.guards.streams import N, X, guard

QUIET = {"on_failure": "record", "on_unproven": "record"}
HALVES = (X[: N // 2], X[N // 2 :])
LEFT_OUT = "a first call predict on 3 rows was left out: the later calls answer all labels"


@pytest.fixture(params=[X, None], ids=["reference", "no reference"])
def reference(request):
    return request.param


def verdicts(g):
    return [report.verdict for report in g.reports]


@pytest.mark.parametrize("labels", [np.zeros(N), None], ids=["known", "late"])
def test_a_short_call_before_one_that_answers_all_labels_is_a_warm_up(model, reference, labels):
    options = {} if labels is None else {"labels": labels}
    with evalguard.guard(reference=reference, mlflow=False, **options) as g:
        assert len(model.predict(X[:3], verbose=0)) == 3
        model.predict(X, verbose=0)
        if labels is None:
            g.labels = np.zeros(N)
    assert verdicts(g) == [Verdict.PASS]
    assert LEFT_OUT in g.report.not_proven


def test_several_warm_ups_are_counted(model):
    with guard(reference=X) as g:
        for _ in range(2):
            model.predict(X[:3], verbose=0)
        model.predict(X, verbose=0)
    assert verdicts(g) == [Verdict.PASS]
    assert "the first 2 calls predict on 6 rows were left out: the later calls answer all labels" in g.report.not_proven


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("rows", [X[:3], X[:-1], X[2:4] + 99])
def test_one_more_short_call_is_unproven(model, rows, late):
    options = {"reference": X, "mlflow": False, **QUIET}
    with evalguard.guard(labels=None if late else np.zeros(N), **options) as g:
        model.predict(X, verbose=0)
        assert len(model.predict(rows, verbose=0)) == len(rows)
        if late:
            g.labels = np.zeros(N)
    assert verdicts(g) == [Verdict.PASS, Verdict.UNPROVEN]
    assert f"found one more call predict on {len(rows)} rows after one on all samples" in g.report.not_proven[0]
    assert g.verdict is Verdict.UNPROVEN


def test_a_short_call_of_another_model_or_method_is_judged(model):
    inputs = keras.Input((1,))
    other = keras.Model(inputs, keras.layers.Identity()(inputs))
    model.compile(loss="mse")

    def another_model(model):
        other.predict(X[:3], verbose=0)
        model.predict(X, verbose=0)

    def another_method(model):
        model.evaluate(X[:3], np.zeros(3), verbose=0)
        model.predict(X, verbose=0)

    for calls in (another_model, another_method):
        with guard(reference=X, **QUIET) as g:
            calls(model)
        assert sorted(verdicts(g)) == [Verdict.FAIL, Verdict.PASS]


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in another order"])
def test_short_calls_that_answer_all_labels_together_are_unproven_and_can_be_confirmed(model, reference, order):
    with guard(reference=reference, **QUIET) as g:
        parts = [model.predict(half, verbose=0) for half in HALVES[::order]]
    assert verdicts(g) == [Verdict.UNPROVEN]
    assert "scope='session'" in " ".join(g.report.not_proven)
    if reference is not None:
        assert g.report.headline.endswith("but nothing shows which row is scored where")
        assert g.report.advice.startswith("g.confirm(y_pred, y_true)")
        g.confirm(np.concatenate(parts[::order]))
        assert verdicts(g) == [Verdict.PASS]
        g.confirm(np.concatenate(parts[::-order]))
        assert verdicts(g) == [Verdict.FAIL]


def test_short_calls_of_evaluate_that_score_all_labels_together_are_unproven(model):
    model.compile(loss="mse")
    with guard(reference=X, **QUIET) as g:
        for half in HALVES:
            model.evaluate(half, np.zeros(len(half)), verbose=0)
    assert verdicts(g) == [Verdict.UNPROVEN]


def test_a_loop_in_another_order_than_the_labels_is_unproven_and_can_be_confirmed(model):
    with guard(reference=X, **QUIET) as g:
        parts = [model.predict_on_batch(half) for half in HALVES[::-1]]
        g.confirm(np.concatenate(parts[::-1]))
    assert verdicts(g) == [Verdict.PASS]
    with guard(reference=X, **QUIET) as g:
        g.confirm(np.concatenate([model.predict_on_batch(half) for half in HALVES[::-1]]))
    assert verdicts(g) == [Verdict.FAIL]


@pytest.mark.parametrize("rows", [(X[:-2],), (X[: N // 2], X[N // 2 : -2])], ids=["one", "two"])
def test_labels_that_no_short_call_answers_are_missing(model, reference, rows):
    with pytest.raises(evalguard.MisalignmentError) as raised, guard(reference=reference):
        for part in rows:
            model.predict(part, verbose=0)
    assert (raised.value.report.counts["missing"] or 0) >= 2
    assert raised.value.predictions is not None


def test_labels_that_one_batch_alone_does_not_answer_are_missing(model, reference):
    with guard(reference=reference, **QUIET) as g:
        model.predict_on_batch(X[:3])
    assert verdicts(g) == [Verdict.FAIL]


def test_an_error_of_the_callers_code_does_not_hide_that_rows_are_missing(model):
    with pytest.raises(ZeroDivisionError), guard(reference=X) as g:
        model.predict(X[:-2], verbose=0)
        1 / 0  # noqa: B018
    assert verdicts(g) == [Verdict.FAIL]
    assert g.report.counts["missing"] == 2


@pytest.mark.parametrize(
    "warm_up",
    [
        lambda model: model.predict(tf.data.Dataset.from_tensor_slices(X).batch(4).take(1), verbose=0),
        lambda model: model.predict(X, batch_size=4, steps=1, verbose=0),
        lambda model: model.predict(((X[:4],) for _ in range(2)), steps=1, verbose=0),
    ],
    ids=["dataset", "steps", "generator"],
)
def test_one_batch_of_a_stream_is_a_warm_up_too(model, warm_up):
    with guard(reference=X) as g:
        warm_up(model)
        model.predict(X, verbose=0)
    assert verdicts(g) == [Verdict.PASS]
    with pytest.raises(evalguard.MisalignmentError), guard(reference=X):
        warm_up(model)


@pytest.mark.parametrize("source", ["steps", "dataset"])
def test_a_stream_that_ends_early_is_refused_at_once(model, source):
    with guard(reference=X):
        with pytest.raises(evalguard.MisalignmentError):
            if source == "steps":
                model.predict(X, batch_size=4, steps=2, verbose=0)
            else:
                model.predict(tf.data.Dataset.from_tensor_slices(X[:-2]).batch(4), verbose=0)
        model.predict(X, verbose=0)


def test_what_a_repair_was_asked_of_is_predicted_at_once(model):
    with guard(reference=X, on_failure="repair"), pytest.raises(evalguard.MisalignmentError):
        model.predict(X[:-2], verbose=0)
