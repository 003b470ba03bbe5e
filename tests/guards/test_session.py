"""One entry into a guard: late labels, sessions, loops, and rows that the caller already has."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.capture.contract import CaptureOptions
from evalguard.core.policy import Policy
from evalguard.guards.judging import CallJudge
from evalguard.guards.outcome import Kept, Outcomes
from evalguard.guards.session import Session
from tests.guards.streams import N, X, Y, dataset, guard


def test_a_guard_in_which_nothing_is_predicted_is_unproven():
    with guard(on_unproven="record") as g:
        pass
    assert g.report.verdict is Verdict.UNPROVEN
    assert "no guarded call was observed" in g.report.not_proven[0]


def test_a_reference_by_sample_index_ends_with_labels_that_come_late(model):
    with evalguard.guard(reference=lambda i: X[i], mlflow=False) as g:
        model.predict(dataset(), verbose=0)
        g.labels = Y
    assert g.report.verdict is Verdict.PASS
    assert g.report.proof == "identity"


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


@pytest.mark.parametrize("caught", [ValueError, KeyboardInterrupt])
def test_an_entry_that_the_callers_code_left_by_an_error_has_the_last_word(model, caught):
    g = guard(reference=X)
    with g:
        model.predict(dataset(), verbose=0)
    assert g.report.verdict is Verdict.PASS
    with pytest.raises(caught), g:
        raise caught
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.UNPROVEN]
    assert g.report.not_proven == (f"{caught.__name__} was raised before any call was judged",)
    with pytest.raises(caught), g:
        model.predict(dataset(), verbose=0)
        raise caught
    assert [report.verdict for report in g.reports][2:] == [Verdict.PASS], "it was judged before"


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


@pytest.mark.parametrize("evaluated_first", [True, False])
@pytest.mark.parametrize(
    ("predicted", "evaluated", "verdict"),
    [
        pytest.param(np.arange(25), np.arange(N - 1, 24, -1), Verdict.PASS, id="right"),
        pytest.param(np.arange(24, -1, -1), np.arange(25, N), Verdict.FAIL, id="predicted-in-reverse"),
        pytest.param(np.arange(1, 26), np.arange(25, N), Verdict.FAIL, id="one-in-both"),
    ],
)
def test_what_was_predicted_has_an_order_in_a_session_that_evaluates_too(
    model, predicted, evaluated, verdict, evaluated_first
):
    model.compile(loss=lambda _, rows: rows[:, 0])
    if evaluated_first:
        # The second half of the labels then is that of the predictions.
        predicted, evaluated = (25 + predicted) % N, evaluated - 25
    calls = [
        lambda: model.predict(dataset([predicted]), verbose=0),
        lambda: model.evaluate(X[evaluated], Y[evaluated], verbose=0),
    ]
    with guard(reference=X, scope="session", on_failure="record") as g:
        for call in calls[::-1] if evaluated_first else calls:
            call()
    assert g.report.verdict is verdict


def test_a_row_that_evaluate_leaves_unidentified_puts_no_other_row_out_of_position(model):
    class Stating(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            rows = slice(10 * index, 10 * index + 10)
            return X[rows], Y[rows]

        def sample_indices(self, index):
            return None if index == 2 else np.arange(10 * index, 10 * index + 10)

    model.compile(loss=lambda _, rows: rows[:, 0])
    with guard(on_unproven="record") as g:
        model.evaluate(Stating(), verbose=0)
    assert g.report.findings == ()
    assert g.report.verdict is not Verdict.FAIL


@pytest.mark.parametrize("order", [1, -1])
def test_content_of_calls_that_feed_different_types_is_not_compared(model, order):
    halves = [X[:25], X[25:].astype("float16")]
    with guard(reference=X, scope="session", on_unproven="record") as g:
        for x in halves[::order]:
            # A generator: Keras casts arrays, and feeds batches as they are.
            model.predict((batch for batch in [(x,)]), verbose=0)
    assert (g.report.verdict, g.report.findings) == (Verdict.UNPROVEN, ())
    types = " and ".join(["float32", "float16"][::order])
    assert f"the calls were fed {types}; give all of them inputs of one type" in " ".join(g.report.not_proven)


def at_the_same_time(model, first, second):
    """Two calls that overlap; the rows of ``first`` are put first, and come last."""
    started, done = threading.Event(), threading.Event()

    def slowly():
        started.set()
        done.wait(60)
        yield (X[first],)

    async def both():
        later = asyncio.create_task(asyncio.to_thread(model.predict, slowly(), verbose=0))
        await asyncio.to_thread(started.wait)
        found = await asyncio.to_thread(model.predict, dataset([second]), verbose=0)
        done.set()
        return [await later, found]

    return asyncio.run(both())


@pytest.mark.parametrize(("first", "second"), [(np.arange(25), np.arange(25, N)), (np.arange(25, N), np.arange(25))])
def test_calls_that_overlap_have_no_order_among_them(model, first, second):
    with guard(reference=X, scope="session", on_unproven="record") as g:
        at_the_same_time(model, first, second)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "several threads or tasks" in " ".join(g.report.not_proven)


def test_calls_of_several_threads_have_no_order_also_where_they_do_not_overlap(model):
    with guard(reference=X, scope="session", on_unproven="record") as g:
        for rows in (np.arange(25), np.arange(25, N)):
            thread = threading.Thread(
                target=contextvars.copy_context().run, args=(model.predict, dataset([rows])), kwargs={"verbose": 0}
            )
            thread.start()
            thread.join()
    assert g.report.verdict is Verdict.UNPROVEN


def test_a_sample_that_calls_which_overlap_lack_is_missing_in_any_order(model):
    with guard(reference=X, scope="session", on_failure="record") as g:
        at_the_same_time(model, np.arange(25), np.arange(24, N - 1))
    assert g.report.verdict is Verdict.FAIL
    assert {finding.reason for finding in g.report.findings} == {"missing", "duplicate"}


def test_metrics_of_calls_that_overlap_need_no_order(model):
    model.compile(loss=lambda _, rows: rows[:, 0])
    with guard(reference=X, scope="session") as g:
        with ThreadPoolExecutor(2) as pool:
            parts = [(X[:25], Y[:25]), (X[25:], Y[25:])]
            contexts = [contextvars.copy_context() for _ in parts]
            for context, (x, y) in zip(contexts, parts, strict=True):
                pool.submit(context.run, model.evaluate, x, y, verbose=0)
    assert g.report.verdict is Verdict.PASS


def test_a_short_call_that_others_follow_names_the_option(model):
    with guard(reference=X, on_failure="record", on_unproven="record") as g:
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
    hazard = "the rows returned before this verdict end with 2 rows of padding: keep the first 50 rows"
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


def session(find_labels=lambda _last: None, **options):
    policy = Policy(on_unproven="record")
    judge = CallJudge("mine", policy, None, {}, (), 1 << 20)
    return Session(policy, CaptureOptions(), judge, Outcomes("mine", policy, Kept()), find_labels, **options)


@pytest.mark.parametrize(("args", "kwargs"), [((), {"steps": 3}), ((), {"no_such": 1})], ids=["no-x", "unknown"])
def test_arguments_that_keras_refuses_are_left_to_keras(args, kwargs):
    def predict(model, x=None, steps=None):
        return ("keras", x, steps)

    one = session()
    if "no_such" in kwargs:
        with pytest.raises(TypeError, match="no_such"):
            one.run("model", "predict", predict, args, kwargs)
    else:
        assert one.run("model", "predict", predict, args, kwargs) == ("keras", None, 3)
    assert one.calls == []


def test_fit_runs_unobserved_where_rows_have_no_content_to_compare():
    assert session().run("model", "fit", lambda model, epochs: (model, epochs), (2,), {}) == ("model", 2)


def test_labels_that_a_source_holds_are_used_only_where_no_others_are_given():
    own, given = evalguard.Labels.of([1, 2]), evalguard.Labels.of([3, 4])
    calls = [SimpleNamespace(source="first"), SimpleNamespace(source="second")]
    sources = {"labels_of_source": lambda source: own if source == "first" else None, "calls": calls}
    assert session(**sources)._labels(last=True) is own  # noqa: SLF001 - as `end` asks
    assert session(**sources)._labels(last=False) is None  # noqa: SLF001
    assert session(lambda _last: given, **sources)._labels(last=True) is given  # noqa: SLF001
