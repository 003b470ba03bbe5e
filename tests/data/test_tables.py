"""Tables and arrays of a step file: read as they are, or refused with the entry, the file and the first rows."""

import json

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from evalguard import Labels
from evalguard.data import arrow, tables
from evalguard.errors import ConfigError, LabelsError

FRAME = pd.DataFrame({"id": ["007", "008", "010"], "y": [2, 0, 1], "p": [0.5, 0.25, 0.125]})
WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path),
    "pq": lambda frame, path: frame.to_parquet(path),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "ndjson": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "arrow": lambda frame, path: arrow.write_arrow(pa.Table.from_pandas(frame), path),
    "feather": lambda frame, path: frame.to_feather(path),
}
READERS = {
    "step": (lambda path, key: tables.read_table(path, "data.table", [key, None]), ConfigError),
    "labels": (lambda path, key: tables.TableFile(path, path.name, [key], LabelsError).read(), LabelsError),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_table_of_any_format_is_read_as_pandas_wrote_it(tmp_path, suffix, reader):
    path = tmp_path / f"table.{suffix}"
    WRITERS[suffix](FRAME, path)
    table = READERS[reader][0](path, "id")
    assert table.to_pandas()[list(FRAME)].to_dict("list") == FRAME.to_dict("list")


@pytest.mark.parametrize("reader", READERS)
def test_only_the_key_of_a_csv_stays_text(tmp_path, reader):
    (tmp_path / "table.csv").write_text("id,other\n007,007\n")
    assert READERS[reader][0](tmp_path / "table.csv", "id").to_pylist() == [{"id": "007", "other": 7}]
    assert READERS[reader][0](tmp_path / "table.csv", None).to_pylist() == [{"id": 7, "other": 7}]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_of_another_format_is_refused(tmp_path, suffix, reader):
    path = tmp_path / f"table.{suffix}"
    path.write_bytes(b"a,b\n1\n\xff\xfe" if suffix == "csv" else b"no table")
    read, error = READERS[reader]
    with pytest.raises(error, match="expected a CSV, Parquet, JSONL or Arrow table, found") as caught:
        read(path, "id")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather"])
def test_a_file_with_damaged_text_is_refused(tmp_path, suffix):
    """Arrow itself follows any length, and a wrong one in a file of some kilobytes took all the memory there is."""
    path = tmp_path / f"table.{suffix}"
    table = pa.table({"id": ["first", "second"]})
    arrow.write_arrow(table, path) if arrow.is_arrow(path) else pq.write_table(table, path, compression="none")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"second", b"\xffecond"))
    for read in (tables.read_table, lambda *_: list(tables.TableFile(path, "here").pieces("id"))):
        with pytest.raises(ConfigError, match=r"^here: expected a CSV, Parquet, JSONL or Arrow table, found in .*UTF"):
            read(path, "here")
    if arrow.is_arrow(path):
        lengths = np.array([0, 5, 11], np.int32).tobytes()
        assert content.count(lengths) == 1
        path.write_bytes(content.replace(lengths, np.array([0, 2**31 - 1, 11], np.int32).tobytes()))
        with pytest.raises(ConfigError, match=r"^here: expected a CSV, Parquet, JSONL or Arrow table, found in "):
            tables.read_table(path, "here")


def test_a_name_of_a_column_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "table.csv").write_bytes("pré,y\n1,2\n".encode("latin-1"))
    for read in (lambda path: tables.read_table(path, "here"), lambda path: tables.TableFile(path, "here").schema):
        with pytest.raises(ConfigError, match=r"^here: expected a CSV, .* found in .*table\.csv: 'utf-8' codec"):
            read(tmp_path / "table.csv")


