"""What is scored, as the caller confirms it: found among the rows that guarded calls returned."""

import asyncio
import contextlib
import json
import threading
import warnings

import keras
import numpy as np
import pandas as pd
import pytest

import evalguard
from evalguard import Proof, Verdict
from tests.guards.streams import ALIGNED, BATCH, N, X, Y, dataset, guard, verdict

QUIET = {"on_failure": "record", "on_unproven": "record"}
ORDER = np.random.default_rng(0).permutation(N)
INVERSE = np.argsort(ORDER)
SEEDS = keras.random.SeedGenerator(1)


def quiet(**options):
    return guard(**{"reference": X, **QUIET, **options})


@pytest.fixture(scope="module")
def functional():
    """A model of one row-wise function of ``x``, with one or several outputs."""
    made = {}

    def of(*functions, names=None):
        key = (functions, names)
        if key not in made:
            inputs = keras.Input((1,))
            outputs = [keras.layers.Lambda(function)(inputs) for function in functions]
            shown = dict(zip(names, outputs, strict=True)) if names else outputs if len(outputs) > 1 else outputs[0]
            made[key] = keras.Model(inputs, shown)
        return made[key]

    return of


def predict(model, x=X):
    return model.predict(x, verbose=0)


def confirmed(model, change=lambda rows: rows, y_true=Y, x=X, **options):
    """The report of an evaluation whose rows are changed before they are confirmed inside the block."""
    with quiet(**options) as g:
        g.confirm(change(predict(model, x)), y_true)
    return g.report


def link(report):
    return report.chain[-1].status


def reasons(report):
    return [finding.reason.value for finding in report.findings]


# -- Inside the block --


def test_the_rows_that_were_returned_and_the_labels_of_the_guard_close_the_chain(model):
    report = confirmed(model)
    assert (report.verdict, report.proof, link(report)) == (Verdict.PASS, Proof.IDENTITY, "proven")


def test_without_labels_it_is_declared_that_they_are_those_of_the_guard(model):
    report = confirmed(model, y_true=None)
    assert (report.verdict, link(report)) == (Verdict.PASS, "declared")
    assert "is assumed" in report.chain[-1].basis


def test_confirm_returns_the_very_object(model):
    with quiet() as g:
        rows = predict(model)
        assert g.confirm(rows, Y) is rows
    assert g.confirm(rows) is rows


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        pytest.param(lambda rows: rows[::-1], "rows moved between `predict` and the score", id="reversed"),
        pytest.param(lambda rows: np.sort(rows, axis=0)[::-1], "rows moved", id="sorted"),
        pytest.param(lambda rows: np.roll(rows, 1, axis=0), "rows moved", id="shifted"),
        pytest.param(lambda rows: rows[np.r_[1, 0, 2:N]], "rows moved", id="two-rows-swapped"),
        pytest.param(lambda rows: np.concatenate([rows[10:], rows[:10]]), "rows moved", id="parts-swapped"),
    ],
)
def test_rows_that_moved_before_the_score_are_a_fault_of_what_is_scored_only(model, change, cause):
    report = confirmed(model, change)
    assert (report.verdict, link(report)) == (Verdict.FAIL, "broken")
    assert report.diagnosis[0].cause.startswith(cause)
    assert [item.status for item in report.chain if item.link == "fed"] == ["proven"]


@pytest.mark.parametrize("length", [10, N - 1])
def test_labels_without_a_scored_row_are_a_fault(model, length):
    report = confirmed(model, lambda rows: rows[:length], y_true=None)
    assert report.verdict is Verdict.FAIL
    assert "missing" in reasons(report)


def test_rows_that_are_scored_twice_are_a_fault(model):
    report = confirmed(model, lambda rows: np.concatenate([rows, rows[:5]]), y_true=None)
    assert report.verdict is Verdict.FAIL
    assert "duplicate" in reasons(report)


def test_sorted_rows_that_are_put_back_are_right_and_put_back_with_the_order_are_a_fault(model):
    assert confirmed(model, lambda rows: rows[INVERSE], x=X[ORDER]).verdict is Verdict.PASS
    report = confirmed(model, lambda rows: rows[ORDER], x=X[ORDER])
    assert report.verdict is Verdict.FAIL
    assert report.diagnosis[0].cause == "put back with the order instead of its inverse"
    assert "argsort" in report.diagnosis[0].remedy


