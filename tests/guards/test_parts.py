"""Calls in any order, of any models and threads: parts, and what is scored of them."""

import asyncio
import contextvars
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor, as_completed

import keras
import numpy as np
import pytest

import evalguard
from evalguard import Proof, Verdict
from evalguard.guards.dispatch import every_thread
from evalguard.guards.parts import rows_of
from tests.guards.streams import ALIGNED, N, X, Y, dataset, guard, verdict

QUIET = {"on_failure": "record", "on_unproven": "record"}
FOLDS = [np.sort(fold) for fold in np.array_split(np.random.default_rng(3).permutation(N), 5)]
STARTS = range(0, N, 10)
REVERSED = np.arange(N)[::-1]


def quiet(**options):
    return guard(**{"reference": X, "scope": "parts", **QUIET, **options})


@pytest.fixture(scope="module")
def models():
    """Members of an ensemble, one for each fold: each returns other values."""

    def one(number):
        inputs = keras.Input((1,))
        return keras.Model(inputs, keras.layers.Rescaling(1.0, offset=1000.0 * number)(inputs))

    return [one(number) for number in range(len(FOLDS))]


@pytest.fixture(scope="module")
def three():
    """A model of three values."""
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Lambda(lambda x: x % 3)(inputs))


def predict(model, x=X):
    return model.predict(x, verbose=0)


def of_folds(g, models, folds=FOLDS, *, named=False):
    for model, fold in zip(models, folds, strict=True):
        if named:
            with g.part(fold):
                yield fold, predict(model, X[fold])
        else:
            yield fold, predict(model, X[fold])


def out_of_fold(parts):
    oof = np.zeros(N)
    for fold, rows in parts:
        oof[fold] = rows[:, 0]
    return oof


def joined(parts):
    return np.concatenate([rows for _, rows in parts])


# -- Folds --


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("reference", [X, None], ids=["reference", "no-reference"])
def test_folds_that_are_put_back_are_right_and_joined_ones_are_not(models, named, reference):
    with quiet(reference=reference) as g:
        parts = list(of_folds(g, models, named=named))
        g.confirm(out_of_fold(parts), Y)
    proof = Proof.IDENTITY if reference is not None else Proof.DECLARED if named else Proof.COUNT
    expected = (Verdict.PASS if proof >= Proof.DECLARED else Verdict.UNPROVEN, proof)
    assert ((g.verdict, g.report.proof), len(g.reports)) == (expected, 1)
    g.confirm(joined(parts), Y)
    if proof >= Proof.DECLARED:
        assert verdict(g) is Verdict.FAIL
        assert g.report.diagnosis[0].cause == "folds joined in fold order, not put back"
        assert g.report.chain[-1].status == "broken"
    else:
        assert verdict(g) is Verdict.UNPROVEN


def test_folds_raise_nothing_where_they_are_right(models):
    with warnings.catch_warnings(), guard(reference=X, scope="parts", on_unproven="raise") as g:
        warnings.simplefilter("error")
        g.confirm(out_of_fold(of_folds(g, models)), Y)
    assert verdict(g) is Verdict.PASS


def test_without_confirm_parts_are_unproven_with_the_line_to_add(models):
    with quiet() as g:
        list(of_folds(g, models))
    assert (g.verdict, g.report.chain[-1].status) == (Verdict.UNPROVEN, "not seen")
    assert g.report.advice == "g.confirm(y_pred, y_true)  # the array that is scored, in label order"


