"""Tags: attached as one more part, and removed so that the original structure is left."""

import pickle
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import evalguard
from evalguard.capture.contract import NOT_OBSERVED
from evalguard.capture.tags import FULL, RidingTags, stated_samples, tag_of_rows, tagged
from evalguard.core.own_errors import STRICT
from evalguard.core.trace import UNKNOWN, row_tag

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
    riding = RidingTags(batch)
    wrapped = riding.emit(batch, 7)
    assert type(wrapped) is tuple
    assert len(wrapped) <= FULL
    found, tag = riding.identify(wrapped)
    same(found, batch)
    same(riding.without_tag(wrapped), batch)
    assert (tag.number, tag.first_row, tag.samples, tag.keys, tag.altered) == (7, 0, None, None, False)


@pytest.mark.parametrize(
    ("index", "stated"),
    [
        pytest.param([9, 8, 7], [9, 8, 7], id="list"),
        pytest.param(np.array([[9], [8], [7]], "uint8"), [9, 8, 7], id="column"),
        pytest.param([9, UNKNOWN, 7], [9, UNKNOWN, 7], id="not-of-all"),
        pytest.param([UNKNOWN] * 3, None, id="of-no-row"),
        pytest.param(None, None, id="none"),
        pytest.param([1, 2], None, id="too-few"),
        pytest.param([0.0, 1.0, 2.0], None, id="no-integers"),
    ],
)
def test_rows_state_their_samples_where_there_is_one_integer_for_each(index, stated):
    found = stated_samples(index, 3)
    assert (None if found is None else found.tolist()) == stated
    riding = RidingTags((X,))
    ridden = riding.identify(riding.emit((X,), 0, index))[1].samples
    assert (None if ridden is None else ridden.tolist()) == stated


def test_samples_are_those_stated_when_the_batch_was_emitted():
    index = np.arange(3)
    found = stated_samples(index, 3)
    index[:] = 0
    assert found is not None
    assert found.tolist() == [0, 1, 2]


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
    riding = RidingTags((object(),))
    wrapped = riding.emit((object(),), 3)
    assert wrapped[-1].shape == (0, 4)
    tag = riding.identify(wrapped)[1]
    assert (tag.number, tag.samples) == (None, None)


@pytest.mark.parametrize(
    ("rows", "number", "first_row"),
    [
        pytest.param([0, 1, 2], 0, 0, id="whole-batch"),
        pytest.param([row_tag(4, 2), row_tag(4, 3)], 4, 2, id="part"),
        pytest.param([0, 2, 1], None, 0, id="in-another-order"),
        pytest.param([0, 1, 1], None, 0, id="twice"),
        pytest.param([], None, 0, id="not-counted"),
    ],
)
def test_only_consecutive_rows_are_those_of_a_batch(rows, number, first_row):
    samples = np.arange(len(rows))
    for form in (np.array(rows, dtype=np.int64), tf.constant(rows, tf.int64)):
        tag = tag_of_rows(form, samples)
        assert (tag.number, tag.first_row) == (number, first_row)
        assert tag.samples is samples


NAMES = np.array(["a", "b", "c"])


def emitted(riding, buffer, number, index=None):
    return riding.emit(({"image": buffer, "name": NAMES},), number, index)


def test_a_tag_states_a_copy_of_the_index():
    index = np.arange(3)
    batch = tagged((X,), index=index)
    index[:] = 0
    assert batch.sample_index.tolist() == [0, 1, 2]


def test_numbers_overwritten_while_the_batch_waits_are_altered_and_state_no_sample():
    riding, buffer = RidingTags(({},)), np.zeros((3, 2))
    first = emitted(riding, buffer, 0, [0, 1, 2])
    buffer += 1
    second = emitted(riding, buffer, 1, [3, 4, 5])
    tag = riding.identify(first)[1]
    assert (tag.altered, tag.samples) == (True, None)
    assert riding.identify(second)[1].number == 1
    assert riding.intact() == [True, True]
    riding.identify(second)
    buffer += 1
    assert riding.intact() == [False]


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "bool", "complex64"])
def test_numbers_that_an_adapter_casts_to_float32_are_not_altered(dtype):
    riding, x = RidingTags((X,)), np.array([[0.1, 0], [1, 2], [3, 4]]).astype(dtype)
    (arrived, tag) = riding.emit((x,), 0)
    arrived = arrived.astype("float32") if dtype.startswith("float") else arrived
    assert not riding.identify((arrived, tag))[1].altered


def test_a_part_of_a_batch_has_the_digests_of_its_rows():
    riding, x = RidingTags((X,)), np.arange(6.0).reshape(3, 2)
    (rows, tags) = riding.emit((x,), 4, [7, 8, 9])
    tag = riding.identify((rows[1:], tags[1:]))[1]
    assert (tag.number, tag.first_row, tag.samples.tolist()) == (4, 1, [8, 9])
    x[2] += 1
    assert riding.identify((rows[1:], tags[1:]))[1].altered


def test_a_batch_that_cannot_be_read_is_not_observed_and_keeps_its_place(monkeypatch):
    monkeypatch.delenv(STRICT)
    riding, buffer = RidingTags(({},)), np.zeros((3, 2))
    waiting = [emitted(riding, buffer.copy(), 0), emitted(riding, buffer, 1)]
    with monkeypatch.context() as patch:
        patch.setattr("evalguard.capture.tags.row_digests", lambda *_: 1 / 0)
        tag = riding.identify(waiting[0])[1]
    assert (tag.number, tag.samples, tag.altered) == (None, None, False)
    riding.identify(waiting[1])
    buffer += 1
    assert riding.intact() == [True, False]


@pytest.mark.parametrize(
    "x", [{"image": X, "name": ["a", "b", "c"]}, {"image": X, "size": np.float32(3)}, (X, object())]
)
def test_a_batch_with_an_input_that_cannot_be_watched_is_not_observed(x):
    stream = RidingTags((x,))
    assert stream.identify(stream.emit((x,), 0, [0, 1, 2]))[1] == NOT_OBSERVED
    stream.intact()


@pytest.mark.parametrize(
    ("parts", "other"),
    [
        (np.array(["a", "b"]), np.array(["a", "c"])),
        (np.array(["a", "b"], object), np.array(["b", "a"], object)),
        (np.array([b"a", b"b"]), np.array([b"x", b"b"])),
        (1.7e9 + np.arange(2) / 10, 1.7e9 + np.arange(2) / 7),
    ],
    ids=["text", "objects", "bytes", "float64"],
)
def test_a_buffer_of_text_or_float64_that_is_overwritten_is_altered(parts, other):
    stream = RidingTags((parts,))
    x, tag = stream.emit((parts,), 0, [0, 1])
    assert not stream.identify((tf.constant(x), tag))[1].altered
    assert stream.identify((tf.constant(other), tag))[1].altered
    stream.intact()


@pytest.mark.parametrize(
    "part",
    [pd.Series([1, 2]), pd.Series([1.5, 2.5]), np.array([1, 2], ">i8"), np.array([1, 2], ">f4"), tf.Variable([1, 2])],
    ids=["series", "floats", "big-endian", "big-endian-floats", "variable"],
)
def test_parts_that_keras_converts_are_not_altered(part):
    stream = RidingTags((np.zeros((2, 3), "float32"), part))
    x, _, tag = stream.emit((np.zeros((2, 3), "float32"), part), 0)
    native = np.asarray(part).astype(np.asarray(part).dtype.newbyteorder("="))
    assert not stream.identify((tf.constant(x), tf.constant(native), tag))[1].altered
