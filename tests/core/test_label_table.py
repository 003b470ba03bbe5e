"""The external labels: what is refused, how keys are read, what the digest tells."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from evalguard.core.label_table import LabelTable, for_inputs, is_null, normal_keys
from evalguard.errors import LabelsError
from tests.core.key_columns import Kept


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        pytest.param({}, "found none", id="nothing"),
        pytest.param({"values": np.zeros(0)}, "found none. An empty label set proves nothing", id="empty"),
        pytest.param({"values": {}}, "found none", id="no output"),
        pytest.param({"values": np.zeros(3), "keys": np.arange(2)}, "one length for all parts", id="lengths"),
        pytest.param(
            {"values": {"a": np.zeros(3), "b": np.zeros(2)}}, "{\"labels['a']\": 3, \"labels['b']\": 2}", id="outputs"
        ),
        pytest.param({"keys": np.asarray([4, 7, 4, 4])}, "'4' at rows 0, 2, 3.", id="repeated"),
        pytest.param({"keys": np.asarray([1, 7, 7])}, "found 1 repeated key; the first is '7' at rows 1, 2.", id="one"),
        pytest.param({"keys": [None] * 5}, "found none at rows 0, 1, 2, 3, 4", id="as many as are named"),
        pytest.param({"keys": [None] * 6}, "found none at rows 0, 1, 2, 3, 4, … (6 in all)", id="more than are named"),
        pytest.param({"keys": np.asarray(["a", "", "b", ""])}, "found none at rows 1, 3", id="empty keys"),
        pytest.param({"keys": np.asarray(["a", None], object)}, "found none at row 1", id="null"),
        pytest.param({"keys": np.asarray([1.5, np.nan])}, "found none at row 1", id="NaN"),
        pytest.param({"keys": [float("nan"), "a"]}, "found none at row 0", id="NaN beside text"),
        pytest.param({"keys": np.zeros((2, 2))}, "shape (n,), found shape (2, 2)", id="a matrix of keys"),
        pytest.param({"weights": np.ones(3)}, "found none", id="nothing but weights"),
        pytest.param(
            {"values": np.zeros(3), "weights": np.ones(2)},
            "one sample weight for each of the 3 labels, found 2. Give an array in label order",
            id="too few weights",
        ),
        pytest.param({"values": np.zeros(3), "weights": 2.0}, "found a single number", id="one weight for all"),
        pytest.param(
            {"values": np.zeros(2), "weights": ["1", "2"]}, "values that are not numbers", id="weights as text"
        ),
        pytest.param(
            {"values": np.zeros(2), "weights": [[1], [1, 2]]}, "values that are not numbers", id="ragged weights"
        ),
        pytest.param({"values": np.zeros(2), "weights": [None, 1]}, "found none at row 0", id="no weight"),
        pytest.param(
            {"values": np.zeros(2), "weights": [[1, 2], [1, np.nan]]}, "found none at row 1", id="NaN in a row"
        ),
    ],
)
def test_labels_that_cannot_name_each_sample_are_refused(parts, words):
    with pytest.raises(LabelsError) as caught:
        LabelTable(**parts, name="labels.csv")
    assert str(caught.value).startswith("labels.csv: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"values": np.array(3)}, id="one value"),
        pytest.param({"values": {"a": np.array(3)}}, id="one value of an output"),
        pytest.param({"values": [1, 2]}, id="a list"),
        pytest.param({"keys": np.array(3)}, id="one key"),
        pytest.param({"keys": 3}, id="a number as keys"),
        pytest.param({"fingerprints": np.uint64(3)}, id="one fingerprint"),
    ],
)
def test_parts_without_rows_are_refused(parts):
    with pytest.raises(
        LabelsError, match=r"^labels: expected .* of shape \(n, \.\.\.\), found one (ndarray|list|int|uint64)"
    ):
        LabelTable(**parts)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("nan")])
def test_a_missing_key_is_refused_in_any_form(missing):
    with pytest.raises(LabelsError, match=r"^keys: expected a key for each sample, found none at row 1\.$"):
        normal_keys(["a", missing])
    assert is_null(missing)
    assert not any(is_null(item) for item in ("", 0, b"", np.zeros(2), [None], "nan"))


def test_a_long_key_is_not_dumped_into_the_message():
    with pytest.raises(LabelsError) as caught:
        LabelTable(keys=np.asarray(["k" * 10_000] * 2))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param(np.asarray([3, 1], "uint8"), [3, 1], id="small integers"),
        pytest.param([3, 1], [3, 1], id="a list of integers"),
        pytest.param(np.asarray([[3], [1]]), [3, 1], id="a column"),
        pytest.param(np.asarray([3, 1], object), [3, 1], id="objects that are integers"),
        pytest.param([2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)], id="the largest and the smallest integer"),
        pytest.param([2**70, 1], [str(2**70), "1"], id="integers beyond 64 bits"),
        pytest.param(
            np.asarray([2**64 - 1, 1], "uint64"), [str(2**64 - 1), "1"], id="unsigned integers beyond 63 bits"
        ),
        pytest.param([b"a", "b"], ["a", "b"], id="bytes and text"),
        pytest.param([b"\xff", b"b"], ["\\xff", "b"], id="bytes that are no text"),
        pytest.param(np.asarray([True, False]), ["True", "False"], id="booleans are names"),
        pytest.param(np.asarray([1.5, 2.0]), ["1.5", "2.0"], id="floats are names"),
        pytest.param(["a", 7], ["a", "7"], id="text and numbers"),
    ],
)
def test_keys_are_integers_or_text(keys, expected):
    found = normal_keys(keys)
    assert found.tolist() == expected
    assert found.dtype.kind == ("i" if isinstance(expected[0], int) else "U")


@pytest.mark.parametrize(("dtype", "kind"), [("int32", "i"), ("uint8", "i"), ("U3", "U")])
def test_no_keys_have_the_type_of_keys(dtype, kind):
    assert normal_keys(np.zeros(0, dtype)).dtype.kind == kind


def test_the_number_of_samples_is_that_of_any_part():
    assert len(LabelTable(values=np.zeros((3, 2)))) == 3
    assert len(LabelTable(values={"a": np.zeros(4)})) == 4
    assert len(LabelTable(keys=np.arange(5))) == 5
    assert len(LabelTable(fingerprints=np.arange(6, dtype=np.uint64))) == 6


def test_samples_whose_content_an_earlier_one_has_are_counted():
    assert LabelTable(fingerprints=np.asarray([5, 6, 5, 5], np.uint64)).equal_samples == 2
    assert LabelTable(values=np.zeros(4)).equal_samples == 0


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(LabelTable(values=np.asarray([1, 0])), id="order"),
        pytest.param(LabelTable(values=np.asarray([5, 1])), id="first label"),
        pytest.param(LabelTable(values=np.asarray([0, 5])), id="last label"),
        pytest.param(LabelTable(values=np.asarray(["0", "1"])), id="type"),
        pytest.param(LabelTable(values=np.asarray([[0, 0], [1, 1]])), id="shape"),
        pytest.param(LabelTable(values=np.asarray([0, 1]), keys=np.arange(2)), id="keys"),
        pytest.param(LabelTable(values={"labels": np.asarray([0, 1])}), id="name of the output"),
    ],
)
def test_other_labels_have_another_digest(other):
    labels = LabelTable(values=np.asarray([0, 1]), name="a")
    assert len(labels.digest) == 16
    assert labels.digest == LabelTable(values=np.asarray([0, 1]), name="b").digest
    assert labels.digest != other.digest


def test_objects_are_digested_by_what_they_are():
    def digest(*words):
        # Other objects each time.
        return LabelTable(values=np.asarray(["-".join(word) for word in words], object)).digest

    assert digest("abc", "de") == digest("abc", "de")
    assert digest("abc", "de") != digest("abc", "df")
    assert digest("abc", "de") != digest("de", "abc")


def test_labels_are_the_same_with_and_without_the_fingerprints_of_a_reference():
    rows = np.asarray([7, 8], dtype=np.uint64)
    assert (
        LabelTable(values=np.asarray([0, 1]), fingerprints=rows).digest == LabelTable(values=np.asarray([0, 1])).digest
    )
    assert LabelTable(fingerprints=rows).digest != LabelTable(fingerprints=rows[::-1]).digest


def test_a_repr_says_what_there_is_and_prints_no_data():
    labels = LabelTable(values=np.arange(1000), keys=np.arange(1000), name="labels.csv")
    assert repr(labels) == "<Labels 'labels.csv': 1,000 samples, values, keys>"
    assert repr(LabelTable(values=np.zeros(1))) == "<Labels 'labels': 1 sample, values>"


@pytest.mark.parametrize("keys", [["a", "", "b"], ["a", "b", "a"], [3, 1, 3]])
def test_a_column_of_keys_is_refused_as_an_array_is(keys):
    with pytest.raises(LabelsError) as expected:
        LabelTable(keys=np.asarray(keys))
    with pytest.raises(LabelsError) as found:
        LabelTable(keys=Kept(keys))
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    ("weights", "dtype"),
    [
        pytest.param([1, 0, 2], "float64", id="integers"),
        pytest.param([True, False, True], "float64", id="flags"),
        pytest.param(np.array([1, 0, 2], "float32"), "float32", id="floats stay as they are"),
    ],
)
def test_weights_are_floats(weights, dtype):
    table = LabelTable(values=np.arange(3), weights=weights)
    assert isinstance(table.weights, np.ndarray)
    assert (table.weights.dtype, table.weights.tolist()) == (dtype, [float(weight) for weight in weights])


def test_weights_of_several_outputs_are_checked_for_each():
    values = {"a": np.arange(3), "b": np.arange(3)}
    found = LabelTable(values=values, weights={"a": np.ones(3)}).weights
    assert isinstance(found, dict)
    assert found["a"].tolist() == [1, 1, 1]
    with pytest.raises(LabelsError, match="labels, output 'b': expected one sample weight for each of the 3 labels"):
        LabelTable(values=values, weights={"a": np.ones(3), "b": np.ones(4)})


def test_weights_change_neither_the_digest_nor_get_lost_where_labels_are_fitted_to_inputs():
    table = LabelTable(
        values=np.arange(3), fingerprints=np.arange(3, dtype="uint64"), spec=("float32 (1,)",), weights=np.ones(3)
    )
    assert table.digest == LabelTable(values=np.arange(3)).digest
    assert for_inputs(table, ("float64 (1,)",)).weights is table.weights
    assert repr(table) == "<Labels 'labels': 3 samples, values, fingerprints, weights>"


def test_labels_as_numbers_are_the_labels_that_were_given():
    names = LabelTable(values=np.asarray(["b", "a"]), keys=np.asarray(["x", "y"]), name="labels.csv")
    numbers = names.in_form(np.asarray([1, 0]))
    assert (numbers.digest, numbers.name, numbers.keys.tolist()) == (names.digest, "labels.csv", ["x", "y"])
    assert numbers.values.tolist() == [1, 0]