@pytest.mark.parametrize("confirms", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_labels_that_no_part_answers_are_a_fault(models, confirms, named):
    with quiet() as g:
        parts = list(of_folds(g, models[1:], FOLDS[1:], named=named))
        if confirms:
            g.confirm(joined(parts))
    assert verdict(g) is Verdict.FAIL
    assert "missing" in [finding.reason for finding in g.report.findings]
    if not confirms:
        assert g.report.diagnosis[0].cause == "parts that were never predicted"


def test_zeros_left_for_a_fold_that_was_never_predicted_are_no_pass(models):
    with quiet() as g:
        g.confirm(out_of_fold(list(of_folds(g, models))[1:]), Y)
    assert verdict(g) is not Verdict.PASS


class Wrapper:
    """What ``KerasClassifier`` is to scikit-learn: an estimator that makes its model when it is fitted."""

    def __init__(self, model):
        self.model = model

    def fit(self, x, y):
        del x, y
        return self

    def predict(self, x):
        return predict(self.model, x)[:, 0]

    def get_params(self, deep=True):
        del deep
        return {"model": self.model}

    def set_params(self, **params):
        self.model = params["model"]
        return self


def test_cross_val_predict_with_a_wrapper(model):
    selection = pytest.importorskip("sklearn.model_selection")
    base = pytest.importorskip("sklearn.base")

    class Estimator(base.ClassifierMixin, base.BaseEstimator, Wrapper):  # type: ignore[name-defined]
        def __sklearn_clone__(self):
            return self

        def fit(self, x, y):
            self.classes_ = np.unique(y)
            return self

    folds = selection.KFold(5, shuffle=True, random_state=0)
    with quiet() as g:
        g.confirm(selection.cross_val_predict(Estimator(model), X, Y, cv=folds), Y)
    assert (g.verdict, g.report.proof) == (Verdict.PASS, Proof.IDENTITY)
    order = np.concatenate([test for _, test in folds.split(X)])
    with quiet() as g:
        g.confirm(selection.cross_val_predict(Estimator(model), X, Y, cv=folds)[order], Y)
    assert verdict(g) is Verdict.FAIL


# -- Ensembles, retries, tiles --


def test_members_of_an_ensemble_are_known_by_their_rows(models):
    first, second = models[:2]
    with quiet() as g:
        one, other = predict(first), predict(second, X[REVERSED])
        g.confirm(one, Y)
        g.confirm(other[REVERSED], Y)
    assert verdict(g) is Verdict.PASS
    with quiet() as g:
        one, other = predict(first), predict(second, X[REVERSED])
        g.confirm(other, Y)
        g.confirm(one, Y)
    assert verdict(g) is Verdict.FAIL


def test_after_the_block_a_right_member_does_not_hide_a_wrong_one_and_a_mended_one_replaces_it(models):
    with quiet() as g:
        one, other = predict(models[0]), predict(models[1], X[REVERSED])
    g.confirm(other, Y)
    g.confirm(one, Y)
    assert (g.verdict, len(g.reports)) == (Verdict.FAIL, 1)
    g.confirm(other[REVERSED], Y)
    assert verdict(g) is Verdict.PASS
    g.confirm((one + other) / 2, Y)
    assert verdict(g) is Verdict.UNPROVEN
    g.confirm(one, Y)
    assert verdict(g) is Verdict.PASS


def test_rows_of_several_models_in_one_array(models):
    with quiet() as g:
        one, other = predict(models[0]), predict(models[1])
        g.confirm(np.where(X % 2 == 0, one, other), Y)
    assert verdict(g) is Verdict.PASS


def test_a_part_that_is_predicted_again_is_no_repetition_but_an_appended_one_is(model):
    with quiet() as g:
        parts = [predict(model, X[start : start + 10]) for start in STARTS]
        parts[2] = predict(model, X[20:30])
        g.confirm(np.concatenate(parts), Y)
    assert verdict(g) is Verdict.PASS
    with quiet() as g:
        g.confirm(np.concatenate([predict(model, X[:20]), predict(model, X[10:])]), Y)
    assert verdict(g) is Verdict.FAIL
    assert "duplicate" in [finding.reason for finding in g.report.findings]


def test_a_warm_up_is_no_part_of_what_is_scored(model):
    with quiet() as g:
        model(np.full((1, 1), -1, "float32"))
        predict(model, X[:3])
        g.confirm(np.concatenate([model.predict_on_batch(X[ids]) for ids in ALIGNED]), Y)
    assert verdict(g) is Verdict.PASS


def test_batches_calls_and_predict_are_parts_of_one_evaluation(model):
    with quiet() as g:
        parts = [np.asarray(model(X[20:30])), predict(model, X[30:]), model.predict_on_batch(X[:20])]
        g.confirm(np.concatenate([parts[2], parts[0], parts[1]]), Y)
    assert (g.verdict, len(g.reports)) == (Verdict.PASS, 1)
    g.confirm(np.concatenate(parts), Y)
    assert verdict(g) is Verdict.FAIL


def test_equal_rows_of_parts_are_interchangeable(three):
    with quiet() as g:
        rows = np.concatenate([predict(three, X[fold]) for fold in FOLDS])
        oof = np.empty_like(rows)
        oof[np.concatenate(FOLDS)] = rows
        for value in range(3):
            at = np.flatnonzero(oof[:, 0] == value)
            oof[at] = oof[at[::-1]]
        g.confirm(oof, Y)
    assert verdict(g) is Verdict.PASS
    g.confirm(rows, Y)
    assert verdict(g) is Verdict.FAIL


def test_samples_of_equal_inputs_in_different_folds(models):
    same = X // 2
    with quiet(reference=same) as g:
        parts = [(fold, predict(model, same[fold])) for model, fold in zip(models, FOLDS, strict=True)]
        g.confirm(out_of_fold(parts[::-1]), Y)
    assert verdict(g) is Verdict.PASS
    g.confirm(joined(parts), Y)
    assert verdict(g) is Verdict.FAIL


# -- evaluate --


def evaluated(model, x=X, y=Y[:, None], **options):
    model.compile(loss="mse")
    with quiet(**options) as g:
        for rows in np.array_split(np.arange(len(x)), 3)[::-1]:
            model.evaluate(x[rows], y[rows], verbose=0)
    return g


def test_parts_of_evaluate_have_no_order_and_need_no_confirm(model):
    g = evaluated(model)
    assert (g.verdict, g.report.chain[-1].status) == (Verdict.PASS, "not applicable")


@pytest.mark.parametrize("missing", [1, 20])
def test_samples_that_no_part_evaluates_are_a_fault(model, missing):
    assert evaluated(model, X[missing:], Y[missing:, None]).verdict is Verdict.FAIL


def test_samples_that_no_label_is_for_are_a_fault_of_what_is_evaluated(model):
    x, y = np.concatenate([X, X[:2] + 700]), np.concatenate([Y, Y[:2]])[:, None]
    assert evaluated(model, x, y).verdict is Verdict.FAIL


def test_a_part_that_is_evaluated_again_with_other_targets_is_a_fault(model):
    model.compile(loss="mse")
    for again, expected in ((Y, Verdict.PASS), (Y[::-1], Verdict.FAIL)):
        with quiet() as g:
            model.evaluate(X, Y[:, None], verbose=0)
            model.evaluate(X, again[:, None], verbose=0)
        assert verdict(g) is expected


@pytest.mark.parametrize(
    ("again", "expected"),
    [(Y, Verdict.PASS), (Y[::-1], Verdict.PASS), (-2 * Y - 7, Verdict.UNPROVEN), (Y[:-3], Verdict.UNPROVEN)],
    ids=["the same", "in another order", "another quantity", "fewer"],
)
def test_what_is_evaluated_again_counts_where_nothing_identifies_the_rows(model, again, expected):
    model.compile(loss="mse")
    with quiet(reference=None) as g:
        model.evaluate(X, Y[:, None], verbose=0)
        model.evaluate(X[: len(again)], again[:, None], verbose=0)
    assert verdict(g) is expected
    more = f"{len(again)} more rows than labels"
    assert (more in " ".join(g.report.not_proven)) is (expected is Verdict.UNPROVEN)


def test_predicted_and_evaluated_parts_are_two_evaluations(model):
    model.compile(loss="mse")
    with quiet() as g:
        rows = [predict(model, X[start : start + 10]) for start in STARTS]
        for start in STARTS:
            model.evaluate(X[start : start + 10], Y[start : start + 10, None], verbose=0)
        g.confirm(np.concatenate(rows), Y)
    assert [report.verdict for report in g.reports] == [Verdict.PASS] * 2


# -- Threads and tasks --


def slow_first(model, start):
    time.sleep(0.2 if start == 0 else 0)
    return predict(model, X[start : start + 10])


@pytest.mark.parametrize("entered", ["guard", "decorator", "wrap"])
def test_threads_by_map_are_right_and_by_completion_are_not(model, entered):
    wrapped = evalguard.wrap(model, labels=Y, reference=X, scope="parts", mlflow=False, **QUIET)
    g = wrapped.guard if entered == "wrap" else quiet(model=model)
    called = wrapped if entered == "wrap" else model

    def by_map():
        with ThreadPoolExecutor(2) as pool:
            g.confirm(np.concatenate(list(pool.map(lambda start: slow_first(called, start), STARTS))), Y)

    def by_completion():
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(slow_first, called, start) for start in STARTS]
            g.confirm(np.concatenate([job.result() for job in as_completed(jobs)]), Y)

    for run, expected in ((by_map, Verdict.PASS), (by_completion, Verdict.FAIL)):
        if entered == "decorator":
            g(run)()
        else:
            with wrapped if entered == "wrap" else g:
                run()
        assert verdict(g) is expected, g.report.not_proven
    assert g.report.diagnosis[0].cause.startswith("parts joined in")
    assert every_thread == []