@pytest.mark.parametrize("suffix", ["csv", "arrow"])
def test_a_column_whose_name_comes_twice_is_refused(tmp_path, suffix):
    path = tmp_path / f"table.{suffix}"
    table = pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4]), pa.array([5, 6])], ["y", "y", "z"])
    arrow.write_arrow(table, path) if suffix == "arrow" else pa.csv.write_csv(table, path)
    file = tables.TableFile(path, "here")
    assert file.column("z").tolist() == [5, 6]
    twice = r"^here: expected one column 'y', found 2 of that name; rename the others$"
    for read in (
        lambda: file.column("y"),
        lambda: list(file.pieces("y")),
        lambda: tables.column_of(table, "y", "here"),
        lambda: tables.features(table, ["y"], "int8", "here"),
    ):
        with pytest.raises(ConfigError, match=twice):
            read()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            None, "data.table: expected a CSV, Parquet, JSONL or Arrow file at .*, found none there", id="missing"
        ),
        pytest.param("id,y\n", "data.table: expected at least one row in .*, found none", id="no-rows"),
    ],
)
def test_a_table_without_rows_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "table.csv").write_text(content)
    with pytest.raises(ConfigError, match=message):
        tables.read_table(tmp_path / "table.csv", "data.table")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.path: expected a model at .*, found none there"):
        tables.existing(tmp_path, "model.path", "a model")


TABLE = pa.table(
    {
        "text": ["a", "b", "a"],
        "number": [1, 2, 3],
        "gap": [1.5, None, None],
        "lists": [[1, 2], [3, 4], [5, 6]],
        "fixed": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int8(), 2)),
        "uneven": [[1], [2, 3], []],
    }
)


def names_of(table, column):
    return tables.names_of(tables.column_of(table, column, "here"), column, "here")


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: tables.column_of(TABLE, "txet", "here"), r"^here: expected a column 'txet', found columns 'text', "),
        (
            lambda: tables.column_of(TABLE, "gap", "here"),
            "^here, column 'gap': expected a value in each row, found none at rows 1, 2$",
        ),
        (lambda: names_of(TABLE, "text"), r"expected each name once .*'text', found 'a' at rows 0, 2$"),
        (lambda: names_of(TABLE, "gap"), "found none at rows 1, 2$"),
        (lambda: tables.features(TABLE, ["number", "no"], "int8", "here"), r"^here: expected a column 'no', found "),
        (lambda: tables.features(TABLE, ["text"], "int8", "here"), r"'text': expected numbers \(int8\), found string"),
        (lambda: tables.features(TABLE, ["uneven"], "int8", "here"), r"column 'uneven': expected numbers"),
        (lambda: tables.features(TABLE, [], "int8", "here"), r"^here: expected at least one column .*, found none$"),
    ],
)
def test_a_column_that_cannot_be_used_is_refused(read, message):
    with pytest.raises(ConfigError, match=message):
        read()


def test_names_are_text_or_integers():
    assert names_of(TABLE, "number").dtype == np.int64
    table = pa.table({"name": pa.array(["a", "b"]).dictionary_encode(), "day": [1.0, 2.0]})
    assert names_of(table, "name").tolist() == ["a", "b"]
    assert names_of(table, "day").tolist() == ["1.0", "2.0"]


@pytest.mark.parametrize(
    "keys",
    [
        pa.array([b"a", b"\xff"]),
        pa.array([2**64 - 1, 1], pa.uint64()),
        pa.array([1.5, 2.1], pa.float32()),
        pa.array([1, 2], pa.timestamp("ns")),
        pa.array([True, False]),
    ],
    ids=lambda keys: str(keys.type),
)
def test_names_of_the_data_are_read_like_the_keys_of_labels(keys):
    names = names_of(pa.table({"id": keys}), "id")
    labels = Labels(values=np.arange(2), keys=tables.column_of(pa.table({"id": keys}), "id", "here"))
    assert names.tolist() == labels.keys.tolist()


def test_features_stand_side_by_side_in_the_order_asked_for():
    found = tables.features(TABLE, ["fixed", "number", "lists"], "float32", "here")
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.tolist() == [[1, 2, 1, 1, 2], [3, 4, 2, 3, 4], [5, 6, 3, 5, 6]]


def test_a_null_among_features_is_nan():
    assert np.isnan(tables.features(TABLE, ["gap"], "float32", "here")[:, 0]).tolist() == [False, True, True]


def test_large_array_files_are_mapped_and_archives_are_dicts(tmp_path, monkeypatch):
    x = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, y=x[0])
    assert not isinstance(tables.read_arrays(tmp_path / "x.npy", "data.arrays"), np.memmap)
    monkeypatch.setattr(arrow, "MAPPED_BYTES", 0)
    found = tables.read_arrays(tmp_path / "x.npy", "data.arrays")
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, x)
    archive = tables.read_arrays(tmp_path / "x.npz", "data.arrays")
    assert {name: array.tolist() for name, array in archive.items()} == {"x": x.tolist(), "y": x[0].tolist()}