def test_a_fault_of_the_source_stays_one_when_its_rows_are_scored_where_they_were_returned(model):
    report = confirmed(model, x=X[ORDER])
    assert report.verdict is Verdict.FAIL
    assert [item.status for item in report.chain if item.link == "fed"] == ["broken"]


# -- Other values --


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda rows: (rows > 3).astype(int), id="classes"),
        pytest.param(lambda rows: rows.argmax(axis=1), id="argmax"),
        pytest.param(lambda rows: (rows + rows[::-1]) / 2, id="average"),
        pytest.param(lambda rows: np.round(rows / 30) * 30, id="rounded"),
        pytest.param(lambda rows: np.where(rows > 20, 49.0, 0.0).astype("float32"), id="two-values-that-exist"),
        pytest.param(lambda rows: np.nan_to_num(rows / 0), id="nothing-left"),
    ],
)
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
@pytest.mark.parametrize("scope", ["call", "parts"])
def test_values_that_no_call_returned_are_unproven_with_the_advice_to_confirm_before(model, change, scope):
    report = confirmed(model, change, scope=scope)
    assert (report.verdict, link(report)) == (Verdict.UNPROVEN, "not seen")
    assert "confirm the rows before that step" in "".join(report.not_proven)


def test_two_values_that_exist_are_no_rows_of_parts_that_were_predicted_twice(model):
    with quiet(scope="parts") as g:
        predict(model)
        rows = predict(model)
        g.confirm(np.where(rows > 20, 49.0, 0.0).astype("float32"), Y)
    assert verdict(g) is Verdict.UNPROVEN


def test_one_column_of_several_is_another_value(functional):
    report = confirmed(functional(lambda x: keras.ops.concatenate([x, -x], axis=1)), lambda rows: rows[:, 0])
    assert report.verdict is Verdict.UNPROVEN


@pytest.mark.parametrize(
    "garbage",
    [
        object(),
        None,
        3,
        "rows",
        {},
        [],
        [[1, 2], [3]],
        np.zeros((0, 1)),
        np.zeros(()),
        {1: X, "a": X},
        [X, X[:3]],
        lambda: 1,
        np.array([object()]),
        {1, 2},
        pd.DataFrame(),
        np.array(["a"]),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("late", [False, True])
def test_what_cannot_be_compared_is_unproven_and_never_raises(model, garbage, late):
    for given in ((garbage,), (X, garbage), (X, Y, garbage)):
        with quiet() as g:
            predict(model)
            if not late:
                assert g.confirm(*given) is given[0]
        if late:
            assert g.confirm(*given) is given[0]
        assert verdict(g) is not Verdict.PASS or given[-1] is None, given


def test_a_generator_is_not_consumed(model):
    rows = (row for row in X)
    with quiet() as g:
        predict(model)
        g.confirm(rows, Y)
    assert len(list(rows)) == N
    assert verdict(g) is Verdict.UNPROVEN


# -- The form of what is scored --


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(np.float64, id="float64"),
        pytest.param(lambda rows: rows[:, 0], id="flat"),
        pytest.param(lambda rows: rows[:, None], id="more-axes"),
        pytest.param(lambda rows: rows.tolist(), id="list"),
        pytest.param(lambda rows: pd.DataFrame(rows), id="frame"),
        pytest.param(lambda rows: pd.DataFrame({"p": rows[:, 0]}, index=ORDER), id="frame-with-an-index"),
        pytest.param(lambda rows: pd.Series(rows[:, 0]), id="series"),
        pytest.param(lambda rows: keras.ops.convert_to_tensor(rows), id="tensor"),
        pytest.param(lambda rows: [rows], id="list-of-one-output"),
        pytest.param(lambda rows: {"p": rows}, id="dict-of-one-output"),
        pytest.param(lambda rows: np.asfortranarray(rows), id="fortran"),
        pytest.param(lambda rows: rows.copy()[::2].repeat(2, axis=0) * 0 + rows, id="computed-to-the-same"),
    ],
)
def test_the_same_values_in_another_form_are_the_same_rows(model, change):
    assert confirmed(model, change).verdict is Verdict.PASS
    assert confirmed(model, lambda rows: change(np.ascontiguousarray(rows[::-1]))).verdict is Verdict.FAIL