def test_a_model_of_another_guard_is_not_guarded_in_other_threads(models):
    first, second = models[:2]
    with quiet(model=first) as g, ThreadPoolExecutor(1) as pool:
        rows = pool.submit(predict, first).result()
        pool.submit(predict, second).result()
        g.confirm(rows, Y)
    assert (g.verdict, g.report.counts["n_predictions"]) == (Verdict.PASS, N)
    pool = ThreadPoolExecutor(1)
    pool.submit(predict, first).result()
    assert len(g.reports) == 1


def test_two_guards_of_two_models_in_every_thread(models):
    first, second = models[:2]
    with quiet(model=first) as one, quiet(model=second) as other, ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(predict, model) for model in (first, second)]
        one.confirm(jobs[0].result(), Y)
        other.confirm(jobs[1].result()[::-1], Y)
    assert (one.verdict, other.verdict) == (Verdict.PASS, Verdict.FAIL)


def test_tasks_gathered_in_the_order_of_submission(model):
    async def evaluate(g, step):
        jobs = [asyncio.to_thread(slow_first, model, start) for start in STARTS]
        parts = await asyncio.gather(*jobs)
        g.confirm(np.concatenate(parts[::step]), Y)

    for step, expected in ((1, Verdict.PASS), (-1, Verdict.FAIL)):
        with quiet() as g:
            asyncio.run(evaluate(g, step))
        assert verdict(g) is expected


