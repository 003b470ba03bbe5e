"""What was returned, compared with what was computed."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.recording.returned import compare_returned

ROWS = np.arange(21, dtype="float32").reshape(7, 3)


def steps(rows=ROWS, size=3):
    return [tf.constant(rows[at : at + size]) for at in range(0, len(rows), size)]


def same(found):
    return not found.unknown and found.digests is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int64", "bool"])
def test_equal_rows_of_all_steps_are_returned_as_they_were_computed(dtype):
    rows = ROWS.astype(dtype)
    assert same(compare_returned(steps(rows), rows))
    assert same(compare_returned(steps(rows), rows.copy()))


def test_a_nan_equals_itself_and_text_is_compared():
    rows = np.where(ROWS == 4, np.nan, ROWS)
    assert same(compare_returned(steps(rows), rows))
    names = np.array([b"a", b"b", b"c", b"d"], dtype=object)
    assert same(compare_returned(steps(names), names))
    assert compare_returned(steps(names), names[::-1]).digests is not None


@pytest.mark.parametrize(
    "structure",
    [
        pytest.param(lambda rows: [rows, rows + 1], id="list"),
        pytest.param(lambda rows: {"a": rows, "b": {"c": rows + 1}}, id="mapping"),
    ],
)
def test_every_output_is_compared(structure):
    computed = [structure(step) for step in steps()]
    assert same(compare_returned(computed, structure(ROWS)))
    moved = structure(ROWS)
    part = moved[1] if isinstance(moved, list) else moved["b"]["c"]
    part[[0, 5]] = part[[5, 0]]
    digests = compare_returned(computed, moved).digests
    assert digests is not None
    assert np.flatnonzero(digests[0] != digests[1]).tolist() == [0, 5]


def test_rows_of_different_lengths_are_compared():
    ragged = tf.ragged.constant([[1.0, 2.0], [3.0], [4.0, 5.0, 6.0], [7.0]])
    assert same(compare_returned([ragged[:2], ragged[2:]], ragged))
    digests = compare_returned([ragged[:2], ragged[2:]], ragged[::-1]).digests
    assert digests is not None
    assert (digests[0] == digests[1][::-1]).all()


def test_moved_rows_have_the_digests_of_those_that_were_computed():
    order = [3, 1, 2, 0, 4, 6, 5]
    digests = compare_returned(steps(), ROWS[order]).digests
    assert digests is not None
    assert (digests[1] == digests[0][order]).all()


@pytest.mark.parametrize(
    ("result", "why"),
    [
        pytest.param([ROWS, ROWS], "the number of outputs differs", id="outputs"),
        pytest.param(ROWS[:-1], f"and {len(ROWS) - 1} were returned", id="rows"),
        pytest.param(object(), "could not be compared", id="no rows"),
    ],
)
def test_what_cannot_be_compared_says_why(result, why, monkeypatch):
    monkeypatch.delenv("EVALGUARD_STRICT", raising=False)
    assert why in compare_returned(steps(), result).unknown


def test_nothing_computed_is_nothing_seen():
    assert compare_returned([], ROWS).unknown
