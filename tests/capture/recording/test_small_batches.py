"""The buffer of small batches: groups of one form, returned as they were added."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.contract import NOT_OBSERVED, BatchTag
from evalguard.capture.recording.small_batches import SMALL_BATCH, SmallBatchBuffer
from evalguard.core.trace import ALTERED, UNKNOWN, row_tag


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint16", "int64", "uint64", "bool"])
def test_buffered_batches_are_returned_as_they_were_added(dtype, bare):
    small_batches = SmallBatchBuffer()
    rng = np.random.default_rng(0)
    fed = [rng.integers(0, 2, size=(rows, 3, 2)).astype(dtype) for rows in (4, 4, 1, 0, 2)]
    for number, x in enumerate(fed):
        assert small_batches.add(x if bare else (tf.constant(x), x[:, 0]), BatchTag(number))
    (group,) = small_batches.drain()
    assert (group.flat, group.sizes) == (not bare, [4, 4, 1, 0, 2])
    assert group.firsts == [row_tag(number) for number in range(5)]
    parts = group.parts()
    whole = np.concatenate(fed)
    assert [(part.dtype, part.tolist()) for part in parts] == [
        (whole.dtype, expected.tolist()) for expected in ([whole] if bare else [whole, whole[:, 0]])
    ]
    assert not small_batches.groups


def test_another_form_begins_another_group():
    small_batches = SmallBatchBuffer()
    for x in (np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 4)), np.zeros((2, 4), "int32")):
        assert small_batches.add((x,), NOT_OBSERVED)
    assert small_batches.add((np.zeros((2, 4), "int32"),), NOT_OBSERVED)
    assert [len(group.sizes) for group in small_batches.drain()] == [1, 2, 2]


@pytest.mark.parametrize(
    "structure",
    [
        pytest.param((tf.constant(["a"]),), id="text"),
        pytest.param((np.array(["a"]),), id="text of numpy"),
        pytest.param((tf.cast([1.0], tf.bfloat16),), id="a type without a code"),
        pytest.param((np.zeros(2, ">f4"),), id="foreign byte order"),
        pytest.param((tf.ragged.constant([[1], [2, 3]]),), id="ragged"),
        pytest.param((tf.zeros((2, 1)), None), id="no targets"),
        pytest.param(({"x": tf.zeros((2, 1))},), id="a dict"),
        pytest.param((tf.zeros((1, SMALL_BATCH)),), id="large"),
        pytest.param((tf.zeros((1, SMALL_BATCH // 8)), tf.zeros((1, SMALL_BATCH // 4))), id="large together"),
        pytest.param((tf.constant(1.0),), id="a scalar"),
        pytest.param((tf.zeros(2), tf.zeros(3)), id="of two lengths"),
        pytest.param((object(),), id="something else"),
        pytest.param((), id="nothing"),
    ],
)
def test_large_batches_and_other_structures_than_a_flat_tuple_of_numbers_are_not_buffered(structure):
    assert not SmallBatchBuffer().add(structure, NOT_OBSERVED)


def test_a_buffered_batch_is_a_copy():
    x, small_batches = np.zeros((2, 3), "float32"), SmallBatchBuffer()
    small_batches.add((x,), BatchTag(0))
    x[:] = 1
    assert small_batches.drain()[0].parts()[0].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_bytes_are_counted_until_the_buffer_is_drained():
    small_batches = SmallBatchBuffer()
    small_batches.add(np.zeros((2, 3), "float32"), BatchTag(0))
    small_batches.add(np.zeros((2, 3), "float32"), BatchTag(1))
    assert small_batches.n_bytes == 48
    assert [group.sizes for group in small_batches.drain()] == [[2, 2]]
    assert (small_batches.n_bytes, small_batches.drain()) == (0, [])


def test_a_group_knows_what_its_batches_state():
    small_batches, samples = SmallBatchBuffer(), np.arange(2)
    tags = [BatchTag(0, samples), BatchTag(1, samples), BatchTag(3, first_row=2), BatchTag(altered=True), NOT_OBSERVED]
    for tag in tags:
        assert small_batches.add((np.zeros((2, 3)),), tag)
    (group,) = small_batches.groups
    assert group.firsts == [0, row_tag(1), row_tag(3, 2), ALTERED, UNKNOWN]
    assert [stated is samples for stated in group.samples] == [True, True, False, False, False]
    assert not group.stated


def test_a_group_is_stated_if_each_of_its_batches_states_all_samples():
    small_batches = SmallBatchBuffer()
    for number in range(2):
        small_batches.add((np.zeros((2, 3)),), BatchTag(number, np.arange(2)))
    (group,) = small_batches.groups
    assert group.stated


def test_a_batch_of_the_largest_size_is_still_buffered():
    assert SmallBatchBuffer().add(np.zeros(SMALL_BATCH, "int8"), NOT_OBSERVED)
    assert not SmallBatchBuffer().add(np.zeros(SMALL_BATCH + 1, "int8"), NOT_OBSERVED)