def test_run_in_executor_of_a_guarded_model(model):
    async def evaluate(g):
        loop = asyncio.get_running_loop()
        parts = await asyncio.gather(*(loop.run_in_executor(None, slow_first, model, start) for start in STARTS))
        g.confirm(np.concatenate(parts), Y)

    with quiet(model=model) as g:
        asyncio.run(evaluate(g))
    assert verdict(g) is Verdict.PASS


def test_nested_guards_take_each_its_parts(models):
    first, second = models[:2]
    with quiet(name="outer") as outer:
        halves = [predict(first, X[20:])]
        with quiet(name="inner") as inner:
            rows = [predict(second, X[20:]), predict(second, X[:20])]
            inner.confirm(np.concatenate(rows), Y)
        halves.insert(0, predict(first, X[:20]))
        outer.confirm(np.concatenate(halves), Y)
    assert (outer.verdict, inner.verdict) == (Verdict.PASS, Verdict.FAIL)


def test_wrap_needs_a_block_for_parts(model):
    wrapped = evalguard.wrap(model, labels=Y, scope="parts", mlflow=False)
    with pytest.raises(evalguard.ConfigError, match="scope='parts': expected the calls inside"):
        wrapped.predict(X, verbose=0)


# -- part --


def test_a_part_that_names_other_rows_than_were_predicted_is_a_fault_of_what_is_observed(model):
    with quiet() as g:
        with g.part(slice(0, 20)):
            one = predict(model, X[20:40])
        with g.part(slice(20, N)):
            other = predict(model, np.concatenate([X[:20], X[40:]]))
        g.confirm(np.concatenate([one, other]), Y)
    assert verdict(g) is Verdict.FAIL


def test_parts_that_are_named_without_a_reference_are_declared(model):
    with quiet(reference=None) as g:
        with g.part(np.arange(N) >= 20):
            late = predict(model, X[20:])
        with g.part(list(range(20))):
            early = np.concatenate([model.predict_on_batch(X[start : start + 5]) for start in range(0, 20, 5)])
        g.confirm(np.concatenate([early, late]), Y)
    assert (g.verdict, g.report.proof) == (Verdict.PASS, Proof.DECLARED)
    g.confirm(np.concatenate([late, early]), Y)
    assert verdict(g) is Verdict.FAIL


