"""Keys in DuckDB: read like an array, joined exactly, and never cast."""

import datetime
import decimal
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from evalguard.core.label_table import LabelTable, normal_keys
from evalguard.core.plural import at_rows
from evalguard.core.trace import FOREIGN
from evalguard.data import arrow
from evalguard.data.stored_keys import KeyedFile, StoredKeys, key_store
from evalguard.errors import ConfigError, LabelsError
from evalguard.labels.labels import Labels

TEXTS = ["b", "a", "é" * 9, "", "10", "9", "a\nb", 'q"u', "a'b; drop table labelled"]


@pytest.fixture
def stored():
    """A function that stores keys, each time in a new table."""
    with key_store() as store:
        tables = iter("abcdefgh")

        def keys(*pieces, where="here"):
            return StoredKeys(store, f"table_{next(tables)}", [pa.array(*piece) for piece in pieces], where)

        yield keys


@pytest.mark.parametrize(
    "keys",
    [pytest.param(np.array(TEXTS), id="text"), pytest.param(np.array([7, -3, 2**62, 0, 1, 5, 9, 8, 4]), id="int")],
)
def test_stored_keys_are_read_like_an_array(stored, keys):
    found = stored([keys[:4].tolist()], [keys[4:].tolist()])
    assert (found.dtype, found.shape, len(found)) == (keys.dtype, keys.shape, len(keys))
    assert np.array_equal(np.asarray(found), keys)
    assert np.array_equal(found[2:5], keys[2:5])
    rows = np.array([5, 0, 8, 0])
    assert np.array_equal(found[rows], keys[rows])
    assert [str(found[row]) for row in range(len(keys))] == [str(key) for key in keys]
    assert found.empty().tolist() == [row for row, key in enumerate(keys) if str(key) == ""]
    assert LabelTable(keys=found[:3]).digest == LabelTable(keys=keys[:3]).digest


def test_labels_have_the_same_digest_with_stored_keys(stored, monkeypatch):
    monkeypatch.setattr("evalguard.core.label_digest.DIGEST_ROWS", 4)
    keys = [f"sample {row}" for row in range(11)]
    assert LabelTable(keys=stored([keys])).digest == LabelTable(keys=np.array(keys)).digest


@pytest.mark.parametrize("keys", [["c", "a", "b", "a", "c", "a"], [3, 1, 2, 1, 3, 1], ["a", "a"]])
def test_repeated_keys_are_refused_as_those_of_arrays_are(stored, keys):
    with pytest.raises(LabelsError) as expected:
        LabelTable(keys=np.array(keys))
    with pytest.raises(LabelsError) as found:
        LabelTable(keys=stored([keys]))
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("keys", [[1, 2, 3], [3, 1, 2], ["a", "b"], ["b", "a", "é"]])
def test_keys_that_occur_once_are_labels(stored, keys):
    assert stored([keys]).repeated() is None


def test_rows_are_found_by_key_in_any_order(stored):
    labels, order = stored([[f"{row:06d}" for row in range(5000)]]), np.random.default_rng(3).permutation(6000)
    found = stored([[f"{row:06d}" for row in order]]).rows_in(labels)
    assert np.array_equal(found, np.where(order < 5000, order, FOREIGN))


@pytest.mark.slow
def test_a_join_inside_a_small_memory_limit_is_the_same():
    names = pa.array([f"images/{row:030d}" for row in range(1_000_000)])
    order = np.random.default_rng(4).permutation(1_000_000)
    with key_store() as store:
        store.execute("set memory_limit = '60MB'")
        labels = StoredKeys(store, "labelled", [names], "labels")
        ours = StoredKeys(store, "predicted", [names.take(pa.array(order))], "predictions")
        assert np.array_equal(ours.rows_in(labels), order)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["b", "a"], False),
        (["a", "b"], ["a", "bb"], False),
        (["a"], ["a", "b"], False),
        ([1, 2], ["1", "2"], False),
    ],
)
def test_keys_are_equal_in_the_same_order_only(stored, ours, theirs, same):
    assert stored([ours]).equals(stored([theirs])) is same


BIG = 2**53


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        pytest.param((["7", "-12", "0"],), ([0, 7, -12],), [1, 2, 0], id="text-beside-integers"),
        pytest.param(([0, 7, 12],), (["12", "7", "8"],), [FOREIGN, 1, 0], id="integers-beside-text"),
        pytest.param(([-1],), ([2**64 - 1, 1], pa.uint64()), [FOREIGN], id="unsigned-is-not-negative"),
        pytest.param(([2**64 - 1, 1], pa.uint64()), (["1", str(2**64 - 1)],), [1, 0], id="unsigned-above-int64"),
        pytest.param(([5, 6], pa.uint64()), ([6, 5],), [1, 0], id="unsigned-and-signed"),
        pytest.param(([5, 6], pa.int8()), ([6, 5], pa.uint32()), [1, 0], id="small-integers"),
        pytest.param(([BIG + 1, BIG],), ([BIG, BIG + 1],), [1, 0], id="integers-that-no-float-holds"),
        pytest.param((["007", "7"],), (["7", "007"],), [1, 0], id="text-that-looks-like-numbers"),
        pytest.param((["1", "1.0", "1e0"],), (["1.0"],), [FOREIGN, 0, FOREIGN], id="text-of-floats"),
        pytest.param((["Ä", "a", "A "],), (["A", "a", "Ä"],), [2, 1, FOREIGN], id="case-and-accents"),
    ],
)
def test_keys_are_compared_as_they_are(stored, ours, theirs, found):
    assert stored(ours).rows_in(stored(theirs)).tolist() == found


