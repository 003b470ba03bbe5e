"""A growing column holds what was appended, in memory or, if it is large, in a temporary file without a name."""

import errno
import gc
import os
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.columns import storage
from evalguard.core.columns.storage import ColumnBuffer, concatenated
from tests.on_disk import on_disk

LIMITS = st.sampled_from([0, 40, 100, 1000, 1 << 30])
PARTS = st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=20), max_size=12)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def disk_with(room):
    """``os.posix_fallocate`` on a disk that has no room for larger files."""
    allocate = os.posix_fallocate

    def limited(file, offset, size):
        if size > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(file, offset, size)

    return limited


@given(PARTS, LIMITS, st.data())
def test_a_buffer_holds_what_was_appended(parts, limit, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "MAX_IN_MEMORY", limit)
        buffer, plain = ColumnBuffer(np.uint64), []
        for part in parts:
            buffer.append(np.array(part, dtype=np.uint64))
            plain += part
            if data.draw(st.booleans()):
                start = data.draw(st.integers(0, len(plain)))
                stop = data.draw(st.integers(start, len(plain)))
                assert buffer[start:stop].tolist() == plain[start:stop]
            assert buffer.array().tolist() == plain
            assert on_disk(buffer.array()) == (8 * len(plain) > limit)
        assert len(buffer) == len(plain)


@given(PARTS, st.integers(0, 1000))
def test_a_column_without_room_on_the_disk_stays_in_memory(parts, room):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "MAX_IN_MEMORY", 0)
        patch.setattr(os, "posix_fallocate", disk_with(room))
        buffer, plain = ColumnBuffer(np.uint64), []
        for part in parts:
            buffer.append(np.array(part, dtype=np.uint64))
            plain += part
            assert buffer.array().tolist() == plain
    assert not on_disk(buffer.array()) or 8 * len(plain) <= room


def test_rows_that_were_read_are_not_those_of_the_buffer(monkeypatch):
    for limit in (0, 1 << 20):
        monkeypatch.setattr(storage, "MAX_IN_MEMORY", limit)
        buffer = ColumnBuffer(np.int64)
        given = np.arange(5)
        buffer.append(given)
        given[:] = 9
        before = buffer.array()
        for _ in range(10):
            buffer.append(np.full(100, 7))
        assert before.tolist() == buffer[:5].tolist() == list(range(5))
        with pytest.raises(ValueError, match="read-only"):
            before[0] = 1


def test_the_file_has_no_name_and_goes_with_its_last_user(scratch, monkeypatch):
    def files():
        gc.collect()
        return [link for link in Path("/proc/self/fd").iterdir() if str(scratch) in str(link.resolve(strict=False))]

    monkeypatch.setattr(storage, "MAX_IN_MEMORY", 4000)
    values = np.random.default_rng(0).permutation(10_000)
    buffer = ColumnBuffer(np.int64)
    for part in np.split(values, 100):
        buffer.append(part)
    assert len(files()) == 1, "the shorter files before it are gone"
    rows = buffer.array()
    assert on_disk(rows)
    assert not list(scratch.iterdir())
    del buffer
    gc.collect()
    assert np.array_equal(rows, values), "rows outlive the column"
    del rows
    assert not files()


def test_no_folder_for_the_file_is_no_room(monkeypatch):
    monkeypatch.setattr(storage, "MAX_IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    buffer = ColumnBuffer(np.uint64)
    buffer.append(np.arange(5, dtype=np.uint64))
    assert buffer.array().tolist() == list(range(5))
    assert not on_disk(buffer.array())


def test_where_room_cannot_be_reserved_columns_stay_in_memory(monkeypatch):
    monkeypatch.setattr(storage, "MAX_IN_MEMORY", 0)
    monkeypatch.delattr(os, "posix_fallocate")
    assert not on_disk(concatenated([np.arange(5)]))


def test_many_small_appends_rarely_move_the_rows():
    buffer, places = ColumnBuffer(np.bool_), set()
    for _ in range(5000):
        buffer.append(np.ones(3, bool))
        places.add(buffer.array().__array_interface__["data"][0])
    assert len(places) < 20


def test_arrays_are_concatenated_in_their_dtype():
    joined = concatenated(iter([np.array([True]), np.array([], bool), np.array([False, True])]))
    assert (joined.dtype.kind, joined.tolist()) == ("b", [True, False, True])


def test_nothing_concatenated_is_an_empty_array():
    assert len(concatenated([])) == 0


def test_a_short_column_takes_little_memory():
    tracemalloc.start()
    try:
        buffer = ColumnBuffer(np.int64)
        buffer.append(np.arange(5))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
