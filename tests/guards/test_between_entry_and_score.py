"""What users do to arrays between a guard's entry and the score."""

import keras
import numpy as np
import pandas as pd
import pytest

import evalguard
from evalguard import Verdict
from tests.guards.streams import N, X, Y, guard

QUIET = {"on_failure": "record", "on_unproven": "record", "reference": X}
WEIGHTS = np.random.default_rng(1).random(N)


def predict(model, x=X):
    return model.predict(x, verbose=0)


def shuffle(array):
    np.random.default_rng(0).shuffle(array)


@pytest.mark.parametrize("of", [lambda y: y, lambda y: {"only": y}], ids=["array", "dict"])
@pytest.mark.parametrize("before", [True, False], ids=["before predict", "after predict"])
def test_labels_that_are_shuffled_in_place_inside_the_guard_are_no_pass(model, of, before):
    y = Y.copy()
    with guard(**QUIET, labels=of(y)) as g:
        rows = None if before else predict(model)
        shuffle(y)
        g.confirm(predict(model) if rows is None else rows, of(y))
    assert g.report.verdict is Verdict.UNPROVEN
    assert "changed in place" in "".join(g.report.not_proven)


def test_labels_that_change_after_they_were_confirmed_are_no_fault(model):
    y = Y.copy()
    with guard(**QUIET, labels=y) as g:
        g.confirm(predict(model), y)
        shuffle(y)
    assert g.report.verdict is Verdict.UNPROVEN


def test_labels_that_change_inside_the_guard_are_no_pass_without_confirm(model):
    y = Y.copy()
    with guard(**QUIET, labels=y) as g:
        shuffle(y)
        predict(model)
    assert g.report.verdict is Verdict.UNPROVEN


def test_weights_that_are_shuffled_in_place_are_no_pass(model):
    weights = WEIGHTS.copy()
    with guard(**QUIET, sample_weight=weights) as g:
        rows = predict(model)
        shuffle(weights)
        g.confirm(rows, Y, weights)
    assert g.report.verdict is Verdict.UNPROVEN


@pytest.mark.parametrize(
    "labels", [Y.astype(object), Y.astype(str), np.eye(4)[Y], Y.tolist(), pd.Series(Y.astype(str))]
)
def test_labels_that_stay_are_those_that_were_read(model, labels):
    for _ in range(2):
        with guard(**QUIET, labels=labels) as g:
            g.confirm(predict(model), labels)
        assert g.report.verdict is Verdict.PASS


def test_weights_in_another_scale_are_no_fault(model):
    with guard(**QUIET, sample_weight=WEIGHTS) as g:
        g.confirm(predict(model), Y, WEIGHTS / WEIGHTS.mean())
    assert g.report.verdict is Verdict.UNPROVEN
    assert "are the guard's times a constant" in "".join(g.report.not_proven)


def test_one_hot_classes_of_a_saturated_model_are_no_rows_in_another_order():
    inputs = keras.Input((1,))
    # Far from a border between classes the softmax is exactly one-hot.
    far = keras.layers.Lambda(lambda x: keras.ops.concatenate([-20 * (x - 5 * k) ** 2 for k in range(4)], axis=1))
    model = keras.Model(inputs, keras.layers.Softmax()(far(inputs)))
    x = np.random.default_rng(3).normal(7, 5, size=(N, 1)).astype("float32")
    with guard(**{**QUIET, "reference": x}) as g:
        rows = predict(model, x)
        classes = (rows == rows.max(axis=1, keepdims=True)).astype("float32")
        assert 0 < (classes != rows).any(axis=1).sum() < N
        g.confirm(classes, Y)
    assert g.report.verdict is Verdict.UNPROVEN


def test_rounded_rows_that_happen_to_exist_are_no_rows_in_another_order(model):
    x = np.arange(N, dtype="float32")[:, None] / 10
    with guard(**{**QUIET, "reference": x}) as g:
        g.confirm(predict(model, x).round(), Y)
    assert g.report.verdict is Verdict.UNPROVEN


def test_rows_in_another_order_that_repeat_are_still_a_fault(model):
    with guard(**QUIET) as g:
        g.confirm(predict(model)[np.random.default_rng(0).integers(0, N, N)], Y)
    assert g.report.verdict is Verdict.FAIL


@pytest.mark.parametrize("scope", ["call", "parts"])
@pytest.mark.parametrize("chosen", [np.random.default_rng(0).permutation(N), np.flatnonzero(Y == 1)])
def test_rows_that_are_sorted_or_chosen_together_with_their_labels_are_not_a_fault(model, scope, chosen):
    with guard(**QUIET, scope=scope) as g:
        g.confirm(predict(model)[chosen], Y[chosen])
    assert g.report.verdict is Verdict.UNPROVEN
    assert "label order" in "".join(g.report.not_proven)


@pytest.mark.parametrize("scope", ["call", "parts"])
def test_rows_that_are_sorted_beside_other_labels_are_a_fault(model, scope):
    order = np.random.default_rng(0).permutation(N)
    for rows, labels in ((order, Y), (order[::-1], Y[order]), (np.arange(N), Y[order]), (order[:9], Y[:9])):
        with guard(**QUIET, scope=scope) as g:
            g.confirm(predict(model)[rows], labels)
        assert g.report.verdict is Verdict.FAIL
    with guard(**QUIET, scope=scope) as g:
        g.confirm(predict(model, X[order]), Y)
    assert g.report.verdict is Verdict.FAIL


@pytest.mark.parametrize("reference", [lambda x: x, lambda x: {"a": x}], ids=["array", "mapping"])
def test_a_reference_that_is_shuffled_in_place_with_what_is_predicted_proves_nothing(model, reference):
    x = X.copy()
    with guard(**{**QUIET, "reference": reference(x)}) as g:
        np.random.default_rng(0).shuffle(x)
        predict(model, x)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "reference were changed in place" in "".join(g.report.not_proven)


def test_a_reference_that_changes_after_it_was_read_is_what_it_was(model):
    x = X.copy()
    g = guard(**{**QUIET, "reference": x})
    with g:
        predict(model)
    x[:] = x[::-1].copy()
    with g:
        predict(model)
    assert [report.verdict for report in g.reports] == [Verdict.PASS, Verdict.PASS]
    with g:
        predict(model, x)
    assert g.report.verdict is Verdict.FAIL


def test_labels_that_come_late_and_are_shuffled_in_place_afterwards_prove_nothing(model):
    y = Y.copy()
    with evalguard.guard(**QUIET, mlflow=False) as g:
        predict(model)
        g.labels = y
        np.random.default_rng(0).shuffle(y)
    assert g.report.verdict is Verdict.UNPROVEN
    assert "labels or weights were changed in place" in "".join(g.report.not_proven)
