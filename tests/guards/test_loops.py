"""Calls of one batch each: which are judged together, and which only build a model or warm it up."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.guards.calls import CALL
from evalguard.guards.loops import loops_of
from tests.guards.streams import ALIGNED, BATCH, N, X, guard

DUMMY = np.full((1, 1), -1, "float32")
QUIET = {"on_failure": "record", "on_unproven": "record"}
ONE_CALL = f"expected predictions for {N} labels, found one call model(x) on"
LEFT_OUT = "a first call model(x) on {} was left out: the later calls answer all labels"


def new_model():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def predict(model):
    model.predict(X, verbose=0)


def evaluate(model):
    model.compile(loss="mse")
    model.evaluate(X, X, verbose=0)


def loop(model):
    for ids in ALIGNED:
        model(X[ids])


def batches(model, rows=X):
    for ids in ALIGNED:
        model.predict_on_batch(rows[ids])


def mixed_loop(model, rows=X):
    """Whole batches by ``predict_on_batch``, the last by ``model(x)``."""
    for start in range(0, len(rows), BATCH):
        (model.predict_on_batch if start + BATCH <= len(rows) else model)(rows[start : start + BATCH])


def whole(model):
    model(X)


def test_batches_of_several_models_and_methods_are_separate_loops():
    kinds = [("predict_on_batch", 1), ("predict_on_batch", 2), ("test_on_batch", 1), ("predict_on_batch", 1)]
    calls = [SimpleNamespace(trace=SimpleNamespace(method=method), model=model) for method, model in kinds]
    assert [len(group) for group in loops_of(calls, lambda _: None)] == [2, 1, 1]


@pytest.mark.parametrize("scope", ["call", "session"])
@pytest.mark.parametrize("rows", [DUMMY, X[:3]], ids=["dummy", "samples"])
@pytest.mark.parametrize(
    ("method", "what"),
    [
        *((CALL, what) for what in (predict, evaluate, batches)),
        *(("predict_on_batch", what) for what in (predict, evaluate)),
    ],
)
def test_a_short_call_before_others_of_the_model_is_a_warm_up(model, rows, what, scope, method):
    with guard(reference=X, scope=scope, **QUIET) as g:
        getattr(model, method)(rows)
        what(model)
    (report,) = g.reports
    assert report.method != "__call__"
    assert report.verdict is (Verdict.UNPROVEN if what is evaluate else Verdict.PASS)


@pytest.mark.parametrize(
    ("rows", "what"),
    [(DUMMY, loop), (DUMMY, whole), (X[:3], whole), (DUMMY, mixed_loop)],
    ids=["dummy, loop", "dummy, whole", "samples, whole", "dummy, mixed loop"],
)
def test_a_first_call_that_is_left_out_of_a_loop_is_named(model, rows, what):
    with guard(reference=X, **QUIET) as g:
        model(rows)
        what(model)
    (report,) = g.reports
    assert report.verdict is Verdict.PASS
    assert report.counts["n_predictions"] == N
    assert report.not_proven[0] == LEFT_OUT.format("3 rows" if len(rows) == 3 else "1 row")


def test_a_call_on_as_many_rows_as_there_are_labels_is_no_warm_up(model):
    with guard(reference=X, **QUIET) as g:
        model(-1 - X)
        model(X)
    (report,) = g.reports
    assert report.verdict is Verdict.FAIL
    assert report.counts["foreign"] == N


@pytest.mark.parametrize("rows", [DUMMY, X[:3]], ids=["dummy", "samples"])
def test_a_short_call_after_the_evaluation_is_unproven(model, rows):
    with guard(reference=X, **QUIET) as g:
        predict(model)
        model(rows)
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.UNPROVEN]
    assert ONE_CALL in g.report.not_proven[0]
    assert g.report.method == "__call__"
    assert g.report.counts["n_predictions"] == len(rows)
    # A session would not join it with the evaluation.
    assert "session" not in g.report.advice


def test_a_short_call_of_another_model_than_the_evaluated_one_is_unproven(model):
    with guard(reference=X, **QUIET) as g:
        new_model()(X[:3])
        predict(model)
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.UNPROVEN]
    assert ONE_CALL in g.report.not_proven[0]


def test_a_part_of_a_session_that_went_through_the_model_itself_is_not_silent(model):
    with guard(reference=X, scope="session", **QUIET) as g:
        model.predict(X[: N // 2], verbose=0)
        model(X[N // 2 :])
    assert [report.verdict for report in g.reports] == [Verdict.FAIL, Verdict.UNPROVEN]


@pytest.mark.parametrize(
    ("rows", "options", "verdict"),
    [
        pytest.param(DUMMY, {"reference": X}, Verdict.UNPROVEN, id="no sample"),
        pytest.param(X[:3], {}, Verdict.UNPROVEN, id="nothing shows a sample"),
        pytest.param(X[:-1], {"reference": X}, Verdict.FAIL, id="a sample is missing"),
    ],
)
def test_a_short_call_that_is_the_only_one_fails_if_its_rows_are_samples(model, rows, options, verdict):
    with guard(**options, **QUIET) as g:
        model(rows)
    assert [report.verdict for report in g.reports] == [verdict]
    assert (ONE_CALL in " ".join(g.report.not_proven)) is (verdict is Verdict.UNPROVEN)


@pytest.mark.parametrize(("keys", "verdict"), [(["none"], Verdict.UNPROVEN), (["0", "1"], Verdict.FAIL)])
def test_a_key_says_whether_rows_are_samples(keys, verdict):
    model, key = new_model(), lambda batch: np.asarray(keys)
    labels = evalguard.Labels(values=np.zeros(N), keys=np.arange(N).astype(str))
    with guard(labels=labels, key=key, **QUIET) as g:
        model(X[: len(keys)])
    assert [report.verdict for report in g.reports] == [verdict]


def test_several_models_that_are_called_once_are_judged_one_by_one():
    models = [new_model() for _ in range(5)]
    for rows, verdict in ((X[::-1], Verdict.FAIL), (X, Verdict.PASS), (X[:3], Verdict.UNPROVEN)):
        with guard(reference=X, **QUIET) as g:
            for each in models:
                each(rows)
        assert [report.verdict for report in g.reports] == [verdict] * 5


@pytest.mark.parametrize(
    ("rows", "verdict", "wrong"),
    [(X, Verdict.PASS, 0), (X[::-1], Verdict.UNPROVEN, None), (X[:-1], Verdict.FAIL, 0)],
    ids=["right", "in another order", "one missing"],
)
def test_a_loop_whose_last_batch_goes_through_the_model_itself_is_one_loop(model, rows, verdict, wrong):
    with guard(reference=X, **QUIET) as g:
        mixed_loop(model, rows)
    (report,) = g.reports
    assert report.verdict is verdict
    assert report.counts["misaligned"] == wrong
    assert report.counts["missing"] == N - len(rows)


def test_loops_of_two_methods_that_both_answer_the_labels_are_two_evaluations(model):
    with guard(reference=X, **QUIET) as g:
        batches(model, X[::-1])
        loop(model)
    assert [report.verdict for report in g.reports] == [Verdict.UNPROVEN, Verdict.PASS]


@pytest.mark.parametrize("first", [[DUMMY], [DUMMY, DUMMY], [DUMMY, DUMMY - 1, DUMMY]], ids=["one", "two", "three"])
@pytest.mark.parametrize("what", [loop, mixed_loop])
def test_calls_before_a_loop_that_answers_all_labels_are_left_out(model, first, what):
    with guard(reference=X, **QUIET) as g:
        for rows in first:
            model(rows)
        what(model)
    (report,) = g.reports
    assert (report.verdict, report.counts["n_predictions"]) == (Verdict.PASS, N)
    assert "left out: the later calls answer all labels" in report.not_proven[0]