@pytest.mark.parametrize("names", [None, ("b", "a")], ids=["list", "dict"])
def test_several_outputs_are_compared_together_or_one_by_itself(functional, names):
    double = functional(lambda x: x * 2, lambda x: x * x, names=names)
    report = confirmed(double, y_true=None)
    assert (report.verdict, report.proof) == (Verdict.PASS, Proof.IDENTITY)
    for one in (0, 1):
        chosen = names[one] if names else one
        assert confirmed(double, lambda rows, chosen=chosen: rows[chosen], y_true=None).verdict is Verdict.PASS
        report = confirmed(double, lambda rows, chosen=chosen: rows[chosen][::-1], y_true=None)
        assert report.verdict is Verdict.FAIL


def test_one_of_several_outputs_in_another_order_is_a_fault_or_no_row(functional):
    double = functional(lambda x: x * 2, lambda x: x * x)
    report = confirmed(double, lambda rows: [rows[0], rows[1][::-1]], y_true=None)
    assert report.verdict is not Verdict.PASS


def test_a_dict_of_outputs_has_no_order(functional):
    named = functional(lambda x: x * 2, lambda x: x * x, names=("b", "a"))
    assert confirmed(named, lambda rows: {"b": rows["b"], "a": rows["a"]}, y_true=None).verdict is Verdict.PASS
    assert confirmed(named, lambda rows: {"a": rows["a"], "b": rows["b"]}, y_true=None).verdict is Verdict.PASS


def test_a_frame_with_one_column_for_each_output(functional):
    double = functional(lambda x: x * 2, lambda x: x * x)

    def frame(rows, order=slice(None)):
        return pd.DataFrame({"double": rows[0][order, 0], "square": rows[1][order, 0]})

    assert confirmed(double, frame, y_true=None).verdict is Verdict.PASS
    assert confirmed(double, lambda rows: frame(rows, ORDER), y_true=None).verdict is Verdict.FAIL


def test_outputs_of_the_same_few_values_are_not_taken_for_each_other(functional):
    signs = functional(lambda x: x * 0 + keras.ops.cast(x > 20, "float32"), lambda x: keras.ops.cast(x < 29, "float32"))
    for one in (0, 1):
        report = confirmed(signs, lambda rows, one=one: rows[one], y_true=None)
        assert report.verdict is Verdict.PASS, one
    with quiet(scope="parts") as g:
        parts = [predict(signs, X[ids]) for ids in (ORDER[:20], ORDER[20:])]
        g.confirm(np.concatenate([part[1] for part in parts])[INVERSE])
    assert verdict(g) is Verdict.PASS


def test_equal_rows_are_interchangeable(functional):
    three = functional(lambda x: x % 3)
    rows = predict(three)
    same = np.concatenate([np.flatnonzero(rows[:, 0] == value)[::-1] for value in range(3)])
    order = np.empty(N, int)
    order[np.sort(same)] = np.arange(N)
    for value in range(3):
        at = np.flatnonzero(rows[:, 0] == value)
        order[at] = at[::-1]
    assert not np.array_equal(order, np.arange(N))
    assert confirmed(three, lambda rows: rows[order]).verdict is Verdict.PASS
    report = confirmed(three, lambda rows: rows[::-1])
    assert report.verdict is Verdict.FAIL
    assert confirmed(three, lambda rows: rows[INVERSE], x=X[ORDER]).verdict is Verdict.PASS


