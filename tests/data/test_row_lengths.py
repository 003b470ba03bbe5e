"""The length of a row is that of what stands between its padding."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.data.row_lengths import lengths_of
from evalguard.labels.reference import Reference

PADDED = np.array([[3, 1, 0, 0], [0, 0, 2, 5], [0, 7, 0, 7], [0, 0, 0, 0], [1, 2, 3, 4]])
EXPECTED = [2, 2, 3, 0, 4]
LISTS = np.empty(3, dtype=object)
LISTS[:] = [[1], [1, 2, 3], []]


@pytest.mark.parametrize(
    ("leaf", "pad_value", "expected"),
    [
        pytest.param(PADDED, 0, EXPECTED, id="padding-at-either-end"),
        pytest.param(PADDED - 1, -1, EXPECTED, id="another-value"),
        pytest.param(np.repeat(PADDED[:, :, None], 2, axis=2), 0, EXPECTED, id="steps-of-features"),
        pytest.param(tf.constant(PADDED), 0, EXPECTED, id="tensor"),
        pytest.param(np.array(["a", "abc", ""]), 0, [1, 3, 0], id="text"),
        pytest.param(tf.constant(["a", "abc", ""]), 0, [1, 3, 0], id="text-tensor"),
        pytest.param(LISTS, 0, [1, 3, 0], id="lists"),
        pytest.param(tf.ragged.constant([[1], [1, 2, 3], []]), 0, [1, 3, 0], id="ragged"),
        pytest.param(np.arange(3), 0, None, id="numbers"),
        pytest.param(np.array([1, None, 2], dtype=object), 0, None, id="objects-without-a-length"),
    ],
)
def test_lengths_of_rows(leaf, pad_value, expected):
    rows = np.arange(len(expected or range(3)))
    found = lengths_of(leaf, rows, pad_value)
    assert (None if found is None else found.tolist()) == expected
    backwards = lengths_of(leaf, rows[::-1], pad_value)
    assert (None if backwards is None else backwards.tolist()) == (expected and expected[::-1])


def test_a_reference_knows_the_lengths_of_its_arrays_only():
    rows = np.arange(5)
    assert Reference(PADDED, 5).row_lengths(rows).tolist() == EXPECTED
    assert Reference({"id": np.arange(5), "x": PADDED}, 5, drop="id").row_lengths(rows).tolist() == EXPECTED
    assert Reference(PADDED - 1, 5, pad_value=-1).row_lengths(rows).tolist() == EXPECTED
    assert Reference(lambda: iter([(PADDED,)]), 5).row_lengths(rows) is None
    assert Reference(tf.data.Dataset.from_tensor_slices(PADDED).batch(2), 5).row_lengths(rows) is None
