"""Tags: attached as one more part, and removed so that the original structure is left."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard.capture.tags import FULL, tag_rows, tagged, unwrap_like, wrap_batch
from evalguard.core.trace import ROW_BITS, UNKNOWN

X, Y, W = np.zeros((3, 2)), np.arange(3), np.ones(3)


class Batch(NamedTuple):
    x: object
    y: object


BATCHES = {
    "x": (X,),
    "x and y": (X, Y),
    "with weights": (X, Y, W),
    "a dict": {"a": X},
    "a namedtuple": Batch(X, Y),
    "a tagged batch": tagged((X, Y), index=[4, 5, 6]),
}


def same(one, other):
    assert type(one) is type(other)
    tf.nest.assert_same_structure(one, other)
    assert all(a is b for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True))


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_a_batch_without_its_tag_has_its_original_structure(batch):
    wrapped = wrap_batch(batch, 7)
    assert type(wrapped) is tuple
    assert len(wrapped) <= FULL
    found, tag = unwrap_like(batch)(wrapped)
    same(found, batch)
    assert tag.shape == (3, 2)
    assert tag[:, 0].tolist() == [(7 << ROW_BITS) + row for row in range(3)]


@pytest.mark.parametrize(
    ("index", "stated"),
    [
        pytest.param([9, 8, 7], [9, 8, 7], id="list"),
        pytest.param(np.array([[9], [8], [7]], "uint8"), [9, 8, 7], id="column"),
        pytest.param(None, [UNKNOWN] * 3, id="none"),
        pytest.param([1, 2], [UNKNOWN] * 3, id="too-few"),
        pytest.param([0.0, 1.0, 2.0], [UNKNOWN] * 3, id="no-integers"),
    ],
)
def test_rows_state_their_samples_where_there_is_one_integer_for_each(index, stated):
    assert tag_rows(0, 3, index)[:, 1].tolist() == stated


def test_the_index_of_a_tagged_batch_comes_before_that_of_the_source():
    batch = tagged((X, Y), index=[4, 5, 6])
    assert wrap_batch(batch, 0, [1, 2, 3])[-1][:, 1].tolist() == [4, 5, 6]
    assert wrap_batch((X, Y), 0, [1, 2, 3])[-1][:, 1].tolist() == [1, 2, 3]


@pytest.mark.parametrize("parts", [X, (X,), [X, Y], (X, Y, W)])
def test_a_tagged_batch_is_an_ordinary_tuple_that_survives_pickle(parts):
    batch = evalguard.tagged(parts, index=range(3))
    expected = tuple(parts) if isinstance(parts, (tuple, list)) else (parts,)
    assert len(batch) == len(expected)
    sent = pickle.loads(pickle.dumps(batch))  # noqa: S301 - what a worker process sends
    assert type(sent) is type(batch)
    assert sent.sample_index.tolist() == batch.sample_index.tolist() == [0, 1, 2]
    assert isinstance(batch, tuple)


@pytest.mark.parametrize(
    ("batch", "index", "message"),
    [
        ((X, Y, W, W), range(3), r"expected a batch .*, found 4 parts"),
        ((), range(3), r"found 0 parts"),
        ((X,), range(2), r"expected one index for each of the 3 rows of the batch, found 2"),
    ],
)
def test_a_tagged_batch_needs_up_to_three_parts_and_an_index_for_each_row(batch, index, message):
    with pytest.raises(ValueError, match=message):
        tagged(batch, index=index)


def test_the_tag_is_empty_where_rows_cannot_be_counted():
    assert wrap_batch((object(),), 3)[-1].shape == (0, 2)
