"""SHA-256 of files and arrays: the digest of an array in memory is that of the file that NumPy writes."""

import hashlib
import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evalguard.data import digests
from evalguard.errors import ConfigError

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int64")
# `sha256sum` of a file that holds "abc" (FIPS 180-2, appendix B.1).
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def saved(array):
    """The digest of the bytes that NumPy itself writes."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return hashlib.sha256(stream.getvalue()).hexdigest()


def test_a_file_has_the_digest_of_sha256sum(tmp_path):
    (tmp_path / "abc.txt").write_bytes(b"abc")
    assert digests.file_sha256(tmp_path / "abc.txt") == digests.file_sha256(str(tmp_path / "abc.txt")) == ABC


@pytest.mark.parametrize("path", ["missing.txt", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, path):
    with pytest.raises(ConfigError, match=rf"^expected a file at {tmp_path / path}, found: "):
        digests.file_sha256(tmp_path / path)


def test_files_are_listed_by_name_and_the_second_of_one_name_by_its_path(tmp_path):
    for folder, text in (("a", "abc"), ("b", "other")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "y.npy").write_text(text)
    found = digests.files_sha256([tmp_path / "a" / "y.npy", str(tmp_path / "b" / "y.npy")])
    assert list(found) == ["y.npy", (tmp_path / "b" / "y.npy").as_posix()]
    assert found["y.npy"] == ABC
    assert len(set(found.values())) == 2


@given(hnp.arrays(hnp.scalar_dtypes() | hnp.unicode_string_dtypes(), hnp.array_shapes(min_side=0), fill=st.nothing()))
def test_an_array_has_the_digest_of_the_file_that_numpy_writes(array):
    assert digests.npy_sha256([np.ascontiguousarray(array)]) == saved(np.ascontiguousarray(array))


@given(
    hnp.arrays("float32", hnp.array_shapes(min_dims=1, max_dims=3, min_side=1)),
    st.lists(st.integers(0, 10), max_size=3),
)
def test_parts_have_the_digest_of_the_concatenated_array(array, cuts):
    assert digests.npy_sha256(np.split(array, sorted(min(cut, len(array)) for cut in cuts))) == saved(array)


@pytest.mark.parametrize("array", [np.asfortranarray(X), X[::2, ::-1], np.broadcast_to(X[:1], X.shape)])
def test_the_digest_is_that_of_c_order_for_any_layout_in_memory(array):
    assert digests.npy_sha256([array]) == saved(np.ascontiguousarray(array))


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="none"),
        pytest.param([np.asarray([None, "a"])], id="objects"),
        pytest.param([np.zeros((2, 3)), np.zeros((2, 4))], id="other-width"),
        pytest.param([np.zeros(2), np.zeros(2, "float32")], id="other-type"),
        pytest.param([np.float64(1)], id="a-number"),
    ],
)
def test_parts_that_do_not_make_one_array_have_no_digest(parts):
    assert digests.npy_sha256(parts) is None


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        pytest.param([X], {"p.npy": X}, id="array"),
        pytest.param([[X]], {"p/0.npy": X}, id="list-of-one-array"),
        pytest.param([[X, Y]], {"p/0.npy": X, "p/1.npy": Y}, id="list-of-two"),
        pytest.param([{"a": (X, Y)}], {"p/a/0.npy": X, "p/a/1.npy": Y}, id="tree"),
        pytest.param([{"a": X}, {"a": X}], {"p/a.npy": np.concatenate([X, X])}, id="two-calls"),
        pytest.param([{"a": X}, {"b": X}], {}, id="two-calls-of-other-outputs"),
        pytest.param([[1, 2]], {}, id="numbers"),
        pytest.param([[]], {}, id="empty"),
        pytest.param([None], {}, id="none"),
        pytest.param([], {}, id="no-call"),
        pytest.param([[X, "text"]], {"p/0.npy": X}, id="a-leaf-that-is-no-array"),
        pytest.param([{"a": X, "b": tf.ragged.constant([[1], []])}], {"p/a.npy": X}, id="ragged"),
    ],
)
def test_each_array_of_a_tree_has_a_separate_digest(calls, expected):
    assert digests.tree_sha256("p", calls) == {name: saved(array) for name, array in expected.items()}


@pytest.mark.parametrize(
    ("column", "same"),
    [
        pytest.param(np.array(["a", "bc"]), np.array(["a", "bc"], object), id="text-as-objects"),
        pytest.param(np.array(["a", "bc"]), np.array(["a", "bc"], "U40"), id="text-of-another-width"),
        pytest.param(np.array([1.0, 2.0]), np.ma.array([1.0, 2.0], mask=False), id="nothing-masked"),
    ],
)
def test_a_column_has_one_digest_however_it_is_stored(column, same):
    assert digests.columns_sha256({"c": column}) == digests.columns_sha256({"c": same})


def test_columns_differ_by_values_types_names_and_order():
    ones, twos = np.array([1, 1]), np.array([2, 2])
    tables = [
        {"a": ones, "b": twos},
        {"b": twos, "a": ones},
        {"a": twos, "b": ones},
        {"a": ones},
        {"a": ones.astype("float64"), "b": twos},
        {"a": np.array(["1", "1"]), "b": twos},
        {"a": np.array(["1", None], object), "b": twos},
        {"a b": ones},
    ]
    assert len({digests.columns_sha256(table) for table in tables}) == len(tables)
    assert digests.columns_sha256(tables[0], names_only=True) == digests.columns_sha256(tables[2], names_only=True)
    assert digests.columns_sha256(tables[0], names_only=True) != digests.columns_sha256(tables[1], names_only=True)


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(np.array([[1], [2]]), id="two-dimensions"),
        pytest.param(np.ma.array([1, 2], mask=[True, False]), id="masked"),
        pytest.param(np.array([[1], [2, 3]], object), id="objects"),
        pytest.param(np.array(["2020"], "datetime64[D]"), id="dates"),
    ],
)
def test_a_column_of_another_kind_has_no_digest(column):
    assert digests.columns_sha256({"a": np.arange(2), "c": column}) is None


def test_a_folder_has_the_digest_of_the_list_of_its_files(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_text("abc")
    (tmp_path / "data" / "model.keras").write_text("other")
    found = digests.path_sha256(tmp_path)
    lines = f"{ABC}  MLmodel\n{digests.file_sha256(tmp_path / 'data' / 'model.keras')}  data/model.keras\n"
    assert found == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / "registered_model_meta").write_text("added by MLflow when it downloads by models:/")
    assert digests.path_sha256(str(tmp_path)) == found
    (tmp_path / "data" / "model.keras").rename(tmp_path / "data" / "other.keras")
    assert digests.path_sha256(tmp_path) != found
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"expected files in the folder .*empty, found none"):
        digests.path_sha256(tmp_path / "empty")