def test_rows_that_the_source_states_count_more_than_the_part(model):
    with quiet(reference=None) as g:
        with g.part(REVERSED):
            rows = predict(model, (evalguard.tagged(X[ids], index=ids) for ids in ALIGNED))
        g.confirm(rows, Y)
    assert (g.verdict, g.report.proof) == (Verdict.PASS, Proof.IDENTITY)


def test_named_parts_beside_stated_ones_are_declared(model):
    with quiet(reference=None) as g:
        early = predict(model, (evalguard.tagged(X[ids], index=ids) for ids in [np.arange(20)]))
        with g.part(slice(20, N)):
            late = predict(model, X[20:])
        g.confirm(np.concatenate([early, late]), Y)
    assert (g.verdict, g.report.proof) == (Verdict.PASS, Proof.DECLARED)


def test_one_part_without_a_name_is_unproven(model):
    with quiet(reference=None) as g:
        with g.part(slice(0, 20)):
            early = predict(model, X[:20])
        late = predict(model, X[20:])
        g.confirm(np.concatenate([early, late]), Y)
    assert verdict(g) is Verdict.UNPROVEN


@pytest.mark.parametrize("named", [19, 0])
def test_more_rows_than_a_part_names_are_not_known(model, named):
    with quiet(reference=None) as g:
        with g.part(slice(0, named)):
            early = predict(model, X[:20])
        with g.part(slice(20, N)):
            late = predict(model, X[20:])
        g.confirm(np.concatenate([early, late]), Y)
    assert verdict(g) is not Verdict.PASS
    assert f"expected calls on {named} row" in "".join(g.report.not_proven)


def test_a_part_that_several_threads_share_has_no_order(model):
    with quiet(reference=None) as g:
        with g.part(slice(0, N)):
            late = contextvars.copy_context()
            worker = threading.Thread(target=late.run, args=(predict, model, X[20:]))
            worker.start()
            worker.join()
            predict(model, X[:20])
        g.confirm(np.concatenate([X[20:], X[:20]]), Y)
    assert verdict(g) is Verdict.UNPROVEN
    assert "expected calls in one thread or task" in "".join(g.report.not_proven)


def test_parts_are_named_in_other_threads(model):
    def work(g, fold):
        with g.part(fold):
            return fold, predict(model, X[fold])

    with quiet(model=model, reference=None) as g, ThreadPoolExecutor(2) as pool:
        parts = [job.result() for job in [pool.submit(work, g, fold) for fold in FOLDS]]
        g.confirm(out_of_fold(parts), Y)
    assert (g.verdict, g.report.proof) == (Verdict.PASS, Proof.DECLARED)


@pytest.mark.parametrize(
    ("rows", "n_labels", "expected"),
    [
        (slice(2, 5), 10, [2, 3, 4]),
        (slice(None, None, -3), 10, [9, 6, 3, 0]),
        (slice(2, 5), None, [2, 3, 4]),
        (np.array([True, False, True]), 3, [0, 2]),
        ([5, 1], 10, [5, 1]),
        (np.array([], int), 10, []),
        ([], 10, []),
        (range(3), None, [0, 1, 2]),
    ],
)
def test_label_rows_of_a_part(rows, n_labels, expected):
    found = rows_of(rows, n_labels)
    assert found.tolist() == expected
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    ("rows", "n_labels"),
    [
        ([-1], 10),
        ([10], 10),
        ([0.5], 10),
        ([[1]], 10),
        (3, 10),
        ("ab", 10),
        (None, 10),
        (object(), 10),
        (np.array([True, False]), 3),
        (np.ones((3, 1), bool), 3),
        (slice(None), None),
        (slice(-3, 5), None),
        (slice(0, -1), None),
    ],
)
def test_what_is_no_row_of_the_labels_is_refused(rows, n_labels):
    with pytest.raises(ValueError, match=r"^part: expected "):
        rows_of(rows, n_labels)


# -- put_back --


@pytest.mark.parametrize("step", [1, -1])
def test_parts_are_put_back_by_what_each_row_is(models, step):
    with quiet() as g:
        parts = [rows for _, rows in of_folds(g, models)]
        whole = g.put_back(parts[::step])
        assert g.confirm(whole, Y) is whole
    assert np.array_equal(whole[:, 0], out_of_fold(zip(FOLDS, parts, strict=True)))
    assert verdict(g) is Verdict.PASS
    assert np.array_equal(g.put_back(reversed(parts)), whole)
    assert np.array_equal(g.put_back([np.concatenate(parts)]), whole)


