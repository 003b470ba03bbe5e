"""Index, keys, labels and data frame of the rows that were returned."""

from types import SimpleNamespace

import numpy as np
import pytest

import evalguard
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
    made._outcomes.append(SimpleNamespace(**{"labels": None, "trace": None, "samples": None, **outcome}))  # noqa: SLF001 - as an entry into a guard does
    return made


def labels(values=None, keys=None):
    return SimpleNamespace(values=values, keys=keys)


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


@pytest.mark.parametrize("values", [np.array([5, 6]), np.array(["x", "y"]), np.array([[1, 2], [3, 4]])])
@pytest.mark.parametrize("foreign", [-1, 2])
def test_the_values_of_a_row_without_a_label_are_masked(values, foreign):
    found = in_order(values, np.array([1, foreign]))
    assert np.array_equal(found[0], values[1])
    assert np.ma.getmaskarray(found)[1].all()
    assert not np.ma.getmaskarray(found)[0].any()