@pytest.mark.parametrize("name", ["objects.npy", "objects.npz", "torn.npy", "torn.npz", "empty.npy"])
def test_array_files_with_objects_or_without_arrays_are_refused(tmp_path, name):
    objects = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "objects.npy", objects)
    np.savez(tmp_path / "objects.npz", objects)
    for torn in ("torn.npy", "torn.npz"):
        (tmp_path / torn).write_text("no array")
    (tmp_path / "empty.npy").touch()
    with pytest.raises(
        ConfigError, match=r"^data\.arrays: expected a \.npy or \.npz file without Python objects, found"
    ):
        tables.read_arrays(tmp_path / name, "data.arrays")


def test_images_are_those_that_keras_reads_sorted_by_path(tmp_path):
    for name in ("b/2.png", "a/10.JPG", "a/1.jpeg", "a/deep/3.gif", "0.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(tmp_path / name, np.zeros((4, 4, 3)), file_format="png")
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "folder.png").mkdir()
    found = tables.image_files(tmp_path, "data.image_directory")
    assert found == ["0.bmp", "a/1.jpeg", "a/10.JPG", "a/deep/3.gif", "b/2.png"]
    dataset = keras.utils.image_dataset_from_directory(tmp_path, labels=None, image_size=(4, 4), shuffle=False)
    assert sorted(path.removeprefix(f"{tmp_path}/") for path in dataset.file_paths) == found


@pytest.mark.parametrize(
    ("folder", "message"), [("no", "expected a folder of images at"), ("", "expected image files")]
)
def test_a_folder_without_images_is_refused(tmp_path, folder, message):
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigError, match=rf"^data\.image_directory: {message} .*found none"):
        tables.image_files(tmp_path / folder, "data.image_directory")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param([[1], [2, 3]], "rows of different lengths", id="uneven"),
        pytest.param(np.array([np.zeros(2), None, np.zeros(2)], dtype=object)[[0, 2]], "np.stack", id="arrays"),
        pytest.param(3, "found int", id="a-number"),
        pytest.param(["a", None, "b", None], r"found none at rows 1, 3$", id="none"),
        pytest.param(pd.Series(["a", float("nan")], dtype=object), "found none at row 1$", id="nan-among-text"),
    ],
)
def test_labels_that_are_not_one_for_each_sample_are_refused(labels, message):
    with pytest.raises(LabelsError, match=rf"^labels: expected .*{message}"):
        tables.array_of(labels, "labels")


@pytest.mark.parametrize("labels", [[1, 2], np.eye(2), pd.Series([0.5, 1.5]), ["a", "b"], np.array([1.0, np.nan])])
def test_labels_become_the_array_of_their_values(labels):
    assert np.array_equal(
        tables.array_of(labels, "labels"), np.asarray(labels), equal_nan=isinstance(labels, np.ndarray)
    )


@pytest.mark.parametrize(
    ("column", "kind", "expected"),
    [
        ("text", "U", ["a", "b", "a"]),
        ("number", "i", [1, 2, 3]),
        ("lists", "i", [[1, 2], [3, 4], [5, 6]]),
        ("fixed", "i", [[1, 2], [3, 4], [5, 6]]),
    ],
)
def test_a_column_of_labels_has_the_dtype_of_its_values(tmp_path, column, kind, expected):
    pq.write_table(TABLE, tmp_path / "labels.parquet")
    found = tables.TableFile(tmp_path / "labels.parquet", "labels.parquet", (), LabelsError).column(column)
    assert (found.dtype.kind, found.tolist()) == (kind, expected)


@pytest.mark.parametrize(
    ("column", "message"),
    [("gap", "'gap': expected a value in each row, found none at rows 1, 2"), ("uneven", "different")],
)
def test_a_column_of_labels_with_gaps_is_refused(column, message):
    with pytest.raises(LabelsError, match=message):
        tables.column_of(TABLE, column, "labels.parquet", LabelsError)


def test_a_json_file_with_a_missing_value_has_a_gap(tmp_path):
    lines = [json.dumps({"y": 1}), json.dumps({"y": None})]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    file = tables.TableFile(tmp_path / "labels.jsonl", "labels.jsonl", (), LabelsError)
    with pytest.raises(
        LabelsError, match=r"labels\.jsonl, column 'y': expected a value in each row, found none at row 1$"
    ):
        file.column("y")