def test_named_parts_are_put_back_without_a_reference(models):
    with quiet(reference=None) as g:
        parts = list(of_folds(g, models, named=True))
        whole = g.put_back([rows for _, rows in parts])
    assert np.array_equal(whole[:, 0], out_of_fold(parts))


def test_trees_of_outputs_are_put_back():
    inputs = keras.Input((1,))
    double = keras.Model(inputs, {"b": inputs * 2, "a": inputs * inputs})
    with quiet() as g:
        whole = g.put_back([predict(double, X[fold]) for fold in FOLDS])
    assert np.array_equal(whole["b"], X * 2)
    assert np.array_equal(whole["a"], X * X)


def test_rows_of_few_values_are_put_back_where_their_sample_belongs(three):
    with quiet() as g:
        parts = [predict(three, X[fold]) for fold in FOLDS]
        assert np.array_equal(g.put_back(parts), X % 3)
        assert np.array_equal(g.put_back(parts[::-1]), X % 3)


def test_members_of_few_values_are_put_back_by_their_own_rows():
    def member(shift):
        inputs = keras.Input((1,))
        return keras.Model(inputs, keras.layers.Lambda(lambda x: (x + shift) % 3)(inputs))

    with quiet() as g:
        parts = [[predict(one, X[fold]) for fold in FOLDS] for one in (member(0), member(1))]
        for shift in (0, 1):
            assert np.array_equal(g.put_back(parts[shift]), (X + shift) % 3)
            assert np.array_equal(g.put_back(parts[shift][::-1]), (X + shift) % 3)
        with pytest.raises(ValueError, match="put_back: "):
            g.put_back([np.concatenate(parts[1])])


def errors(model, change, **options):
    with quiet(**options) as g:
        parts = [predict(model, X[fold]) for fold in FOLDS]
        with pytest.raises(ValueError, match=r"^put_back: ") as raised:
            g.put_back(change(parts))
        g.confirm(out_of_fold(zip(FOLDS, parts, strict=True)), Y)
    return str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts[1:], "10 labels with none, 0 with several"),
        (lambda parts: [*parts, parts[0]], "found 60 rows: 0 labels with none, 10 with several"),
        (lambda parts: [*parts[1:], parts[1]], "found 50 rows: 10 labels with none, 10 with several"),
        (lambda parts: [part * 2 + 7 for part in parts], "not returned by a guarded call"),
        (lambda _: [], "found other rows"),
        (lambda parts: [*parts, object()], ""),
        (lambda parts: [*parts[1:], parts[0][:, :0]], ""),
        (lambda parts: [[part, part] for part in parts], "with the same outputs"),
    ],
)
def test_what_cannot_be_put_back_is_refused(model, change, message):
    assert message in errors(model, change)


def test_what_nothing_identifies_cannot_be_put_back(model):
    assert "nothing shows which sample each row is" in errors(model, list, reference=None)


def test_without_a_call_nothing_can_be_put_back(model):
    with quiet() as g:
        with pytest.raises(ValueError, match="found no guarded call that returned rows"):
            g.put_back([X])
        g.confirm(predict(model), Y)
    with pytest.raises(LookupError):
        quiet().put_back([X])


def test_without_labels_or_reference_nothing_can_be_put_back(model):
    with evalguard.guard(mlflow=False, scope="parts", **QUIET) as g:
        rows = predict(model)
        with pytest.raises(ValueError, match=r"^put_back: "):
            g.put_back([rows])
        g.labels = Y


def test_keras_of_each_kind(engine):
    inputs = engine.keras.Input((1,))
    tiny = engine.keras.Model(inputs, inputs * 2)
    with quiet() as g:
        parts = [tiny.predict(X[fold], verbose=0) for fold in FOLDS[:3]]
        parts += [np.asarray(tiny.predict_on_batch(X[fold])) for fold in FOLDS[3:]]
        g.confirm(g.put_back(parts), Y)
    assert verdict(g) is Verdict.PASS
    g.confirm(np.concatenate(parts), Y)
    assert verdict(g) is Verdict.FAIL
    with quiet() as g:
        g.confirm(tiny.predict(dataset(), verbose=0), Y)
    assert verdict(g) is Verdict.PASS