# -- Labels and weights --


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(Y.tolist(), id="list"),
        pytest.param(tuple(Y.tolist()), id="tuple"),
        pytest.param(pd.Series(Y, index=ORDER), id="series"),
        pytest.param(pd.DataFrame({"y": Y}), id="frame"),
        pytest.param(Y[:, None], id="column"),
        pytest.param(Y.astype("float32"), id="float"),
        pytest.param(np.eye(4)[Y], id="one-hot"),
    ],
)
def test_labels_in_another_form_are_those_of_the_guard(model, labels):
    report = confirmed(model, y_true=labels)
    assert (report.verdict, link(report)) == (Verdict.PASS, "proven"), report.not_proven


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(Y[::-1], id="reversed"),
        pytest.param(Y[::-1].tolist(), id="reversed-list"),
        pytest.param(np.roll(Y, 1), id="shifted"),
        pytest.param(np.sort(Y), id="sorted"),
        pytest.param(np.eye(4)[Y[ORDER]], id="one-hot-in-another-order"),
        pytest.param(Y[:-1], id="too-few"),
        pytest.param(np.r_[Y, 0], id="too-many"),
        pytest.param(np.r_[1 - Y[:1], Y[1:]], id="one-other-label"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_labels_that_are_not_those_of_the_guard_row_by_row_are_a_fault(model, labels, late):
    with quiet() as g:
        rows = predict(model)
        if not late:
            g.confirm(rows, labels)
    if late:
        g.confirm(rows, labels)
    assert (g.report.verdict, link(g.report)) == (Verdict.FAIL, "broken")
    assert reasons(g.report) == ["scored_with_others"]
    assert g.report.diagnosis[0].cause == "scored against other labels or weights than those that were checked"


def test_text_labels(model):
    names = np.array(["ant", "bee", "cat", "dog"])[Y]
    with guard(labels=names, reference=X, **QUIET) as g:
        g.confirm(predict(model), names.tolist())
    assert verdict(g) is Verdict.PASS
    g.confirm(predict(model), names[::-1].tolist())
    assert verdict(g) is Verdict.FAIL


def test_labels_of_two_outputs_as_a_list(functional):
    double = functional(lambda x: x * 2, lambda x: x * x)
    with guard(labels=[Y, X[:, 0]], reference=X, **QUIET) as g:
        rows = predict(double)
        g.confirm(rows, [Y, X[:, 0]])
    assert verdict(g) is Verdict.PASS
    g.confirm(rows, [Y, X[::-1, 0]])
    assert verdict(g) is Verdict.FAIL


def test_a_guard_without_labels_cannot_say_whose_they_are(model):
    with evalguard.guard(reference=X, mlflow=False, **QUIET) as g:
        g.confirm(predict(model), Y)
    assert verdict(g) is Verdict.UNPROVEN
    assert "pass labels=y_true to the guard" in "".join(g.report.not_proven)


def test_labels_that_change_after_confirm_are_those_that_were_passed(model):
    mine = Y.copy()
    with quiet() as g:
        g.confirm(predict(model), mine)
        mine[:] = 0
    assert verdict(g) is Verdict.PASS


# -- What is not observed --


def test_without_a_reference_rows_in_place_are_declared_and_rows_that_moved_are_unproven(model):
    report = confirmed(model, reference=None)
    assert (report.verdict, report.proof, link(report)) == (Verdict.PASS, Proof.DECLARED, "proven")
    for change in (lambda rows: rows[::-1], lambda rows: rows[INVERSE]):
        report = confirmed(model, change, reference=None)
        assert (report.verdict, link(report)) == (Verdict.UNPROVEN, "not seen")
        assert "nothing observed shows which sample each one is" in "".join(report.not_proven)


def test_rows_known_by_their_targets_only_are_followed_by_these(model):
    with guard(labels=X[:, 0], **QUIET, duplicate_inputs="allow") as g:
        rows = predict(model, dataset().map(lambda x: (x, x[:, 0])))
        g.confirm(rows, X[:, 0])
    assert (g.report.verdict, g.report.proof) == (Verdict.PASS, Proof.LABELS)
    g.confirm(rows[::-1], X[:, 0])
    assert verdict(g) is Verdict.FAIL


# -- When it is confirmed --


def test_a_shuffle_in_place_before_confirm_is_seen(model):
    with quiet() as g:
        rows = predict(model)
        np.random.default_rng(1).shuffle(rows)
        g.confirm(rows, Y)
    assert verdict(g) is Verdict.FAIL


def test_a_shuffle_in_place_of_the_batches_of_a_loop_is_seen(model):
    with quiet() as g:
        parts = [np.array(model.predict_on_batch(X[ids])) for ids in ALIGNED]
        for part in parts:
            part[:] = part[::-1].copy()
        g.confirm(np.concatenate(parts), Y)
    assert verdict(g) is Verdict.FAIL


def test_rows_that_change_after_confirm_are_those_that_were_passed(model):
    with quiet() as g:
        rows = predict(model)
        g.confirm(rows, Y)
        rows[:] = 0
    assert verdict(g) is Verdict.PASS


def test_after_the_block_the_verdict_is_replaced_and_raises_as_the_exit_does(model):
    with guard(reference=X) as g:
        rows = predict(model)
    assert (g.report.verdict, len(g.reports)) == (Verdict.PASS, 1)
    with pytest.warns(evalguard.EvalGuardWarning, match="confirm"):
        g.confirm(rows + 0.5, Y)
    assert (g.verdict, len(g.reports)) == (Verdict.UNPROVEN, 1)
    with pytest.raises(evalguard.MisalignmentError) as raised:
        g.confirm(rows[::-1], Y)
    assert raised.value.report is g.report
    assert (g.verdict, len(g.reports)) == (Verdict.FAIL, 1)
    assert np.array_equal(raised.value.predictions, rows)
    g.confirm(rows, Y)
    assert (g.verdict, len(g.reports)) == (Verdict.PASS, 1)


def test_inside_the_block_the_verdict_is_decided_at_its_end(model):
    with pytest.raises(evalguard.MisalignmentError), guard(reference=X) as g:
        g.confirm(predict(model)[::-1], Y)
        assert verdict(g) is Verdict.PASS
    assert (g.verdict, len(g.reports)) == (Verdict.FAIL, 1)


def test_of_several_confirmations_inside_the_block_the_worst_counts(model):
    with quiet() as g:
        rows = predict(model)
        g.confirm(rows[::-1], Y)
        g.confirm(rows, Y)
    assert verdict(g) is Verdict.FAIL


@pytest.mark.parametrize("scope", ["call", "session", "parts"])
def test_rows_of_a_loop_that_are_put_back_raise_nothing(model, scope):
    with warnings.catch_warnings(), guard(reference=X, scope=scope, on_unproven="raise") as g:
        warnings.simplefilter("error")
        rows = np.empty((N, 1), "float32")
        for ids in ALIGNED[::-1]:
            rows[ids] = model.predict_on_batch(X[ids])
        g.confirm(rows, Y)
    assert (g.verdict, g.report.proof) == (Verdict.PASS, Proof.IDENTITY)


def test_late_labels_and_rows_that_are_put_back_raise_nothing(model):
    with evalguard.guard(reference=X, mlflow=False) as g:
        g.confirm(predict(model, X[ORDER])[INVERSE], Y)
        g.labels = Y
    assert verdict(g) is Verdict.PASS


def test_a_call_that_raised_inside_the_block_can_be_put_back_and_confirmed_after_it(model):
    with pytest.raises(evalguard.MisalignmentError) as raised, guard(reference=X) as g:
        predict(model, X[ORDER])
    assert verdict(g) is Verdict.FAIL
    g.confirm(raised.value.predictions[INVERSE], Y)
    assert (g.verdict, len(g.reports)) == (Verdict.PASS, 1)


def test_a_block_that_raised_before_any_call_has_nothing_to_confirm():
    with pytest.raises(KeyError), quiet() as g:
        raise KeyError
    g.confirm(X, Y)
    assert verdict(g) is Verdict.UNPROVEN
    assert "no guarded call returned rows" in "".join(g.report.not_proven)


def test_nothing_to_confirm_without_a_block():
    with pytest.raises(LookupError):
        guard().confirm(X)


def test_a_block_without_a_call_stays_unproven():
    with quiet() as g:
        g.confirm(X, Y)
    assert [report.verdict for report in g.reports] == [Verdict.UNPROVEN]


def test_confirm_in_another_thread(model):
    with quiet() as g:
        rows = predict(model)[::-1]
        worker = threading.Thread(target=g.confirm, args=(rows, Y))
        worker.start()
        worker.join()
    assert verdict(g) is Verdict.FAIL
    worker = threading.Thread(target=g.confirm, args=(rows[::-1], Y))
    worker.start()
    worker.join()
    assert verdict(g) is Verdict.PASS


def test_two_evaluations_in_one_block_are_confirmed_each_by_its_rows(model, functional):
    other = functional(lambda x: x + 1000)
    for first, second, expected in ((1, 1, "PASS PASS"), (-1, 1, "FAIL PASS"), (1, -1, "PASS FAIL")):
        with quiet() as g:
            rows, others = predict(model), predict(other)
            g.confirm(others[::second], Y)
            g.confirm(rows[::first], Y)
        assert " ".join(report.verdict.value for report in g.reports) == expected
        assert all(link(report) != "declared" for report in g.reports)


def test_every_confirmation_is_recorded_before_one_raises(model, functional):
    with pytest.raises(evalguard.MisalignmentError), guard(reference=X) as g:
        rows, others = predict(model), predict(functional(lambda x: x + 1000))
        g.confirm(rows[::-1], Y)
        g.confirm(others[::-1], Y)
    assert [report.verdict for report in g.reports] == [Verdict.FAIL] * 2


def test_an_earlier_evaluation_is_confirmed_after_the_block_and_recorded(model, functional, tmp_path):
    with quiet(output=tmp_path) as g:
        rows, _ = predict(model), predict(functional(lambda x: x + 1000))
    g.confirm(rows[::-1], Y)
    assert [report.verdict for report in g.reports] == [Verdict.FAIL, Verdict.PASS]
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == "FAIL"
    assert json.loads((tmp_path / "report-2.json").read_text())["verdict"] == "PASS"


# -- With other entry points --


def test_nested_guards_confirm_each_their_calls(model):
    with quiet(name="outer") as outer:
        rows = predict(model)
        with quiet(name="inner") as inner:
            inner.confirm(predict(model)[::-1], Y)
        outer.confirm(rows, Y)
    assert (outer.verdict, inner.verdict) == (Verdict.PASS, Verdict.FAIL)


@pytest.mark.parametrize("change", [lambda rows: rows, lambda rows: rows[::-1]], ids=["as-returned", "reversed"])
def test_what_a_decorated_function_returns_is_confirmed(model, change):
    g = quiet(returns="predictions")

    @g
    def plain():
        return change(predict(model))

    @g
    async def later():
        await asyncio.sleep(0)
        return change(predict(model))

    expected = Verdict.PASS if change(X)[0] == X[0] else Verdict.FAIL
    for result in (plain(), asyncio.run(later())):
        assert np.array_equal(result, change(X))
        assert (g.verdict, link(g.report) == "broken") == (expected, expected is Verdict.FAIL)


def test_a_decorated_function_that_returns_nothing_is_unproven(model):
    @(g := quiet(returns="predictions"))
    def nothing():
        predict(model)

    nothing()
    assert verdict(g) is Verdict.UNPROVEN


def test_confirm_inside_a_decorated_function_is_of_that_call(model):
    g = quiet()

    @g
    def evaluate(step):
        g.confirm(predict(model)[::step], Y)

    for step, expected in ((-1, Verdict.FAIL), (1, Verdict.PASS), (-1, Verdict.FAIL)):
        evaluate(step)
        assert verdict(g) is expected
    assert len(g.reports) == 3


def test_a_wrapped_model_is_confirmed_after_its_call(model):
    wrapped = evalguard.wrap(model, labels=Y, reference=X, mlflow=False, **QUIET)
    rows = wrapped.predict(X, verbose=0)
    wrapped.guard.confirm(rows[::-1], Y)
    assert verdict(wrapped.guard) is Verdict.FAIL
    with wrapped:
        wrapped.guard.confirm(wrapped.predict(X, verbose=0), Y)
    assert verdict(wrapped.guard) is Verdict.PASS


def test_a_session_is_confirmed_as_a_whole(model):
    with quiet(scope="session") as g:
        parts = [predict(model, X[ids]) for ids in (slice(0, 20), slice(20, N))]
        g.confirm(np.concatenate(parts), Y)
    assert (g.verdict, len(g.reports)) == (Verdict.PASS, 1)
    g.confirm(np.concatenate(parts[::-1]), Y)
    assert verdict(g) is Verdict.FAIL
    assert g.report.diagnosis[0].cause == "parts joined in another order"


@pytest.mark.parametrize("method", ["predict_on_batch", "__call__"])
def test_a_loop_over_batches_is_confirmed_as_a_whole(model, method):
    with quiet() as g:
        parts = [np.asarray(getattr(model, method)(X[ids])) for ids in ALIGNED]
        g.confirm(np.concatenate(parts), Y)
    assert verdict(g) is Verdict.PASS
    g.confirm(np.concatenate(parts[::-1]), Y)
    assert verdict(g) is Verdict.FAIL


def test_repaired_rows_are_confirmed_in_their_new_order(model):
    with quiet(on_failure="repair") as g:
        rows = predict(model, X[ORDER])
        assert np.array_equal(rows, X)
        g.confirm(rows, Y)
    assert (g.verdict, link(g.report)) == (Verdict.REPAIRED, "proven")
    with pytest.raises(evalguard.MisalignmentError):
        g.confirm(rows[::-1], Y)
    g.confirm(rows, Y)
    assert verdict(g) is Verdict.REPAIRED
    g.confirm(rows * 2, Y)
    assert verdict(g) is Verdict.UNPROVEN


def test_padding_that_was_cut_is_not_scored(model):
    padded = np.concatenate([X, X[:6]])
    with guard(labels=Y, reference=X, padding="trim", **QUIET) as g:
        rows = predict(model, padded)
        g.confirm(rows, Y)
    assert (len(rows), g.verdict) == (N, Verdict.PASS)
    g.confirm(rows[::-1], Y)
    assert verdict(g) is Verdict.FAIL


def test_padding_that_the_caller_cuts(model):
    padded = np.concatenate([X, X[:6]])
    with evalguard.guard(reference=X, padding="trim", mlflow=False, **QUIET) as g:
        rows = predict(model, padded)
        g.labels = Y
        g.confirm(rows[:N], Y)
    assert (len(rows), g.verdict) == (N + 6, Verdict.PASS)
    g.confirm(rows[6:], Y)
    assert verdict(g) is Verdict.FAIL


def test_what_is_guarded_returns_raises_and_draws_as_without(functional):
    noisy = functional(lambda x: x + keras.random.normal((1,), seed=SEEDS))
    found = []
    for scope in (None, "call", "parts"):
        SEEDS.state.assign([1, 2])
        np.random.seed(3)  # noqa: NPY002 - the state that user code may rely on
        with contextlib.nullcontext() if scope is None else quiet(scope=scope, model=noisy) as g:
            rows = predict(noisy)
            if g is not None:
                g.confirm(rows, Y)
            with pytest.raises(Exception, match=r"\w") as raised:
                predict(noisy, np.zeros((3, 7, 2)))
        found.append((rows.tobytes(), np.random.rand(), type(raised.value)))  # noqa: NPY002
    assert found[0] == found[1] == found[2]


class Kept:
    """A sink of the user's, with or without ``replace``."""

    def __init__(self):
        self.calls = []

    def begin(self, name):
        self.calls.append("begin")

    def write(self, report, artifacts):
        self.calls.append(report.verdict.value)

    def failed(self, error):
        self.calls.append("failed")


class Replacing(Kept):
    def replace(self, number, report, artifacts):
        self.calls.append((number, report.verdict.value))


def test_a_sink_replaces_the_report_or_gets_one_more(model):
    plain, replacing = Kept(), Replacing()
    with quiet(sinks=[plain, replacing]) as g:
        rows = predict(model)
    g.confirm(rows[::-1], Y)
    assert plain.calls == ["begin", "PASS", "FAIL"]
    assert replacing.calls == ["begin", "PASS", (0, "FAIL")]


def test_keras_of_each_kind(engine):
    inputs = engine.keras.Input((1,))
    tiny = engine.keras.Model(inputs, [inputs * 2, inputs * inputs])
    with quiet() as g:
        rows = tiny.predict(dataset(), verbose=0)
        g.confirm(rows)
    assert verdict(g) is Verdict.PASS
    g.confirm([rows[0][::-1], rows[1][::-1]])
    assert verdict(g) is Verdict.FAIL
    with quiet() as g:
        parts = [tiny.predict_on_batch(X[start : start + BATCH]) for start in range(0, N, BATCH)]
        g.confirm([np.concatenate([part[output] for part in parts]) for output in (0, 1)])
    assert verdict(g) is Verdict.PASS


def test_a_fail_of_what_is_scored_advises_no_loop(model):
    with guard(reference=X, scope="parts", on_failure="record") as g:
        parts = [model.predict(X[rows], verbose=0) for rows in (slice(25, N), slice(25))]
        g.confirm(np.concatenate(parts))
    assert g.report.verdict is Verdict.FAIL
    assert g.report.advice == ""


def test_a_confirmation_that_replaces_a_fail_says_so(model):
    with guard(reference=X, on_failure="record") as g:
        rows = model.predict(X, verbose=0)
    g.confirm(rows[::-1])
    g.confirm(rows)
    assert g.report.verdict is Verdict.PASS
    assert "was a FAIL; this one replaces it" in g.report.not_proven[0]
    g.confirm(rows)
    assert not any("replaces" in note for note in g.report.not_proven)
