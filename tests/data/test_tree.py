"""Leaves of a nest as arrays."""

import threading

import numpy as np
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


def test_what_dlpack_does_not_know_is_read_as_numpy_reads_it():
    assert tree.as_array(tf.constant(["a", "b"])).tolist() == [b"a", b"b"]
    assert tree.as_array(tf.constant([1.5, 2], tf.bfloat16)).astype("float32").tolist() == [1.5, 2]


def test_an_array_is_itself():
    array = np.zeros(3)
    assert tree.as_array(array) is array
    assert tree.as_array([1, 2]).tolist() == [1, 2]


def test_no_other_thread_runs_first_where_a_tensor_is_read():
    """Else the model would wait for a thread that makes the next batch."""
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
    # Python itself changes threads every five milliseconds.
    assert waited < 100


def test_an_empty_optional_of_a_dataset_is_none():
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
def test_inputs_that_are_no_rows_are_named(structure, found):
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
