"""Index, keys, labels and data frame of the rows that were returned."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

import evalguard
from evalguard import Verdict
from evalguard.guards.results import Results, in_order
from tests.guards.streams import N, X, Y, dataset, faulty, guard


def test_index_keys_and_labels_are_in_the_order_of_the_returned_rows(model):
    order = np.random.default_rng(0).permutation(N)
    labels = evalguard.Labels(values=Y, keys=np.array([f"s{i}" for i in range(N)]))
    with evalguard.guard(labels=labels, reference=X, on_failure="record", mlflow=False) as g:
        predictions = model.predict(dataset([order]), verbose=0)
    assert g.index is not None
    assert g.keys is not None
    assert np.array_equal(g.index, order)
    assert np.array_equal(g.y_true, Y[order])
    assert g.keys.tolist() == [f"s{i}" for i in order]
    frame = g.to_frame()
    assert list(frame.columns) == ["row", "sample", "key", "y_true", "prediction"]
    assert np.array_equal(frame["prediction"], predictions[:, 0])
    assert np.array_equal(frame["sample"], order)


def test_the_label_of_a_foreign_row_is_masked(model):
    with guard(reference=X, on_failure="record") as g:
        model.predict(faulty("foreign_row"), verbose=0)
    assert g.y_true.mask.sum() == 1
    assert g.index is not None
    assert g.index[N // 2] < 0


def test_asking_for_a_report_too_early_says_so():
    with pytest.raises(LookupError, match="nothing has been judged yet"):
        _ = guard().report


def results(**outcome):
    made = Results()
    fields = {"report": None, "labels": None, "trace": None, "samples": None, **outcome}
    made._kept.add(SimpleNamespace(**fields))  # noqa: SLF001 - as an entry into a guard does
    return made


def labels(values=None, keys=None, weights=None):
    return SimpleNamespace(values=values, keys=keys, weights=weights)


def test_without_labels_the_keys_are_those_of_the_stream():
    trace = SimpleNamespace(keys=np.array(["b", "a"]), targets=None)
    assert results(trace=trace).keys.tolist() == ["b", "a"]
    assert results(trace=trace, labels=labels()).keys.tolist() == ["b", "a"]
    assert results().keys is None


def test_labels_are_those_of_the_samples_else_the_stream_s_own():
    trace = SimpleNamespace(keys=None, targets=np.array([7, 8]))
    given = labels(values=np.array([5, 6]))
    assert results(trace=trace, labels=given, samples=np.array([1, 0])).y_true.tolist() == [6, 5]
    assert results(trace=trace, labels=given).y_true.tolist() == [7, 8]
    assert results(trace=trace).y_true is None


def test_labels_of_several_outputs_are_ordered_by_output():
    given = labels(values={"a": np.array([5, 6]), "b": np.array([[1, 2], [3, 4]])})
    found = results(labels=given, samples=np.array([1, 0])).y_true
    assert {name: part.tolist() for name, part in found.items()} == {"a": [6, 5], "b": [[3, 4], [1, 2]]}


WEIGHTS = np.linspace(0.5, 2, N)


def test_sample_weights_are_in_the_order_of_the_returned_rows(model):
    order = np.random.default_rng(0).permutation(N)
    with evalguard.guard(labels=Y, sample_weight=WEIGHTS, reference=X, on_failure="record", mlflow=False) as g:
        model.predict(dataset([order]), verbose=0)
    assert np.array_equal(g.sample_weight, WEIGHTS[order])
    table = g.to_frame()
    assert list(table.columns) == ["row", "sample", "y_true", "sample_weight", "prediction"]
    assert np.array_equal(table["sample_weight"], WEIGHTS[order])


def test_sample_weights_of_repaired_rows_are_in_label_order(model):
    order = np.random.default_rng(0).permutation(N)
    with guard(sample_weight=WEIGHTS, reference=X, on_failure="repair") as g:
        model.predict(dataset([order]), verbose=0)
    assert g.report.verdict is Verdict.REPAIRED
    assert np.array_equal(g.sample_weight, WEIGHTS)


def test_the_weight_of_a_foreign_row_is_masked(model):
    with guard(sample_weight=WEIGHTS, reference=X, on_failure="record") as g:
        model.predict(faulty("foreign_row"), verbose=0)
    assert np.array_equal(np.flatnonzero(g.sample_weight.mask), [N // 2])
    assert g.to_frame()["sample_weight"].isna().sum() == 1


def test_there_are_no_sample_weights_where_none_were_given_or_the_samples_are_not_known(model):
    with guard(reference=X) as g:
        model.predict(dataset(), verbose=0)
    assert g.sample_weight is None
    assert "sample_weight" not in g.to_frame()
    assert results(labels=labels(weights=WEIGHTS)).sample_weight is None
    assert results().sample_weight is None


def test_sample_weights_of_several_outputs_are_ordered_by_output():
    given = labels(weights={"a": np.array([5.0, 6.0]), "b": np.array([1.0, 2.0])})
    found = results(labels=given, samples=np.array([1, 0])).sample_weight
    assert {name: part.tolist() for name, part in found.items()} == {"a": [6, 5], "b": [2, 1]}


@pytest.mark.parametrize("values", [np.array([5, 6]), np.array(["x", "y"]), np.array([[1, 2], [3, 4]])])
@pytest.mark.parametrize("foreign", [-1, 2])
def test_the_values_of_a_row_without_a_label_are_masked(values, foreign):
    found = in_order(values, np.array([1, foreign]))
    assert np.array_equal(found[0], values[1])
    assert np.ma.getmaskarray(found)[1].all()
    assert not np.ma.getmaskarray(found)[0].any()


def judged_in(g, model, *sources):
    with g:
        for source in sources:
            model.predict(source, verbose=0)
    return g.verdict


def test_the_verdict_is_the_worst_of_the_latest_entry(model):
    g = guard(reference=X, on_failure="record")
    for ask in (lambda: g.verdict, g.raise_for_verdict):
        with pytest.raises(LookupError, match="nothing has been judged yet"):
            ask()
    assert judged_in(g, model, dataset()) is Verdict.PASS
    assert g.raise_for_verdict() is None  # type: ignore[func-returns-value]
    assert judged_in(g, model, faulty(), dataset()) is Verdict.FAIL
    assert g.report.verdict is Verdict.PASS
    with pytest.raises(evalguard.MisalignmentError) as caught:
        g.raise_for_verdict()
    assert caught.value.report is g.reports[1]
    assert caught.value.predictions is None, "only the rows of the last call are kept"
    assert judged_in(g, model, dataset()) is Verdict.PASS


def test_the_error_of_the_verdict_is_the_one_that_the_call_would_raise(model):
    with pytest.raises(evalguard.MisalignmentError) as raised, guard(reference=X):
        model.predict(faulty(), verbose=0)
    with guard(reference=X, on_failure="record") as g:
        predictions = model.predict(faulty(), verbose=0)
    with pytest.raises(evalguard.MisalignmentError) as caught:
        g.raise_for_verdict()
    assert str(caught.value) == str(raised.value)
    assert caught.value.report is g.report
    assert caught.value.predictions is predictions


def test_an_unproven_is_raised_and_a_repair_is_not(model):
    with guard(on_unproven="record") as g:
        model.predict(dataset(), verbose=0)
    with pytest.raises(evalguard.UnprovenError):
        g.raise_for_verdict()
    g = guard(reference=X, on_failure="repair")
    assert judged_in(g, model, dataset(), faulty(), dataset()) is Verdict.REPAIRED
    g.raise_for_verdict()


def test_entries_that_overlap_have_one_verdict(model):
    g = guard(reference=X, on_failure="record")
    with g:
        model.predict(faulty(), verbose=0)
        assert judged_in(g, model, dataset()) is Verdict.FAIL
    assert g.verdict is Verdict.FAIL
    assert judged_in(g, model, dataset()) is Verdict.PASS


@pytest.mark.parametrize("caught", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("predicts", [False, True], ids=["nothing", "a-part"])
def test_an_older_pass_is_never_the_verdict_after_an_entry_that_raised(model, caught, predicts):
    g = guard(reference=X, scope="session")
    assert judged_in(g, model, dataset()) is Verdict.PASS
    with pytest.raises(caught), g:
        if predicts:
            model.predict(dataset(), verbose=0)
        raise caught
    assert g.verdict is Verdict.UNPROVEN
    with pytest.raises(evalguard.UnprovenError, match=f"{caught.__name__} was raised before any call was judged"):
        g.raise_for_verdict()


def test_an_older_pass_is_never_the_verdict_after_labels_that_cannot_be_read(model):
    g = evalguard.guard(reference=X, labels_argument="labels", mlflow=False)

    @g
    def evaluate(labels):
        return model.predict(dataset(), verbose=0)

    evaluate(Y)
    assert g.report.verdict is Verdict.PASS
    with pytest.raises(evalguard.LabelsError):
        evaluate("no/such/labels.csv")
    assert g.verdict is Verdict.UNPROVEN
    with pytest.raises(evalguard.LabelsError):
        evaluate(Y[1:])
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.UNPROVEN, Verdict.UNPROVEN]


def test_an_older_pass_is_never_the_verdict_after_an_entry_without_a_call(model):
    g = guard(reference=X, on_unproven="record")
    assert judged_in(g, model, dataset()) is Verdict.PASS
    assert judged_in(g, model) is Verdict.UNPROVEN


def as_context(model, g):
    def evaluate(source):
        with g:
            return model.predict(source, verbose=0)

    return evaluate


def in_one_block(model, g):
    # Left by the test's end only: a guard may be open for the whole life of a service.
    g.__enter__()
    return lambda source: model.predict(source, verbose=0)


def as_decorator(model, g):
    return g(lambda source: model.predict(source, verbose=0))


def as_wrapper(model, g):
    guarded = evalguard.wrap(model, **g.options.given())
    return lambda source: guarded.predict(source, verbose=0)


@pytest.mark.parametrize("used_as", [as_context, in_one_block, as_decorator, as_wrapper])
def test_only_the_predictions_of_the_last_call_are_kept(model, used_as):
    g = guard(reference=X, on_failure="record")
    evaluate = used_as(model, g)
    rows = []
    for source in (dataset(), faulty(), dataset()):
        rows.append(weakref.ref(evaluate(source)))
        gc.collect()
    assert [row() is not None for row in rows] == [False, False, True]
    if used_as is in_one_block:
        g.__exit__(None, None, None)


def test_only_the_predictions_of_the_last_session_are_kept(model):
    g = guard(reference=X, scope="session")
    rows = []
    for _ in range(2):
        with g:
            rows += [weakref.ref(model.predict(dataset([part]), verbose=0)) for part in np.split(np.arange(N), 2)]
    gc.collect()
    assert [row() is not None for row in rows] == [False, False, True, True]


@pytest.mark.parametrize("scope", ["session", "parts"])
def test_calls_that_were_judged_together_are_one_table(model, scope):
    with guard(reference=X, scope=scope, on_failure="record", on_unproven="record") as g:
        for rows in (slice(20, N), slice(20)):
            model.predict(X[rows], verbose=0)
    frame = g.to_frame()
    assert frame["sample"].tolist() == [*range(20, N), *range(20)]
    assert frame["prediction"].tolist() == frame["sample"].tolist()
    assert frame["y_true"].tolist() == Y[frame["sample"]].tolist()


def test_rows_of_different_shapes_make_no_table(monkeypatch):
    outcome = SimpleNamespace(predictions=[np.zeros((2, 3)), np.zeros((2, 4))], n_calls=2)
    results = Results()
    monkeypatch.setattr(results, "_last", lambda: outcome)
    with pytest.raises(ValueError, match="rows of one shape"):
        results.to_frame()
