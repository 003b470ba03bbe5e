"""Row fingerprints: equal rows have equal ones, and any other dtype, shape, byte or structure has others."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from evalguard.data.fingerprint import SMALL_ROW, row_fingerprints
from evalguard.data.row_layout import LeafSpec

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
RAGGED = [[1.0, 2.0], [], [3.0], [1.0, 2.0]]
TEXT = np.array(["ab", "c", "ab", "µ"])


def prints(x, **options):
    return row_fingerprints(x, **options)[0].tolist()


def test_fingerprints_are_the_same_on_every_machine():
    """The algorithm is part of the manifest's format: a change needs another ``ALGORITHM``."""
    rows, specs = row_fingerprints(np.arange(6, dtype="float32").reshape(2, 3))
    assert [str(spec) for spec in specs] == ["float32(3)"]
    assert rows.tolist() == [2716090098129166516, 13642003683373760641]


def test_a_fingerprint_is_the_hash_of_the_bytes_and_of_the_layout():
    layout = xxhash.xxh3_64_intdigest(b"float32|(4,)|()")
    assert prints(X) == [xxhash.xxh3_64_intdigest(row.tobytes()) ^ layout for row in X]


def of_other_lengths(*arrays):
    rows = np.empty(len(arrays), dtype=object)
    rows[:] = arrays
    return rows


FORMS = {
    "array": lambda x: x,
    "tensor": tf.constant,
    "long-rows": lambda x: np.tile(x, SMALL_ROW),
    "fortran-order": np.asfortranarray,
    "ragged": lambda x: tf.RaggedTensor.from_row_splits(x.ravel(), [0, 2, 4]),
    "nested-ragged": lambda x: tf.RaggedTensor.from_row_splits(
        tf.RaggedTensor.from_row_splits(x.ravel(), [0, 1, 2, 4]), [0, 2, 3]
    ),
    "sparse": lambda x: tf.SparseTensor([[0, 0], [0, 1], [1, 0], [1, 1]], x.ravel(), (2, 2)),
    "rows-of-other-lengths": lambda x: of_other_lengths(x[0], x[1, :1]),
    "two-inputs": lambda x: (x, np.arange(2)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_zeros_are_equal_and_so_are_nans(form, dtype):
    numpy_dtype = tf.dtypes.as_dtype(dtype).as_numpy_dtype
    first, second = (np.array([[zero, 1], [sign * np.nan, 2]], numpy_dtype) for zero, sign in ((0.0, 1), (-0.0, -1)))
    assert first.tobytes() != second.tobytes()
    for float64 in (False, True):
        assert prints(form(first), float64=float64) == prints(form(second), float64=float64)
    # One value less, or another one: the rows differ.
    assert prints(form(first))[0] != prints(form(first + np.ones(1, numpy_dtype)))[0]


def test_a_negative_number_that_float32_cannot_hold_is_zero_there():
    tiny = np.array([[-1e-60], [0.0]])
    assert len(set(prints(tiny))) == 1
    assert len(set(prints(tiny, float64=True))) == 2


def test_infinities_differ_from_one_another_and_from_nan():
    x = np.array([[np.inf], [-np.inf], [np.nan], [0.0]], "float32")
    assert len(set(prints(x))) == 4


def test_inputs_are_not_changed():
    x = np.array([[-0.0, np.nan]], "float32")
    before = x.tobytes()
    prints(x)
    assert x.tobytes() == before


SECONDS = 1.7e9 + 0.5 * np.arange(8)[:, None]


@pytest.mark.parametrize("form", [lambda x: x, lambda x: tf.RaggedTensor.from_row_lengths(x.ravel(), [1] * 8)])
def test_float64_counts_as_float32_unless_the_model_computes_in_it(form):
    """Unix seconds half a second apart are one number in float32."""
    assert len(set(prints(form(SECONDS)))) == 1
    assert len(set(prints(form(SECONDS), float64=True))) == 8


@pytest.mark.parametrize("x", [X, RAGGED, of_other_lengths(np.array([[1.0, np.nan]]), np.array([[0.5, 2], [3, 4]]))])
def test_what_float32_holds_exactly_is_equal_in_float64(x):
    """Keras makes float64 of float32 arrays where ``floatx`` is float64."""
    wide = X.astype("float64") if x is X else x
    assert prints(wide, float64=True) == prints(x)
    assert prints(x, like=row_fingerprints(wide, float64=True)[1]) == prints(x)


def test_one_value_in_a_row_makes_it_a_row_of_float64():
    wide = X.astype("float64")
    wide[2, 3] += 1e-12
    assert [row for row in range(6) if prints(wide, float64=True)[row] != prints(X)[row]] == [2]
    assert prints(wide) == prints(X)


def test_a_reference_is_cast_in_one_step():
    """Half a unit above a float16, and a little more: by way of float32 the little is lost."""
    reference = np.array([[1 + 2.0**-11 + 2.0**-40]])
    fed, specs = row_fingerprints(reference.astype("float16"))
    assert prints(reference, like=specs) == fed.tolist()


def test_whole_numbers_beyond_float32_match_the_integers_that_were_fed():
    reference = np.array([[2.0**24 + 1], [2.0**24]])
    fed, specs = row_fingerprints(reference.astype("int64"))
    assert prints(reference, like=specs) == fed.tolist()


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(tf.constant(X), id="tensor"),
        pytest.param(X.astype("float64"), id="float64"),
        pytest.param(tf.constant(X.astype("float64")), id="float64-tensor"),
        pytest.param(X[..., None], id="a-dimension-of-one"),
        pytest.param(np.asfortranarray(X), id="fortran-order"),
        pytest.param(pd.DataFrame(X), id="data-frame"),
        pytest.param(X.tolist(), id="lists"),
        pytest.param([X], id="list-of-one-input"),
        pytest.param({"a": X}, id="dict"),
        pytest.param(scipy.sparse.csr_matrix(X), id="scipy-sparse"),
        pytest.param(tf.sparse.from_dense(X), id="sparse-tensor"),
    ],
)
def test_rows_are_equal_in_every_form_that_keras_feeds_alike(x):
    assert prints(x) == prints(X)


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(X.astype("float16"), id="float16"),
        pytest.param(X.view("int32"), id="the-same-bytes-as-integers"),
        pytest.param(X.reshape(6, 2, 2), id="another-shape"),
        pytest.param((X, X), id="two-inputs"),
        pytest.param(X[:, ::-1], id="reversed"),
    ],
)
def test_rows_of_another_dtype_shape_or_number_of_inputs_differ(x):
    assert set(prints(x)).isdisjoint(prints(X))


