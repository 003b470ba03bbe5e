"""What random programs showed to be wrong about ``confirm`` and ``scope="parts"``."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.testing import MemorySink
from tests.guards.streams import N, X, Y, dataset, guard, identity_model

HALVES = (slice(N // 2, N), slice(0, N // 2))


def halves(model):
    """The rows of two calls, in label order."""
    second, first = (model.predict(X[rows], verbose=0) for rows in HALVES)
    return np.concatenate([first, second])


@pytest.mark.parametrize("scope", ["session", "parts"])
def test_the_end_raises_for_what_is_scored_and_not_for_the_order_of_calls(model, scope):
    with warnings.catch_warnings():
        warnings.simplefilter("error", evalguard.EvalGuardWarning)
        with guard(reference=X, scope=scope, on_unproven="raise") as g:
            g.confirm(halves(model), Y)
    assert [report.verdict for report in g.reports] == [Verdict.PASS]


def test_the_end_warns_of_what_is_scored_and_not_of_the_parts(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error", evalguard.EvalGuardWarning)
        with guard(reference=X, scope="parts", on_unproven="warn") as g:
            g.confirm(halves(model), Y)
    assert g.verdict is Verdict.PASS


def test_what_was_not_confirmed_raises_beside_what_was():
    with pytest.raises(evalguard.MisalignmentError), guard(reference=X, scope="parts") as g:
        model = identity_model()
        g.confirm(halves(model), Y)
        for rows in (slice(0, 8), slice(8, 16)):
            model.compile(loss="mse")
            model.evaluate(X[rows], Y[rows], verbose=0)
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.FAIL]


def test_a_decorated_function_confirms_what_it_predicted_in_this_call(model):
    g = guard(reference=X, on_failure="record")

    @g
    def evaluation(order):
        g.confirm(model.predict(X, verbose=0)[order], Y)

    evaluation(np.arange(N))
    evaluation(np.arange(N)[::-1])
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.FAIL]


def test_a_decorated_function_guards_its_model_in_every_thread(model):
    @guard(reference=X, scope="parts", model=model, returns="predictions")
    def evaluation():
        with ThreadPoolExecutor(2) as pool:
            return np.concatenate(list(pool.map(lambda at: model.predict(X[at : at + 10], verbose=0), range(0, N, 10))))

    assert len(evaluation()) == N


def test_the_order_in_which_parts_were_joined_shows_nothing_without_an_identity(model):
    with guard(scope="parts", require="transport", on_unproven="record") as g:
        g.confirm(np.concatenate([model.predict(X[rows], verbose=0) for rows in HALVES]), Y)
    assert g.verdict is Verdict.UNPROVEN
    assert g.report.proof == "count"


def test_what_is_observed_of_rows_counts_more_than_the_rows_that_part_names(model):
    with guard(reference=X, scope="parts") as g:
        with g.part(np.arange(N)[::-1]):
            y_pred = model.predict(X, verbose=0)
        g.confirm(y_pred, Y)
    assert g.verdict is Verdict.PASS


def test_rows_of_several_threads_are_not_said_to_be_scored_by_the_model(model):
    with evalguard.wrap(model, labels=Y, mlflow=False, scope="session", on_unproven="record") as wrapped:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(lambda: wrapped.predict(X[:30], verbose=0)).result()
        y_pred = np.concatenate([first, wrapped.predict(X[30:], verbose=0)])
        wrapped.guard.confirm(y_pred > 3, Y)
    assert str(wrapped.report.chain[-1].status) == "not seen"


def test_a_memory_sink_keeps_the_report_of_what_is_scored(model):
    sink = MemorySink()
    for rows in (np.arange(N), np.arange(N)[::-1]):
        with guard(reference=X, on_failure="record", sinks=[sink]) as g:
            y_pred = model.predict(X, verbose=0)
        g.confirm(y_pred[rows], Y)
    assert [report.verdict for report in sink.reports] == [Verdict.PASS, Verdict.FAIL]


@pytest.mark.parametrize("scope", ["call", "parts"])
def test_rows_that_no_call_returned_are_unproven_also_where_a_count_is_enough(model, scope):
    with guard(require="count", scope=scope, on_unproven="record") as g:
        g.confirm(model.predict(X, verbose=0)[:-1] * 2, Y)
    assert g.verdict is Verdict.UNPROVEN


def test_parts_that_were_not_confirmed_are_unproven_also_where_a_count_is_enough(model):
    with guard(require="count", scope="parts", on_unproven="record") as g:
        halves(model)
    assert g.verdict is Verdict.UNPROVEN


def test_a_sample_that_was_scored_twice_is_right_only_if_both_pairs_are(model):
    model.compile(loss="mse")
    with guard(reference=X, scope="parts", on_unproven="record") as g:
        model.evaluate(X, Y, verbose=0)
        model.evaluate(X[:9], Y[:9] + 1, verbose=0)
    assert g.verdict is Verdict.UNPROVEN
    assert "at 9 rows the stream's own target differs from the label" in g.report.not_proven[-1]


def test_samples_that_were_scored_twice_with_their_labels_are_a_pass(model):
    model.compile(loss="mse")
    with guard(reference=X, scope="parts") as g:
        for rows in (slice(0, 30), slice(20, N)):
            model.evaluate(X[rows], Y[rows], verbose=0)
    assert g.verdict is Verdict.PASS


def test_repaired_rows_stay_where_they_are_when_they_are_put_back(model):
    with guard(reference=X, on_failure="repair") as g:
        y_pred = g.put_back([model.predict(X[::-1], verbose=0)])
        g.confirm(y_pred, Y)
    assert np.array_equal(y_pred, X)
    assert g.verdict is Verdict.REPAIRED


def test_targets_of_parts_are_not_compared_in_the_order_of_calls(model):
    with guard(scope="parts", on_unproven="record") as g:
        for rows in HALVES:
            model.predict(dataset([np.arange(N)[rows]], targets=True), verbose=0)
    assert g.verdict is Verdict.UNPROVEN
