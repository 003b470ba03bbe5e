"""Sources that write other rows into memory that they emitted before."""

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.overwriting import ALIGNMENT, MAX_REMEMBERED, MemoryWatch
from tests.buffers import TF_ALIGNMENT, aligned


def fed(memory, array):
    return memory.hold((array,))[0]


def test_a_batch_that_lies_where_the_source_made_it_is_compared_again():
    memory, buffer = MemoryWatch(), aligned((4, 2))
    memory.emitted([buffer])
    fed(memory, buffer)
    fed(memory, buffer[:2])
    assert memory.intact() == [True, True]
    fed(memory, buffer)
    buffer += 1
    held = fed(memory, buffer)
    assert held.tolist() == buffer.tolist()
    assert memory.intact() == [False, True]
    assert memory.intact() == []


def test_a_copy_cannot_change():
    memory, buffer, other = MemoryWatch(), aligned((4, 2)), aligned((4, 2))
    memory.emitted([buffer])
    fed(memory, other)
    other += 1
    assert memory.intact() == [True]


def test_memory_that_tensorflow_copies_is_not_watched():
    assert ALIGNMENT == TF_ALIGNMENT
    memory, buffer = MemoryWatch(), aligned((4, 2), beyond=16)
    memory.emitted([buffer])
    fed(memory, buffer)
    buffer += 1
    assert all(memory.intact())


def test_one_part_in_place_suffices_and_only_that_is_copied():
    memory, x, y = MemoryWatch(), aligned((4, 2)), aligned((4,), dtype="int64")
    memory.emitted([x, y])
    other = x.copy()
    held = memory.hold({"x": other, "y": y})
    assert held["x"] is other
    y += 1
    assert held["y"].tolist() == [0] * 4
    assert memory.intact() == [False]


def test_what_is_no_array_keeps_its_place():
    memory, buffer, thing = MemoryWatch(), aligned((4, 2)), object()
    memory.emitted([buffer])
    assert memory.hold((thing, None)) == (thing, None)
    fed(memory, buffer)
    buffer += 1
    assert memory.intact() == [True, False]


def test_a_batch_is_held_as_it_is_where_the_source_emitted_no_memory_that_is_used_in_place():
    memory, batch = MemoryWatch(), {"x": aligned((4, 2))}
    assert memory.hold(batch) is batch
    assert memory.intact() == []
    memory.hold(batch)
    buffer = aligned((4, 2))
    memory.emitted([buffer])
    fed(memory, buffer)
    buffer += 1
    assert memory.intact() == [False]


def test_a_batch_that_is_not_a_number_is_unchanged():
    memory, buffer = MemoryWatch(), aligned((4, 2))
    buffer[:] = np.nan
    memory.emitted([buffer])
    fed(memory, buffer)
    assert memory.intact() == [True]


@pytest.mark.parametrize("in_place", [True, False])
def test_tensors_are_held_by_the_memory_that_they_use(in_place):
    memory, buffer = MemoryWatch(), aligned((4, 2), beyond=0 if in_place else 16)
    memory.emitted([buffer])
    dataset = tf.data.Dataset.from_generator(lambda: [buffer], output_signature=tf.TensorSpec((4, 2)))
    (tensor,) = dataset
    held = fed(memory, tensor)
    assert (held is tensor) is not in_place
    buffer += 1
    assert np.asarray(held).tolist() == [[0, 0]] * 4
    assert all(memory.intact()) is not in_place


def test_the_latest_places_are_remembered_however_long_a_call_is():
    memory = MemoryWatch()
    arrays = aligned((2 * MAX_REMEMBERED, 16))
    for array in arrays:
        memory.emitted([array])
    for at in (0, MAX_REMEMBERED - 1, MAX_REMEMBERED, -1):
        fed(memory, arrays[at])
    arrays += 1
    assert memory.intact() == [True, True, False, False]


def test_a_place_that_is_emitted_again_with_each_batch_is_not_forgotten():
    memory, always = MemoryWatch(), aligned((4, 2))
    for array in aligned((MAX_REMEMBERED, 16)):
        memory.emitted([array, always])
    fed(memory, always)
    always += 1
    assert memory.intact() == [False]
