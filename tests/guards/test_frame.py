"""A guarded call as columns: names, lengths, several outputs."""

import numpy as np
import pandas as pd
import pytest

from evalguard.guards.frame import columns

INDEX = np.array([2, 0, 1])


@pytest.mark.parametrize(
    ("predictions", "names"),
    [
        pytest.param(np.zeros(3), ["prediction"], id="one-value"),
        pytest.param(np.zeros((3, 1)), ["prediction"], id="one-column"),
        pytest.param(np.zeros((3, 2)), ["prediction_0", "prediction_1"], id="two-columns"),
        pytest.param(np.zeros((3, 1, 2)), ["prediction_0", "prediction_1"], id="flattened"),
        pytest.param({"a": np.zeros(3), "b": np.zeros((3, 2))}, [
            "prediction.a", "prediction.b_0", "prediction.b_1",
        ], id="named-outputs"),
        pytest.param([np.zeros(3), np.zeros(3)], ["prediction.0", "prediction.1"], id="listed-outputs"),
    ],
)  # fmt: skip
def test_each_predicted_value_has_a_column(predictions, names):
    assert list(columns(predictions, None, None, None)) == ["row", *names]


def test_samples_keys_and_labels_stand_before_the_predictions():
    table = columns(np.array([[7.0], [8.0], [9.0]]), INDEX, np.array(["c", "a", "b"]), np.array([5, 3, 4]))
    assert list(table) == ["row", "sample", "key", "y_true", "prediction"]
    assert table["sample"].tolist() == [2, 0, 1]
    assert table["prediction"].tolist() == [7.0, 8.0, 9.0]


def test_weights_stand_behind_the_labels():
    table = columns(np.zeros(3), None, None, np.array([5, 3, 4]), {"a": INDEX / 2, "b": INDEX[:, None] / 4})
    assert list(table) == ["row", "y_true", "sample_weight.a", "sample_weight.b", "prediction"]
    assert table["sample_weight.b"].tolist() == [0.5, 0, 0.25]


def test_rows_that_were_cut_are_left_out_of_every_column():
    table = columns(np.zeros((2, 1)), INDEX, np.array(["c", "a", "b"]), np.array([5, 3, 4]))
    assert {len(values) for values in table.values()} == {2}


def test_rows_of_different_lengths_are_lists_in_one_column():
    class Ragged:
        """Like a ragged tensor: no array, but rows can be cut from it."""

        def __getitem__(self, rows):
            return [np.array([1]), np.array([1, 2]), np.array([])][rows]

    assert columns(np.zeros(2), None, None, Ragged())["y_true"] == [[1], [1, 2]]


def test_a_frame_has_the_columns_and_masked_labels_are_missing():
    labels = np.ma.MaskedArray([5, 3, 4], mask=[False, True, False])
    table = pd.DataFrame(columns(np.zeros(3), INDEX, None, labels))
    assert list(table.columns) == ["row", "sample", "y_true", "prediction"]
    assert table["y_true"].isna().tolist() == [False, True, False]
