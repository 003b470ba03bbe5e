"""One entry into a guard: late labels, sessions, loops, and rows that the caller already has."""

import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from tests.guards.streams import N, X, Y, dataset, guard


def test_a_guard_in_which_nothing_is_predicted_is_unproven():
    with guard(on_unproven="record") as g:
        pass
    assert g.report.verdict is Verdict.UNPROVEN
    assert "no guarded call was observed" in g.report.not_proven[0]


def test_labels_may_come_late(model):
    with evalguard.guard(reference=X, mlflow=False) as g:
        model.predict(dataset(), verbose=0)
        g.labels = Y
    assert g.report.verdict is Verdict.PASS
    found: dict[str, object] = {}
    with evalguard.guard(labels=lambda: found["y"], reference=X, mlflow=False) as g:
        model.predict(dataset(), verbose=0)
        found["y"] = Y
    assert g.report.verdict is Verdict.PASS


def test_a_guard_without_labels_says_so(model):
    with pytest.raises(evalguard.LabelsError, match="no labels"), evalguard.guard(mlflow=False):
        model.predict(dataset(), verbose=0)


def test_several_calls_answer_the_labels_together(model):
    with guard(reference=X, scope="session") as g:
        for start in range(0, N, 20):
            model.predict(dataset([np.arange(start, min(start + 20, N))]), verbose=0)
    assert len(g.reports) == 1
    assert g.report.verdict is Verdict.PASS
    assert g.report.calls == (20, 20, 10)


def test_a_session_in_the_wrong_order_fails(model):
    with pytest.raises(evalguard.MisalignmentError) as caught, guard(reference=X, scope="session"):
        model.predict(dataset([np.arange(25, N)]), verbose=0)
        model.predict(dataset([np.arange(25)]), verbose=0)
    assert [len(part) for part in caught.value.predictions] == [25, 25]


def test_a_short_call_that_others_follow_names_the_option(model):
    with guard(reference=X, on_failure="record") as g:
        model.predict(dataset([np.arange(25)]), verbose=0)
        model.predict(dataset([np.arange(25, N)]), verbose=0)
    assert "scope='session'" in g.reports[-1].advice or "scope='session'" in " ".join(g.reports[-1].not_proven)


def in_two_calls(model, ids):
    return [model.predict(dataset([part]), verbose=0) for part in (ids[:30], ids[30:])]


def in_a_loop(model, ids):
    return [model.predict_on_batch(X[part]) for part in (ids[:30], ids[30:])]


@pytest.mark.parametrize(("run", "scope"), [(in_two_calls, "session"), (in_a_loop, "call")])
def test_padding_that_the_caller_already_has_is_reported(model, run, scope):
    with guard(reference=X, padding="trim", scope=scope) as g:
        run(model, np.concatenate([np.arange(N), [0, 0]]))
    assert g.report.verdict is Verdict.PASS
    hazard = "what was returned before this verdict ends with 2 rows of padding: keep its first 50 rows"
    assert hazard in g.report.hazards


def test_padding_that_was_cut_is_not_reported(model):
    with guard(reference=X, padding="trim") as g:
        model.predict(dataset([np.concatenate([np.arange(N), [0, 0]])]), verbose=0)
    assert not g.report.hazards


SCRAMBLED = np.random.default_rng(7).permutation(N)


def loop_of_predict_on_batch(model, g):
    return np.concatenate([model.predict_on_batch(X[rows]) for rows in np.split(SCRAMBLED, 2)])


def loop_of_calls(model, g):
    return np.concatenate([model(X[rows]) for rows in np.split(SCRAMBLED, 2)])


def one_batch(model, g):
    return model.predict_on_batch(X[SCRAMBLED])


def one_call_of_a_model(model, g):
    return np.asarray(model(X[SCRAMBLED]))


def labels_come_late(model, g):
    predictions = model.predict(dataset([SCRAMBLED]), verbose=0)
    g.labels = Y
    return predictions


def one_part(model, g):
    return model.predict(dataset([SCRAMBLED]), verbose=0)


@pytest.mark.parametrize(
    ("done", "options", "words"),
    [
        (loop_of_predict_on_batch, {}, "returned batch by batch"),
        (loop_of_calls, {}, "returned batch by batch"),
        (one_batch, {}, "returned batch by batch"),
        (one_call_of_a_model, {}, "returned batch by batch"),
        (labels_come_late, {"labels": None}, "returned before the labels were known"),
        (one_part, {"scope": "session"}, "parts of a session were returned before its end"),
    ],
)
def test_rows_that_the_caller_already_has_are_not_repaired(model, done, options, words):
    g = guard(reference=X, on_failure="repair", **options)
    with pytest.raises(evalguard.MisalignmentError, match=f"not repaired: .*{words}.*g.index") as caught, g:
        predictions = done(model, g)
    assert caught.value.report.verdict is Verdict.FAIL
    assert "scope='call'" not in str(caught.value)
    in_label_order = np.empty_like(predictions)
    in_label_order[g.index] = predictions
    assert np.array_equal(in_label_order, X)
    assert np.array_equal(g.y_true, Y[SCRAMBLED])
