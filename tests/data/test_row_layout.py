"""Leaves in one layout: what Keras feeds in several forms becomes one, and nothing else is changed."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf

from evalguard.data.row_layout import (
    LeafSpec,
    Ragged,
    cast_leaf,
    dense_spec,
    is_padding,
    one_zero_one_nan,
    plain_leaf,
    row_shape,
    without_padding,
)

DENSE = np.array([[1, 0, 2], [0, 0, 3]], "float32")


def rows_of(leaf):
    """Rows as lists, whatever the layout."""
    if not isinstance(leaf, Ragged):
        return leaf.tolist()
    values = rows_of(leaf.values)
    return [values[start:stop] for start, stop in zip(leaf.splits[:-1], leaf.splits[1:], strict=True)]


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param(DENSE, id="array"),
        pytest.param(tf.constant(DENSE), id="tensor"),
        pytest.param(tf.Variable(DENSE), id="variable"),
        pytest.param(tf.sparse.from_dense(DENSE), id="sparse-tensor"),
        pytest.param(scipy.sparse.coo_matrix(DENSE), id="scipy-sparse"),
        pytest.param(pd.DataFrame(DENSE), id="data-frame"),
        pytest.param(DENSE.astype("float64"), id="float64"),
        pytest.param(DENSE.tolist(), id="lists"),
    ],
)
def test_dense_leaves_become_one_array_of_float32(leaf):
    plain = plain_leaf(leaf)
    assert isinstance(plain, np.ndarray)
    assert plain.dtype == np.float32
    assert plain.tolist() == DENSE.tolist()


@pytest.mark.parametrize("dtype", ["float16", "int8", "int64", "bool", "complex64", "str"])
def test_other_dtypes_are_kept(dtype):
    array = np.ones((2, 3)).astype(dtype)
    assert plain_leaf(array) is array


def test_float64_stays_where_it_is_wanted():
    wide = DENSE.astype("float64")
    assert plain_leaf(wide, float64=True) is wide
    assert plain_leaf([[1.0], []], float64=True).values.dtype == "float64"
    assert plain_leaf([[1.0], []]).values.dtype == "float32"
    assert is_padding(np.array([[0.1], [np.float32(0.1)]]), 0.1).tolist() == [True, True]
    assert is_padding(np.array([[0.1], [np.float32(0.1)]]), 0.1, float64=True).tolist() == [True, False]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (2, 0)])
def test_arrays_without_a_negative_zero_or_nan_are_not_copied(dtype, shape):
    array = np.full(shape, -1).astype(dtype)
    assert np.shares_memory(one_zero_one_nan(array), array) or not array.size
    assert one_zero_one_nan(array).dtype == array.dtype


def test_a_sparse_tensor_without_values_is_zero():
    empty = tf.SparseTensor(np.zeros((0, 2), "int64"), np.zeros(0, "int32"), (2, 3))
    assert plain_leaf(empty).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("leaf", "rows"),
    [
        pytest.param(tf.ragged.constant([[1, 2], [], [3]]), [[1, 2], [], [3]], id="ragged"),
        pytest.param(tf.ragged.constant([[[1], []], [[2, 3]]]), [[[1], []], [[2, 3]]], id="two-ragged-dimensions"),
        pytest.param(tf.ragged.constant([["a"], []]), [[b"a"], []], id="text"),
        pytest.param([[1.0, 2.0], [3.0]], [[1, 2], [3]], id="lists"),
        pytest.param([[], [1.0]], [[], [1]], id="an-empty-list-first"),
        pytest.param(tf.ragged.constant([[1, 2], [3]])[1:], [[3]], id="a-slice"),
    ],
)
def test_rows_of_different_lengths_become_values_and_splits(leaf, rows):
    plain = plain_leaf(leaf)
    assert isinstance(plain, Ragged)
    assert rows_of(plain) == rows
    assert plain.splits.dtype == np.int64
    assert getattr(plain.values, "dtype", None) != np.float64


def test_a_scalar_is_refused():
    for scalar in (tf.constant(1.0), np.float64(1), 3):
        with pytest.raises(ValueError, match="found a scalar"):
            plain_leaf(scalar)


@pytest.mark.parametrize(
    ("shape", "expected"), [((), ()), ((1,), ()), ((3, 1, 1), (3,)), ((1, 3), (1, 3)), ((0,), (0,))]
)
def test_trailing_dimensions_of_one_are_dropped(shape, expected):
    assert row_shape(shape) == expected
    assert dense_spec(np.dtype("int8"), shape) == LeafSpec("int8", expected)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (LeafSpec("float32", (28, 28)), "float32(28, 28)"),
        (LeafSpec("str", ()), "str()"),
        (LeafSpec("int64", None, (2,)), "int64(varying, 2)"),
    ],
)
def test_a_spec_is_shown_as_dtype_and_shape(spec, expected):
    assert str(spec) == expected


def test_specs_that_differ_have_other_seeds():
    specs = [LeafSpec(d, s, t) for d in ("int8", "str") for s in (None, (), (2,), (2, 3)) for t in ((), (2,))]
    assert len({spec.seed for spec in specs}) == len(specs)
    assert LeafSpec("int8", (2,)).seed == LeafSpec("int8", (2,)).seed


@pytest.mark.parametrize(
    ("array", "wanted", "expected"),
    [
        pytest.param(np.array([[1.0], [2.0]]), LeafSpec("int32", ()), "int32", id="whole-numbers"),
        pytest.param(np.array([[1.0], [2.5]]), LeafSpec("int32", ()), "float64", id="a-fraction"),
        pytest.param(np.array([[1.0], [np.nan]]), LeafSpec("int32", ()), "float64", id="nan"),
        pytest.param(np.array([[1.0], [300.0]]), LeafSpec("uint8", ()), "float64", id="too-large"),
        pytest.param(np.array([[1], [2]]), LeafSpec("float32", ()), "float32", id="integers-fed-as-floats"),
        pytest.param(np.array([[1.0], [2.0]]), LeafSpec("bfloat16", ()), "bfloat16", id="bfloat16"),
        pytest.param(np.array(["a", "b"]), LeafSpec("float32", ()), "<U1", id="text-stays"),
        pytest.param(np.array([1, 2]), LeafSpec("str", ()), "int64", id="numbers-stay"),
    ],
)
def test_a_reference_is_cast_only_if_no_value_changes(array, wanted, expected):
    cast = cast_leaf(array, wanted)
    assert cast.dtype.name == expected or cast.dtype.str == expected
    assert np.array_equal(cast.ravel().astype(array.dtype), array.ravel(), equal_nan=array.dtype.kind == "f")


@pytest.mark.parametrize(
    ("shape", "wanted", "expected"),
    [
        ((2, 4), (4, 1), (2, 4, 1)),
        ((2, 1, 4), (4,), (2, 4)),
        ((2, 4), (2, 2), (2, 4)),
        ((2, 4), (5,), (2, 4)),
        ((0, 4), (4, 1), (0, 4)),
    ],
)
def test_only_dimensions_of_one_are_reshaped(shape, wanted, expected):
    assert cast_leaf(np.zeros(shape, "float32"), LeafSpec("float32", wanted)).shape == expected


def test_ragged_references_are_cast_by_value():
    leaf = plain_leaf(tf.ragged.constant([[1, 2], [3]]))
    cast = cast_leaf(leaf, LeafSpec("float32", None))
    assert (cast.values.dtype, rows_of(cast)) == (np.float32, [[1, 2], [3]])
    nested = plain_leaf(tf.ragged.constant([[[1], []], [[2]]]))
    assert rows_of(cast_leaf(nested, LeafSpec("float32", None))) == [[[1], []], [[2]]]


@pytest.mark.parametrize(
    ("x", "pad", "rows"),
    [
        pytest.param([[1, 0, 0], [0, 0, 2], [0, 0, 0]], 0, [[1], [0, 0, 2], []], id="numbers"),
        pytest.param([["a", ""], ["", "b"]], "", [["a"], ["", "b"]], id="text"),
        pytest.param([[[1, 0], [0, 0]], [[0, 0], [0, 1]]], 0, [[[1, 0]], [[0, 0], [0, 1]]], id="steps-of-two-values"),
    ],
)
def test_padding_at_the_end_of_rows_is_cut_off(x, pad, rows):
    assert rows_of(without_padding(np.array(x), pad)) == rows


def test_padding_of_text_is_recognised_in_the_bytes_of_a_tensor():
    text = tf.constant([["a", "-"], ["-", "-"]])
    assert rows_of(without_padding(plain_leaf(text), "-")) == [[b"a"], []]
    assert is_padding(text, "-").tolist() == [False, True]


def test_rows_of_one_value_and_ragged_rows_have_no_padding_to_cut():
    flat, ragged = np.zeros(3), plain_leaf(tf.ragged.constant([[0], []]))
    assert without_padding(flat, 0) is flat
    assert without_padding(ragged, 0) is ragged


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        pytest.param(DENSE * 0, [True, True], id="all"),
        pytest.param(DENSE, [False, False], id="none"),
        pytest.param({"a": np.array([[0, 0], [0, 0]]), "b": np.array([0, 1])}, [True, False], id="every-input-counts"),
        pytest.param(tf.ragged.constant([[], [0]]), [True, False], id="an-empty-ragged-row"),
        pytest.param(np.zeros((0, 3)), [], id="no-rows"),
        pytest.param(np.zeros((2, 2, 3)), [True, True], id="images"),
    ],
)
def test_rows_of_padding_only_are_found(x, expected):
    assert is_padding(x, 0).tolist() == expected


def test_an_empty_batch_has_no_padding_to_cut():
    assert rows_of(without_padding(np.zeros((0, 3)), 0)) == []
