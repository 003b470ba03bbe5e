"""``check`` judges sample indices or keys without a model."""

import numpy as np
import pandas as pd
import pytest

import evalguard
from evalguard import Verdict

KEYED = pd.DataFrame({"id": ["a", "b"], "y": [0, 1]})


@pytest.mark.parametrize(
    ("options", "labels", "verdict"),
    [
        pytest.param({"indices": range(5)}, 5, Verdict.PASS, id="indices"),
        pytest.param({"indices": [0, 1, 3, 2, 4]}, list("abcde"), Verdict.FAIL, id="swapped"),
        pytest.param({"indices": [0, 1, 2]}, 5, Verdict.FAIL, id="short"),
        pytest.param({"keys": ["b", "a"], "labels_key": "id"}, KEYED, Verdict.FAIL, id="keys"),
        pytest.param({"keys": ["a", "b"], "labels_key": "id"}, KEYED, Verdict.PASS, id="keys-in-order"),
        pytest.param({"indices": [0, 1, 2, 0], "padding": "trim"}, 3, Verdict.PASS, id="padded"),
    ],
)
def test_check_judges_without_keras(options, labels, verdict):
    assert evalguard.check(labels=labels, **options).verdict is verdict


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param(
            {"keys": ["a"], "labels": 1}, evalguard.LabelsError, "labels_key='column'", id="labels-without-keys"
        ),
        pytest.param({"indices": ["a"], "labels": 1}, evalguard.LabelsError, r"check\(keys=", id="names-as-indices"),
        pytest.param({"indices": [0], "keys": ["a"], "labels": 1}, TypeError, "found indices and keys", id="both"),
        pytest.param({"labels": 1}, TypeError, "found labels", id="neither"),
        pytest.param({"indices": [0]}, TypeError, "found indices", id="no-labels"),
        pytest.param({"index": [0], "labels": 1}, TypeError, "Did you mean 'indices'", id="misspelt"),
    ],
)
def test_check_says_what_it_expects(arguments, error, message):
    with pytest.raises(error, match=message):
        evalguard.check(**arguments)


def test_predicted_and_true_classes_are_refused_with_the_right_call():
    y_pred, y_true = np.array([0, 1, 1, 2, 0, 2, 1, 0, 2]), np.array([0, 1, 2, 2, 0, 1, 1, 0, 2])
    with pytest.raises(evalguard.ConfigError, match=r"found 2 without a name.*evalguard\.guard\(labels=y_true\)"):
        evalguard.check(y_pred, y_true)
    with pytest.raises(evalguard.LabelsError, match="found 3 class numbers for 9 rows"):
        evalguard.check(indices=y_pred, labels=y_true)


def test_indices_of_a_shuffled_stream_are_not_taken_for_class_numbers():
    order = np.random.default_rng(0).permutation(90)
    assert evalguard.check(indices=order, labels=np.arange(90) % 10).verdict is Verdict.FAIL
    assert evalguard.check(indices=np.zeros(90, int), labels=np.arange(90)).verdict is Verdict.FAIL


@pytest.mark.parametrize(("old", "new"), [("label", "label_column"), ("key", "labels_key")])
def test_check_takes_its_old_names_with_a_warning(old, new):
    table = pd.DataFrame({"id": ["a", "b"], "y": [0, 1]})
    names = {"label_column": "y", "labels_key": "id"}
    names[old] = names.pop(new)
    with pytest.warns(DeprecationWarning, match=f"'{old}' is deprecated.* write {new}=") as caught:
        assert evalguard.check(keys=["a", "b"], labels=table, **names).verdict is Verdict.PASS
    assert caught[0].filename == __file__