@pytest.mark.parametrize(
    ("texts", "example"),
    [
        pytest.param((["7", "007"],), "007", id="leading-zeros"),
        pytest.param((["7 "],), "7 ", id="space"),
        pytest.param((["+7"],), "+7", id="sign"),
        pytest.param((["-0"],), "-0", id="minus-zero"),
        pytest.param((["\u0667"],), "\u0667", id="another-script"),
        pytest.param((["7\n"],), r"7\u000a", id="end-of-line"),
        pytest.param(([float(BIG)],), "9007199254740992.0", id="floats"),
        pytest.param(([datetime.date(2026, 1, 1)],), "2026-01-01", id="dates"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_text_that_is_no_integer_is_not_compared_with_integers(stored, texts, example, swapped):
    sides = [stored(texts, where="PREDICTIONS"), stored(([BIG + 1],), where="labels.parquet")]
    ours, theirs = reversed(sides) if swapped else sides
    with pytest.raises(LabelsError) as caught:
        ours.rows_in(theirs)
    assert f"found text in PREDICTIONS, such as '{example}'" in str(caught.value)
    assert "integers in labels.parquet, such as 9007199254740993" in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(pa.array([datetime.date(2026, 1, day) for day in range(1, 6)]), id="dates"),
        pytest.param(pa.array(range(5), pa.timestamp("us")), id="times"),
        pytest.param(
            pa.array([decimal.Decimal(number) / 8 for number in range(5)], pa.decimal128(9, 3)), id="decimals"
        ),
        pytest.param(pa.array([uuid.UUID(int=number + 1).bytes for number in range(5)], pa.binary(16)), id="16-bytes"),
        pytest.param(pa.array([0.5, 1.0, 1e300, -2.0, float("inf")]), id="floats"),
        pytest.param(pa.array(["a", "b", "c", "d", "e"]).dictionary_encode(), id="dictionary"),
        pytest.param(pa.array([5, 6, 7, 8, 9]).dictionary_encode(), id="dictionary-of-integers"),
        pytest.param(pa.array(["a", "b", "c", "d", "e"], pa.large_string()), id="large-text"),
    ],
)
def test_keys_of_other_types_are_what_they_are_in_an_array(tmp_path, keys):
    pa.parquet.write_table(pa.table({"id": keys}), tmp_path / "x.parquet")
    with key_store() as store:
        found = KeyedFile(store, "x", tmp_path / "x.parquet", "x", ("id",)).keys("id")
        expected = normal_keys(keys.to_numpy(zero_copy_only=False))
        assert (np.asarray(found).tolist(), found.dtype.kind) == (expected.tolist(), expected.dtype.kind)


def test_bytes_that_end_in_a_nul_have_the_same_digest(tmp_path):
    keys = pa.array([b"a\0", b"b\0", b"\xff\0c"])
    pa.parquet.write_table(pa.table({"id": keys, "label": [0, 1, 0]}), tmp_path / "x.parquet")
    with key_store() as store:
        found = Labels.of(KeyedFile(store, "x", tmp_path / "x.parquet", "x", ("id",)), key="id")
        assert found.digest == Labels.read(tmp_path / "x.parquet", key="id").digest


@pytest.mark.parametrize("keys", [["a", None, "c", None], [1.0, float("nan"), 3.0, None], [None] * 3, [1, None, 2]])
def test_rows_without_a_key_are_named_over_all_pieces(tmp_path, monkeypatch, keys):
    monkeypatch.setattr("evalguard.data.tables.PIECE", 2)
    pa.parquet.write_table(pa.table({"id": keys}), tmp_path / "x.parquet")
    rows = [row for row, key in enumerate(keys) if key is None or key != key]
    with key_store() as store, pytest.raises(ConfigError) as caught:
        KeyedFile(store, "x", tmp_path / "x.parquet", "here", ("id",)).keys("id")
    assert str(caught.value) == f"here, column 'id': expected a value in each row, found none {at_rows(rows)}"


def test_the_store_downloads_nothing_prints_nothing_and_leaves_memory_to_others(tmp_path, monkeypatch):
    tmp_path = tmp_path / "it's here"
    tmp_path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = ("autoinstall_known_extensions", "autoload_known_extensions", "enable_progress_bar")
    with key_store() as store:
        for name in names:
            assert store.execute(f"select current_setting('{name}')").fetchall() == [(False,)], name
        half = store.execute("select current_setting('memory_limit')").fetchall()
        store.execute("set memory_limit = '80%'")
        assert half < store.execute("select current_setting('memory_limit')").fetchall()
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_null_inside_a_dictionary_is_no_key(tmp_path):
    keys = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1]), pa.array(["a", None]))
    arrow.write_arrow(pa.table({"id": keys}), tmp_path / "x.arrow")
    with key_store() as store, pytest.raises(LabelsError, match="found none at rows 1, 3"):
        KeyedFile(store, "x", tmp_path / "x.arrow", "here", ("id",), LabelsError).keys("id")
