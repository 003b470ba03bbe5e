"""Columns beyond the memory of a call hold what they would hold in it."""

import errno
import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard import ConfigError
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.columns.storage import ColumnBuffer, MemoryBudget, on_disk, size_in_bytes

LIMITS = st.sampled_from([1, 40, 100, 1000, 1 << 30])
PARTS = st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=20), max_size=12)
NUMBERS = st.integers(-2, 2**40)
CHUNKS = st.lists(
    st.one_of(
        st.tuples(NUMBERS, st.integers(0, 50)).map(lambda run: list(range(run[0], run[0] + run[1]))),
        st.lists(NUMBERS, max_size=30),
    ),
    max_size=12,
)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def full_disk(monkeypatch, room):
    """Temporary files take so many bytes together, as a disk does that is nearly full."""
    left = [room]
    make = tempfile.TemporaryFile

    class Nearly:
        def __init__(self, **options):
            self._file = make(**options)

        def write(self, data):
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = self._file.write(data[: left[0]])
            left[0] -= taken
            return taken

        def __getattr__(self, name):
            return getattr(self._file, name)

    monkeypatch.setattr(tempfile, "TemporaryFile", Nearly)


@given(PARTS, LIMITS, st.data())
def test_a_buffer_holds_what_was_appended(parts, limit, data):
    memory = MemoryBudget(limit)
    buffer, plain = ColumnBuffer(np.uint64, memory), []
    for part in parts:
        buffer.append(np.array(part, dtype=np.uint64))
        plain += part
        if data.draw(st.booleans()):
            start = data.draw(st.integers(0, len(plain)))
            stop = data.draw(st.integers(start, len(plain)))
            assert buffer[start:stop].tolist() == plain[start:stop]
        if data.draw(st.booleans()):
            assert buffer.array().tolist() == plain
    assert (len(buffer), buffer.array().tolist()) == (len(plain), plain)
    assert memory.used <= limit


@given(CHUNKS, LIMITS, st.sampled_from([0, 1]), st.data())
def test_a_column_beyond_the_memory_holds_what_was_put_into_it(chunks, limit, step, data):
    runs, plain = RunLengthColumn(step, MemoryBudget(limit)), []
    for chunk in chunks:
        if data.draw(st.booleans()):
            runs.extend(np.array(chunk, dtype=np.int64))
        else:
            for number in chunk:
                runs.append(number)
        plain += chunk
        if data.draw(st.integers(0, 3)) == 3:
            assert np.asarray(runs).tolist() == plain
    assert np.asarray(runs).tolist() == plain
    assert runs.total() == sum(plain)
    assert runs.lowest() == min(plain, default=0)
    assert all(runs.may_contain(value) for value in plain)
    firsts, lengths = runs.runs()
    assert [first + step * i for first, n in zip(firsts, lengths, strict=True) for i in range(n)] == plain


@given(CHUNKS, st.integers(0, 400))
def test_a_full_disk_costs_memory_and_no_row(chunks, room):
    memory = MemoryBudget(1)
    runs, buffer, plain = RunLengthColumn(memory=memory), ColumnBuffer(np.int64, memory), []
    with pytest.MonkeyPatch.context() as patch:
        full_disk(patch, room)
        for chunk in chunks:
            runs.extend(np.array(chunk, dtype=np.int64))
            buffer.append(np.array(chunk, dtype=np.int64))
            plain += chunk
        assert np.asarray(runs).tolist() == plain
        assert buffer.array().tolist() == plain
    assert bool(memory.problem) == (16 * len(plain) > room)


def test_several_columns_share_one_memory(scratch):
    memory = MemoryBudget(1 << 20)
    columns = [ColumnBuffer(np.uint64, memory) for _ in range(3)]
    rows = np.random.default_rng(0).integers(0, 2**63, size=(3, 100_000), dtype=np.uint64)
    for start in range(0, 100_000, 100):
        for column, values in zip(columns, rows, strict=True):
            column.append(values[start : start + 100])
    assert memory.used <= memory.limit
    assert all(np.array_equal(column.array(), values) for column, values in zip(columns, rows, strict=True))
    assert any(on_disk(column.array()) for column in columns)


def test_the_file_has_no_name_and_goes_with_its_last_user(scratch):
    def files():
        return [link for link in Path("/proc/self/fd").iterdir() if str(scratch) in str(link.resolve(strict=False))]

    runs = RunLengthColumn(memory=MemoryBudget(1))
    runs.extend(np.random.default_rng(0).permutation(1000))
    rows = np.asarray(runs)
    assert on_disk(rows)
    assert not list(scratch.iterdir())
    assert (runs.n_bytes, runs.n_bytes_on_disk) == (0, 8000)
    del runs
    gc.collect()
    assert sorted(rows.tolist()) == list(range(1000)), "rows outlive the column"
    assert not list(scratch.iterdir())
    del rows
    gc.collect()
    assert not files()


def test_no_folder_for_the_file_is_a_full_disk(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    memory = MemoryBudget(1)
    buffer = ColumnBuffer(np.uint64, memory)
    buffer.append(np.arange(5, dtype=np.uint64))
    assert buffer.array().tolist() == list(range(5))
    assert memory.problem.startswith("FileNotFoundError")


def test_rows_in_runs_that_fit_the_memory_only_folded_are_spread_on_disk():
    runs = RunLengthColumn(memory=MemoryBudget(10_000))
    for start in (5000, 0, 7000):
        runs.extend_run(start, 1000)
    rows = np.asarray(runs)
    assert on_disk(rows)
    assert rows.tolist() == [*range(5000, 6000), *range(1000), *range(7000, 8000)]
    assert runs.n_bytes < 300, "the column itself stays folded"
    assert np.array(runs, copy=True).flags.writeable


@pytest.mark.parametrize(
    ("text", "size"),
    [(1, 1), ("512 MiB", 512 << 20), ("2 GB", 2 * 10**9), ("1.5kB", 1500), ("64B", 64), ("1 TiB", 1 << 40)],
)
def test_sizes_in_words(text, size):
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", [0, -1, True, 1.5, None, "", "1", "GB", "1 gigabyte", "-1 GB", "0 MB", "1 GB\n2"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigError, match="trace_memory: expected a number of bytes above zero"):
        size_in_bytes(text)
