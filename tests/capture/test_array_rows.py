"""Arrays that Keras slices: each delivered batch is compared with the rows expected at its position."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.array_rows import NUMBERS, ArrayRows
from evalguard.capture.contract import NOT_OBSERVED
from evalguard.core.own_errors import STRICT
from evalguard.data import tree
from tests.buffers import aligned_copy

X = aligned_copy(np.arange(24, dtype="float32").reshape(8, 3))
WIDE = np.random.default_rng(1).normal(size=(50, 1024)).astype("float32")
IMAGES = np.random.default_rng(0).normal(size=(32, 64, 64, 3)).astype("float32")


ALTERED = "altered"


def found(rows, batch):
    """The rows that a delivered batch is found to be."""
    same, tag = rows.identify(batch)
    assert same is batch
    assert tag.number == (None if tag.altered else 0)
    return ALTERED if tag.altered else range(tag.first_row, tag.first_row + len(tree.leaves(batch)[0]))


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.astype("float64"),
        {"a": X, "b": X.astype("int64")},
        tf.constant(X),
        WIDE,
        WIDE.astype("float64"),
        {"a": WIDE, "b": np.arange(50)},
        {"a": np.zeros((50, 1031), "uint8"), "b": WIDE},
        pytest.param(np.repeat(WIDE[:10], 5, axis=0), id="each row five times"),
    ],
)
def test_array_batches_are_identified_by_the_rows_expected_next(x):
    due = ArrayRows(x)
    rows = [found(due, part) for part in tf.data.Dataset.from_tensor_slices(x).batch(8)]
    n_rows = len(next(iter(x.values())) if isinstance(x, dict) else x)
    assert np.concatenate(rows).tolist() == list(range(n_rows))


def test_rows_of_other_images_are_altered():
    x = np.concatenate([IMAGES, IMAGES[::-1]])
    assert found(ArrayRows(x), (x[32:],)) == ALTERED
    assert found(ArrayRows(x), (x[:32],)) == range(32)


@pytest.mark.parametrize("x", [X, WIDE, IMAGES], ids=["short", "wide", "images"])
@pytest.mark.parametrize("at", [0, 3, 6])
def test_two_swapped_rows_of_an_array_are_altered(x, at):
    swapped = x.copy()
    swapped[[at, 7]] = x[[7, at]]
    assert found(ArrayRows(x), x[:8]) == range(8)
    assert found(ArrayRows(x), swapped[:8]) == ALTERED


def test_all_numbers_of_a_row_are_compared_up_to_a_limit_and_then_some_all_over_it():
    short = np.zeros((4, NUMBERS), "float32")
    wide = np.zeros((4, 16 * NUMBERS), "float32")
    for x, places in ((short, range(NUMBERS)), (wide, range(0, 16 * NUMBERS, 16))):
        for place in places:
            other = x.copy()
            other[2, place] = 1
            assert found(ArrayRows(x), other) == ALTERED


def test_rows_without_a_number_are_in_position():
    x = np.zeros((4, 0), "float32")
    assert found(ArrayRows(x), x[:2]) == range(2)


def test_rows_of_the_array_at_another_position_are_altered():
    due = ArrayRows(X)
    rows = [found(due, X[start : start + 2]) for start in (0, 4, 4, 6)]
    assert rows == [range(2), ALTERED, range(4, 6), range(6, 8)]


def test_a_batch_that_cannot_be_read_has_no_tag(monkeypatch):
    monkeypatch.delenv(STRICT)
    batch = ((X[:2], X[:2]),)
    assert ArrayRows(X).identify(batch) == (batch, NOT_OBSERVED)


@pytest.mark.parametrize("change", ["value", "sign of zero", "payload of NaN"])
@pytest.mark.parametrize("x", [X, IMAGES], ids=["small", "large"])
def test_rows_are_compared_by_their_bytes(x, change):
    x = x.copy()
    x[1] = {"value": 1, "sign of zero": 0, "payload of NaN": np.nan}[change]
    changed = x[:4].copy()
    assert found(ArrayRows(x), (changed.copy(),)) == range(4)
    if change == "value":
        changed[1] = 2
    else:
        changed[1] = -changed[1]
    assert found(ArrayRows(x), (changed,)) == ALTERED
