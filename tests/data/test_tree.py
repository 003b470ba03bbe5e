"""Trees of inputs: the leaves in Keras' order, read as arrays, counted, packed and unpacked as Keras does it."""

import threading
from collections import namedtuple

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from evalguard.data import tree

DTYPES = ["bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64"]
DTYPES += ["uint8", "uint16", "uint32", "uint64", "complex64"]


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (4, 2, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_is_the_array_that_numpy_makes_of_it(dtype, shape):
    tensor = tf.cast(np.arange(np.prod(shape, dtype=int)).reshape(shape).astype("float32"), dtype)
    found, expected = tree.as_array(tensor), np.asarray(tensor)
    assert (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def test_dtypes_without_dlpack_code_are_read_by_numpy():
    assert tree.as_array(tf.constant(["a", "b"])).tolist() == [b"a", b"b"]
    assert tree.as_array(tf.constant([1.5, 2], tf.bfloat16)).astype("float32").tolist() == [1.5, 2]


def test_an_array_is_itself():
    array = np.zeros(3)
    assert tree.as_array(array) is array
    assert tree.as_array([1, 2]).tolist() == [1, 2]


def test_no_other_thread_runs_first_where_a_tensor_is_read():
    """Otherwise the model would wait for a thread that makes the next batch."""
    tensor, done, turns = tf.zeros((32, 8)), threading.Event(), [0]

    def spin():
        while not done.is_set():
            turns[0] += 1

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        waited = 0
        for _ in range(2000):
            before = turns[0]
            tree.as_array(tensor)
            waited += turns[0] != before
    finally:
        done.set()
        thread.join()
    # Python itself switches threads every five milliseconds.
    assert waited < 100


def test_an_empty_optional_of_a_dataset_is_not_a_leaf():
    absent, rows = tf.experimental.Optional.empty(None), tf.zeros((2, 3))
    assert tree.leaves({"a": absent, "b": rows}) == [rows]
    assert tree.map_leaves(lambda leaf: leaf.shape, (absent, rows)) == (None, (2, 3))
    present = tf.experimental.Optional.from_value(rows)
    assert tree.leaves([present]) == [present]


@pytest.mark.parametrize(
    ("structure", "found"),
    [
        pytest.param((None,), "found none", id="none"),
        pytest.param({"a": tf.experimental.Optional.empty(None)}, "found none", id="an empty optional"),
        pytest.param(tf.constant(1.0), "found a scalar", id="a scalar"),
        pytest.param((np.zeros(3), np.float32(1)), "found a scalar", id="a scalar beside rows"),
        pytest.param((np.zeros((4, 2)), np.zeros((4, 4)), np.zeros(1_000)), "found 4, 4 and 1,000", id="a graph"),
        pytest.param((np.zeros(3), tf.ragged.constant([[1], []])), "found 3 and 2", id="ragged"),
    ],
)
def test_inputs_that_are_not_rows_are_named_in_the_error(structure, found):
    with pytest.raises(tree.RowsError, match=rf"^x: expected .*{found}.*\. .*"):
        tree.same_rows(structure)


@pytest.mark.parametrize(
    "structure",
    [
        np.zeros((2, 0)),
        [0.5, 1],
        (tf.ragged.constant([[1], []]), {"a": np.zeros((2, 3)), "b": None}),
        tf.sparse.from_dense([[1], [0]]),
    ],
)
def test_inputs_with_the_same_number_of_rows_are_counted(structure):
    assert tree.same_rows(structure) == 2


A, B, C = (np.full((2, number), number) for number in (1, 2, 3))
Pair = namedtuple("Pair", ["first", "second"])


@pytest.mark.parametrize(
    "structure",
    [
        pytest.param(A, id="array"),
        pytest.param((A, [B], {"c": C}), id="sequences"),
        pytest.param({"b": A, "a": {"d": B, "c": C}}, id="dicts"),
        pytest.param(Pair(B, A), id="namedtuple"),
        pytest.param([], id="nothing"),
        pytest.param((tf.constant(A), tf.ragged.constant([[1], []])), id="tensors"),
    ],
)
def test_leaves_come_in_the_order_of_keras(structure):
    found, expected = tree.leaves(structure), keras.tree.flatten(structure)
    assert len(found) == len(expected)
    assert all(one is other for one, other in zip(found, expected, strict=True))


def test_none_is_no_leaf_and_a_list_of_values_is_one():
    assert tree.leaves({"a": None, "b": (None, [])}) == []
    for rows in ([1, 2], ["a", "b"], [True]):
        assert tree.leaves(rows) == [rows]
    frame = pd.DataFrame(A)
    assert [leaf is frame for leaf in tree.leaves([frame])] == [True]


def test_a_function_is_applied_to_each_leaf_and_the_structure_is_kept():
    mapped = tree.map_leaves(lambda leaf: leaf.shape[1], {"b": [A, (B, None)], "a": Pair(C, A)})
    assert mapped == {"b": [1, (2, None)], "a": (3, 1)}
    assert list(mapped) == ["b", "a"]


@pytest.mark.parametrize(
    ("structure", "rows"),
    [
        (A, 2),
        ({"b": np.zeros(3), "a": np.zeros(5)}, 5),
        ([None, np.zeros(4)], 4),
        (pd.DataFrame(A), 2),
        ([1, 2, 3], 3),
        (tf.ragged.constant([[1], [], [2]]), 3),
        (tf.sparse.from_dense(A), 2),
        (np.float32(1), None),
        (object(), None),
        (None, None),
    ],
)
def test_rows_are_counted_by_the_first_leaf(structure, rows):
    assert tree.n_rows(structure) == rows


@pytest.mark.parametrize("batch", [A, [A], (A,), (A, B), [A, B, C], {"a": A}, (None, B), ((A, B), C)])
def test_a_batch_is_unpacked_as_keras_does(batch):
    found, expected = tree.unpack(batch), keras.utils.unpack_x_y_sample_weight(batch)
    assert [one is other for one, other in zip(found, expected, strict=True)] == [True] * 3


@pytest.mark.parametrize("parts", [(A,), ((A, B),), ([A],), ({"a": A},), (A, B), (A, B, C)])
def test_a_batch_is_packed_as_keras_does(parts):
    found, expected = tree.pack(*parts), keras.utils.pack_x_y_sample_weight(*parts)
    assert type(found) is type(expected)
    assert all(one is other for one, other in zip(tree.leaves(found), tree.leaves(expected), strict=True))
    assert [part is None for part in tree.unpack(found)] == [part is None for part in tree.unpack(expected)]
