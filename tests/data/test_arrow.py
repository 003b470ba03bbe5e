"""Arrays as Arrow columns: read back as they were, from memory and from a mapped file."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from evalguard.data import arrow

N = 6
ARRAYS = {
    "integers": np.arange(N),
    "hashes": np.full(N, 2**64 - 1, dtype="uint64"),
    "floats with NaN": np.where(np.arange(N) % 2, np.nan, 1).astype("float32"),
    "float16": np.linspace(0, 1, N, dtype="float16"),
    "float16 in rows": np.linspace(0, 1, 2 * N, dtype="float16").reshape(N, 2),
    "booleans": np.arange(N) % 2 == 0,
    "booleans in rows": np.eye(N, dtype=bool),
    "one-hot": np.eye(N),
    "images": np.arange(N * 6, dtype="uint8").reshape(N, 2, 3),
    "big-endian": np.arange(N).astype(">i4"),
    "text": np.array(["a", "µ", "", "b", "c", "d"]),
    "a view": np.broadcast_to(np.int16(7), N),
    "Fortran order": np.arange(3.0 * N).reshape(3, N).T,
    "one row": np.arange(3)[None],
}


@pytest.fixture(params=["read", "mapped"])
def mapped(request, monkeypatch):
    """Whether files are mapped."""
    monkeypatch.setattr(arrow, "MAPPED_BYTES", 0 if request.param == "mapped" else 1 << 40)
    return request.param == "mapped"


def read_back(table, array):
    return arrow.array_of_column(table["column"], array.dtype.newbyteorder("=").str, array.shape[1:])


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_read_back_from_an_arrow_file_as_it_was(tmp_path, array, mapped):
    arrow.write_arrow(pa.table({"column": arrow.column_of(array, mappable=True)}), tmp_path / "x.arrow")
    assert arrow.is_mapped(tmp_path / "x.arrow") is mapped
    found = read_back(arrow.open_arrow(tmp_path / "x.arrow").read_all(), array)
    assert (found.dtype, found.shape) == (array.dtype.newbyteorder("="), array.shape)
    assert found.tolist() == array.tolist() or np.array_equal(found, array, equal_nan=True)


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_read_back_from_a_parquet_file_as_it_was(tmp_path, array):
    pq.write_table(pa.table({"column": arrow.column_of(array)}), tmp_path / "x.parquet")
    found = read_back(pq.read_table(tmp_path / "x.parquet"), array)
    assert (found.dtype, found.shape) == (array.dtype.newbyteorder("="), array.shape)
    assert found.tolist() == array.tolist() or np.array_equal(found, array, equal_nan=True)


@pytest.mark.parametrize("name", ["integers", "hashes", "one-hot", "images", "booleans", "float16 in rows"])
def test_numbers_of_a_mapped_file_are_not_copied_into_memory(tmp_path, monkeypatch, name):
    monkeypatch.setattr(arrow, "MAPPED_BYTES", 0)
    array = ARRAYS[name]
    arrow.write_arrow(pa.table({"column": arrow.column_of(array, mappable=True)}), tmp_path / "x.arrow")
    before = pa.total_allocated_bytes()
    found = read_back(arrow.open_arrow(tmp_path / "x.arrow").read_all(), array)
    assert pa.total_allocated_bytes() == before
    assert not found.flags.owndata
    assert not found.flags.writeable


def test_a_file_that_is_mapped_survives_a_new_file_of_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "MAPPED_BYTES", 0)
    path, array = tmp_path / "x.arrow", np.arange(10_000)
    arrow.write_arrow(pa.table({"column": arrow.column_of(array, mappable=True)}), path)
    found = read_back(arrow.open_arrow(path).read_all(), array)
    arrow.write_arrow(pa.table({"column": arrow.column_of(array[:1] + 5, mappable=True)}), path)
    assert np.array_equal(found, array)
    assert read_back(arrow.open_arrow(path).read_all(), array).tolist() == [5]
    assert [file.name for file in tmp_path.iterdir()] == ["x.arrow"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(pa.chunked_array([[1, 2], [3]]), [1, 2, 3], id="chunks"),
        pytest.param(pa.chunked_array([[1, None]]), [1, None], id="nulls"),
        pytest.param(pa.chunked_array([[True, False]]), [True, False], id="bits"),
        pytest.param(pa.chunked_array([["a"], ["b"]]), ["a", "b"], id="text"),
        pytest.param(pa.chunked_array([pd.Series([1.5, 2.5])]), [1.5, 2.5], id="pandas"),
    ],
)
def test_columns_of_other_writers_are_read_by_value(column, expected):
    assert arrow.array_of_column(column).tolist() == expected


def test_lists_of_several_chunks_become_rows():
    rows = [[1, 2], [3, 4], [5, 6]]
    column = pa.chunked_array([pa.array(rows[:1]), pa.array(rows[1:])])
    assert arrow.array_of_column(column, "int64", (2,)).tolist() == rows
    assert arrow.array_of_column(column, "float32", (2, 1)).shape == (3, 2, 1)


@pytest.mark.parametrize(
    ("name", "expected"), [("x.arrow", True), ("x.FEATHER", True), ("x.parquet", False), ("arrow", False)]
)
def test_an_arrow_file_is_recognised_by_its_suffix(tmp_path, name, expected):
    assert arrow.is_arrow(tmp_path / name) is expected


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_feather_files_of_pandas_are_opened(tmp_path, compression, mapped):
    frame = pd.DataFrame({"column": np.arange(N)})
    feather.write_feather(frame, tmp_path / "x.feather", compression=compression)
    assert arrow.open_arrow(tmp_path / "x.feather").read_all()["column"].to_pylist() == list(range(N))


@pytest.mark.parametrize("content", [b"", b"label\n1\n", b"ARROW1\0\0"])
def test_a_file_of_another_format_raises_an_error_of_arrow(tmp_path, content, mapped):
    (tmp_path / "x.arrow").write_bytes(content)
    with pytest.raises((pa.ArrowInvalid, OSError)):
        arrow.open_arrow(tmp_path / "x.arrow")


def test_text_of_an_arrow_file_stays_in_one_chunk_at_any_size():
    """Offsets of 64 bits; with 32, text of 2 GB and more is split."""
    assert arrow.column_of(np.array(["a", "b"]), mappable=True).type == pa.large_string()
    assert arrow.column_of(np.array(["a", "b"])).type == pa.string()
