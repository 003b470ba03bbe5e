"""SHA-256 of files and arrays: the digest of an array in memory is that of the file that NumPy writes."""

import hashlib
import io
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
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


def test_a_numpy_file_stands_for_itself_and_for_its_arrays(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    np.savez_compressed(tmp_path / "both.npz", X, labels=Y)
    (tmp_path / "y.bin").write_bytes((tmp_path / "y.npy").read_bytes())
    # A .npy file is the very file whose digest the array has; of the archive only the arrays are.
    assert list(digests.possible_sha256(tmp_path / "y.npy")) == [saved(Y), saved(Y)]
    assert list(digests.possible_sha256(tmp_path / "both.npz"))[1:] == [saved(Y), saved(X)]
    assert list(digests.possible_sha256(tmp_path / "y.bin")) == [saved(Y)]


def test_a_parquet_file_stands_for_its_columns(tmp_path):
    """Ten columns and more: sorted by number, not by name."""
    wide = np.arange(24.0).reshape(2, 12)
    frame = pd.DataFrame({f"prediction_{column}": wide[:, column] for column in reversed(range(12))})
    frame["label"] = [3, 4]
    frame.to_parquet(tmp_path / "frame.parquet")
    found = set(digests.possible_sha256(tmp_path / "frame.parquet"))
    assert {saved(wide), saved(np.array([3, 4])), saved(np.array([[3], [4]]))} <= found
    assert saved(wide[:, ::-1]) not in found


@pytest.mark.parametrize("left", [0, 1, 20, 0.5, -1], ids=["empty", "a byte", "a header", "half", "all but a byte"])
@pytest.mark.parametrize("name", ["y.npy", "y.npz", "y.parquet", "Y.NPZ"])
def test_a_file_that_was_cut_is_refused(tmp_path, name, left):
    path = tmp_path / name
    if path.suffix == ".parquet":
        pd.DataFrame({"y": Y}).to_parquet(path)
    else:
        with path.open("wb") as stream:
            np.save(stream, Y) if path.suffix == ".npy" else np.savez(stream, Y)
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content)) if 0 < left < 1 else left])
    with pytest.raises(ConfigError, match=rf"^file {name}: expected .*, found in .*{name}: "):
        list(digests.possible_sha256(path))


@pytest.mark.parametrize(
    ("saved_as", "name", "found"),
    [
        ("y.npy", "y.npz", "one array and no archive; rename it to .npy"),
        ("y.npz", "y.npy", "an archive of several arrays; rename it to .npz"),
        ("y.zip", "y.npz", "'notes.txt', which is no array; save it with numpy.savez"),
        ("y.zip", "y.npy", "an archive of several arrays; rename it to .npz"),
        ("y.npy", "y.parquet", ""),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, saved_as, name, found):
    np.save(tmp_path / "y.npy", Y)
    np.savez(tmp_path / "y.npz", Y)
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("notes.txt", "no array")
    (tmp_path / saved_as).rename(tmp_path / name)
    with pytest.raises(ConfigError, match=rf"^file {name}: expected .*, found in {tmp_path / name}: {found}"):
        list(digests.possible_sha256(tmp_path / name))


def test_a_column_that_is_named_as_those_of_several_stands_for_itself(tmp_path):
    pd.DataFrame({"p": [1, 2], "p_0": [3, 4], "p_1": [5, 6]}).to_parquet(tmp_path / "frame.parquet")
    found = set(digests.possible_sha256(tmp_path / "frame.parquet"))
    assert {saved(np.array([1, 2])), saved(np.array([[3, 5], [4, 6]]))} <= found


def test_columns_that_make_no_array_are_refused(tmp_path):
    pd.DataFrame({"p_0": [1, 2], "p_1": pd.to_datetime(["2020", "2021"])}).to_parquet(tmp_path / "frame.parquet")
    with pytest.raises(ConfigError, match=r"frame\.parquet: expected columns that are arrays, found: "):
        list(digests.possible_sha256(tmp_path / "frame.parquet"))


def test_text_columns_of_a_parquet_file_have_no_digest(tmp_path):
    pq.write_table(pa.table({"key": ["a", "b"]}), tmp_path / "keys.parquet")
    assert len(list(digests.possible_sha256(tmp_path / "keys.parquet"))) == 1
