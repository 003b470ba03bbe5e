"""Arrays that Keras slices: each delivered batch is compared with the rows expected at its position."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.array_rows import MIN_LARGE_ROW_BYTES, ArrayRows
from evalguard.core.own_errors import STRICT
from evalguard.core.trace import ALTERED
from tests.buffers import aligned_copy

X = aligned_copy(np.arange(24, dtype="float32").reshape(8, 3))
# Rows large enough to be compared at sampled positions.
BIG = np.random.default_rng(0).normal(size=(32, 64, 64, 3)).astype("float32")
assert BIG[0].nbytes >= MIN_LARGE_ROW_BYTES


def number(rows, batch):
    return rows.identify(batch)[1]


def ambiguous(step):
    """Large rows that differ from others at a position that is not sampled."""
    rows = BIG.copy()
    rows[:, 0, 0, 0] = step
    return rows


@pytest.mark.parametrize("x", [X, X.astype("float64"), {"a": X, "b": X.astype("int64")}, tf.constant(X)])
def test_array_batches_are_identified_by_the_rows_expected_next(x):
    digests = ArrayRows(x)
    rows = [number(digests, part) for part in tf.data.Dataset.from_tensor_slices(x).batch(3)]
    assert np.concatenate(rows).tolist() == list(range(8))


def test_ambiguous_rows_of_an_array_are_distinguished():
    """No other check would notice: arrays are proven by identity."""
    x = np.concatenate([ambiguous(step) for step in range(2)])
    digests = ArrayRows(x)
    assert digests.identify((x[32:],))[1] == ALTERED
    assert ArrayRows(x).identify((x[:32],))[1] == range(32)


WIDE = np.random.default_rng(1).normal(size=(50, 1024)).astype("float32")


@pytest.mark.parametrize(
    "x",
    [
        WIDE,
        WIDE.astype("float64"),
        {"a": WIDE, "b": np.arange(50)},
        {"a": np.zeros((50, 1031), "uint8"), "b": WIDE},
        pytest.param(np.repeat(WIDE[:10], 5, axis=0), id="each row five times"),
    ],
)
def test_arrays_with_large_rows_are_compared_at_sampled_positions(monkeypatch, x):
    monkeypatch.setattr("evalguard.capture.array_rows.CHUNK", 7)
    digests = ArrayRows(x)
    rows = [number(digests, part) for part in tf.data.Dataset.from_tensor_slices(x).batch(8)]
    assert np.concatenate(rows).tolist() == list(range(50))
    assert digests._ambiguous is not None  # noqa: SLF001 - the sampled comparison ran


def test_two_swapped_rows_of_an_array_are_reported_at_any_position_where_they_differ():
    for at in (0, 255, 256, 600, 1023):
        x = WIDE.copy()
        x[3] = x[40]
        x[3, at] += 1
        swapped = x.copy()
        swapped[[3, 40]] = x[[40, 3]]
        assert number(ArrayRows(x), x[:8]) == range(8)
        assert number(ArrayRows(x), swapped[:8]) == ALTERED


def test_rows_of_the_array_at_another_position_are_altered():
    digests = ArrayRows(X)
    rows = [number(digests, X[start : start + 2]) for start in (0, 4, 4, 6)]
    assert rows == [range(2), ALTERED, range(4, 6), range(6, 8)]


def test_a_batch_that_cannot_be_read_has_no_tag(monkeypatch):
    monkeypatch.delenv(STRICT)
    batch = ((X[:2], X[:2]),)
    assert ArrayRows(X).identify(batch) == (batch, None)


@pytest.mark.parametrize("change", ["value", "sign of zero", "payload of NaN"])
@pytest.mark.parametrize("x", [X, BIG], ids=["small", "large"])
def test_rows_are_compared_by_their_bytes(x, change):
    x = x.copy()
    x[1] = {"value": 1, "sign of zero": 0, "payload of NaN": np.nan}[change]
    changed = x[:4].copy()
    assert number(ArrayRows(x), (changed.copy(),)) == range(4)
    if change == "value":
        changed[1] = 2
    else:
        changed[1] = -changed[1]
    assert number(ArrayRows(x), (changed,)) == ALTERED