@pytest.mark.parametrize("width", [SMALL_ROW // 4 - 1, SMALL_ROW // 4, SMALL_ROW // 4 + 1])
def test_the_last_number_of_a_row_counts_at_any_length(width):
    x = np.zeros((3, width), "float32")
    x[1, -1] = 1
    first, changed, last = prints(x)
    assert first == last != changed


def test_several_inputs_are_hashed_together_in_sorted_order_of_their_names():
    a, b = X, np.arange(6)
    both = prints({"b": b, "a": a})
    assert both == prints({"a": a, "b": b}) == prints((a, b))
    assert both != prints((b, a))
    changed = b.copy()
    changed[3] = 9
    assert [row for row in range(6) if prints((a, changed))[row] != both[row]] == [3]


@given(st.lists(st.lists(st.integers(-3, 3), max_size=3), min_size=1, max_size=5))
def test_ragged_rows_are_equal_exactly_where_their_values_are(rows):
    found = prints(tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1))
    assert [[a == b for b in rows] for a in rows] == [[a == b for b in found] for a in found]


def test_a_ragged_tensor_equals_lists_and_arrays_of_its_rows():
    ragged = tf.ragged.constant(RAGGED)
    objects = np.empty(4, dtype=object)
    objects[:] = [np.asarray(row, "float32") for row in RAGGED]
    assert prints(ragged) == prints(RAGGED) == prints(objects)
    assert [str(spec) for spec in row_fingerprints(ragged)[1]] == ["float32(varying)"]
    assert len(set(prints(ragged))) == 3


def test_the_shape_of_ragged_text_and_numbers_is_that_of_one_entry():
    pairs = tf.ragged.constant([[["a", "b"]], []], ragged_rank=1)
    assert [str(spec) for spec in row_fingerprints(pairs)[1]] == ["str(varying, 2)"]
    assert [str(spec) for spec in row_fingerprints(tf.strings.length(pairs))[1]] == ["int32(varying, 2)"]


def test_two_ragged_dimensions_are_not_confused():
    """The same values, cut at other positions."""
    first, second = prints(tf.ragged.constant([[[1, 2], [3]], [[1], [2, 3]]]))
    assert first != second


def test_text_is_equal_as_bytes_and_as_str_and_is_not_joined():
    assert prints(TEXT) == prints(tf.constant(TEXT)) == prints(TEXT.astype(object))
    assert prints(np.array([["ab", "c"]])) != prints(np.array([["a", "bc"]]))
    assert len(set(prints(tf.ragged.constant([["ab", "c"], ["a", "bc"], ["abc"]])))) == 3


@pytest.mark.parametrize(
    ("x", "padded"),
    [
        pytest.param([[1, 2], [3]], [[1, 2, 0, 0], [3, 0, 0, 0]], id="trailing"),
        pytest.param([[0, 2], [3]], [[0, 2, 0], [3, 0, 0]], id="a-leading-one-stays"),
    ],
)
def test_padding_is_ignored_at_the_end_of_rows(x, padded):
    rows = prints(np.array(padded), pad_value=0)
    assert rows == prints(tf.ragged.constant(x, dtype=tf.int64), pad_value=0)
    assert rows != prints(np.array(padded))


def test_a_reference_is_cast_to_what_the_model_was_fed():
    fed = (X[..., None] * 100).astype("int16")
    rows, specs = row_fingerprints(fed)
    reference = fed[..., 0].astype("float64")
    assert prints(reference, like=specs) == rows.tolist() != prints(reference)
    # 0.5 would be cut off: such a row is another one.
    assert prints(reference + 0.5, like=specs) != rows.tolist()
    assert prints(fed, like=(LeafSpec("float32", (4,)),)) == prints(fed.astype("float32"))


@pytest.mark.parametrize("x", [np.zeros((0, 3)), np.zeros((4, 0)), np.zeros((0,), "str")])
def test_empty_inputs_have_a_fingerprint_per_row(x):
    assert len(prints(x)) == len(x)


@pytest.mark.parametrize(
    ("x", "message"), [((), "at least one input"), (None, "at least one"), (np.float32(1), "scalar")]
)
def test_inputs_without_rows_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        row_fingerprints(x)
