"""Sources that write other rows into memory that they emitted before."""

from evalguard.capture.hashing import digest
from evalguard.capture.overwriting import ALIGNMENT, MAX_REMEMBERED, MemoryWatch
from tests.buffers import TF_ALIGNMENT, aligned


def fed(memory, array):
    memory.fed([array], digest(array))


def test_a_batch_that_lies_where_the_source_made_it_is_hashed_again():
    memory, buffer = MemoryWatch(), aligned((4, 2))
    memory.emitted([buffer])
    fed(memory, buffer)
    fed(memory, buffer[:2])
    assert memory.intact() == [True, True]
    fed(memory, buffer)
    buffer += 1
    fed(memory, buffer)
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
    assert memory.intact() == [True]


def test_one_part_in_place_suffices_and_all_parts_are_hashed():
    memory, x, y = MemoryWatch(), aligned((4, 2)), aligned((4,), dtype="int64")
    memory.emitted([x, y])
    memory.fed([x.copy(), y], digest((x, y)))
    y += 1
    assert memory.intact() == [False]


def test_a_batch_that_could_not_be_read_keeps_its_place():
    memory, buffer = MemoryWatch(), aligned((4, 2))
    memory.emitted([buffer])
    memory.unreadable()
    fed(memory, buffer)
    buffer += 1
    assert memory.intact() == [True, False]


def test_the_latest_places_are_remembered_however_long_a_call_is():
    memory = MemoryWatch()
    arrays = aligned((2 * MAX_REMEMBERED, 16))
    for array in arrays:
        memory.emitted([array])
    for at in (0, MAX_REMEMBERED - 1, MAX_REMEMBERED, -1):
        fed(memory, arrays[at])
    arrays += 1
    assert memory.intact() == [True, True, False, False]
