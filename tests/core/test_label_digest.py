"""The digest of labels: the same for the same labels in any container, dtype and, with keys, order of rows."""

import hashlib
from decimal import Decimal

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalguard.core import label_digest
from evalguard.core.label_digest import as_integers
from evalguard.core.label_table import LabelTable
from evalguard.errors import LabelsError
from tests.core.key_columns import Kept

KEYS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=12, unique=True),
    st.lists(st.text("01-7é\U0001f600 ab", min_size=1, max_size=5), min_size=2, max_size=12, unique=True),
)
LABELS = st.sampled_from(
    [[0, 1, 2], [0.5, -1.25, 3.0], ["cat", "dog", ""], [[0, 1], [1, 0], [2, 300]], [2**60 + 1, -(2**63), 7]]
)


def digest(values=None, keys=None):
    return LabelTable(values=None if values is None else np.asarray(values), keys=keys).digest


@st.composite
def tables(draw):
    keys, some = draw(KEYS), draw(LABELS)
    return keys, [some[number] for number in draw(st.lists(st.integers(0, 2), min_size=len(keys), max_size=len(keys)))]


@given(tables(), st.data())
@settings(deadline=None)
def test_keyed_labels_are_a_set_of_pairs(table, data):
    keys, values = table
    expected, n = digest(values, keys), len(keys)
    order = data.draw(st.permutations(range(n)))
    assert digest([values[row] for row in order], [keys[row] for row in order]) == expected
    one, other = data.draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=2, unique=True))
    # One label, two exchanged labels, one key, a dropped row.
    if values[one] != values[other]:
        assert digest([values[other] if row == one else values[row] for row in range(n)], keys) != expected
        exchanged = [*values]
        exchanged[one], exchanged[other] = values[other], values[one]
        assert digest(exchanged, keys) != expected
        assert digest(exchanged) != digest(values)
    new = "new" if isinstance(keys[0], str) else next(key for key in range(n + 1) if key not in keys)
    assert digest(values, [new if row == one else key for row, key in enumerate(keys)]) != expected
    assert digest(values[1:], keys[1:]) != expected
    assert digest(values) != expected


def test_a_repeated_row_is_refused_by_a_table_and_counted_by_the_digest():
    with pytest.raises(LabelsError, match="1 repeated key"):
        digest([0, 0, 1], ["a", "a", "b"])
    found = [
        label_digest.digest_of([("labels", np.zeros(n, int))], np.asarray(["a", "b", "b", "b"][:n])) for n in (2, 3, 4)
    ]
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("values", "others"),
    [
        pytest.param(
            np.asarray([0, 1, 1]),
            [
                np.asarray([0, 1, 1], "int8"),
                np.asarray([0, 1, 1], "uint64"),
                np.asarray([0, 1, 1], "float16"),
                np.asarray([-0.0, 1, 1], "float64"),
                np.asarray([0, 1, 1], ">i4"),
                np.asarray([0, 1, 1], ml_dtypes.bfloat16),
                np.asarray([False, True, True]),
                np.asarray([0, np.int16(1), True], object),
                np.asarray([Decimal(0), Decimal("1.00"), np.float32(1)], object),
                np.asarray([[0], [1], [1]]),
                pd.Series([0, 1, 1], dtype="Int64").to_numpy(),
                pd.Series([0, 1, 1], dtype="category").to_numpy(),
                np.asfortranarray(np.asarray([[0, 9], [1, 9], [1, 9]]))[:, 0],
            ],
            id="whole numbers",
        ),
        pytest.param(
            np.asarray([0.5, np.nan, -0.0]),
            [
                np.asarray([0.5, np.nan, 0], "float32"),
                np.asarray([0.5, -np.nan, 0], "float16"),
                np.asarray([0.5, float("nan"), 0], object),
            ],
            id="fractions",
        ),
        pytest.param(
            np.asarray(["é", "", "ab"]),
            [
                np.asarray(["é", "", "ab"], "U9"),
                np.asarray(["é", "", "ab"], object),
                np.asarray(["é".encode(), b"", b"ab"]),
                np.asarray([b"\xc3\xa9", "", "ab\0"], object),
                pd.Series(["é", "", "ab"], dtype="string").to_numpy(),
            ],
            id="text",
        ),
        pytest.param(
            np.asarray([[[0], [300]], [[7], [0]]]),
            [np.asarray([[0, 300], [7, 0]], "float32"), np.asarray([[0, 300], [7, 0]], "uint16")],
            id="rows of several numbers",
        ),
        pytest.param(
            np.asarray([-(2**63), 2**53 + 1]),
            [np.asarray([-(2**63), 2**53 + 1], object)],
            id="integers that no float holds",
        ),
        pytest.param(np.asarray([1, "a"], object), [np.asarray([np.int64(1), "a"], object)], id="objects of two kinds"),
    ],
)
def test_equal_labels_have_one_digest_in_every_dtype(values, others, monkeypatch):
    expected = [digest(values), digest(values, np.arange(len(values)))]
    for step in (label_digest.PIECE_BYTES, 1):
        monkeypatch.setattr(label_digest, "PIECE_BYTES", step)
        for other in (values, *others):
            rows = np.arange(len(values))[::-1]
            assert [digest(other), digest(other[rows], rows)] == expected, other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param([0, 1], ["0", "1"], id="numbers and text"),
        pytest.param([0, 1], [0, 1.5], id="a fraction"),
        pytest.param([0.1], np.asarray([0.1], "float32"), id="the nearest float32 is another number"),
        pytest.param([2**53], [2**53 + 1], id="integers that one float stands for"),
        pytest.param(np.asarray([2**53 + 1, 0.5], object), np.asarray([2.0**53, 0.5]), id="an integer beside a float"),
        pytest.param([2**63 - 1], np.asarray([2**63], "uint64"), id="beyond int64"),
        pytest.param(np.asarray([2**63], "uint64"), np.asarray([2**63 + 1], "uint64"), id="integers beyond int64"),
        pytest.param([2.0**63], [2.0**64], id="floats beyond int64"),
        pytest.param([np.inf], [-np.inf], id="infinity"),
        pytest.param([10**400, 1], [10**400, 2], id="beyond every float"),
        pytest.param(["ab", "c"], ["a", "bc"], id="another division of the text"),
        pytest.param(["a\0b", "c"], ["a", "b\0c"], id="a NUL is no division"),
        pytest.param([[0, 1, 2, 3]], [[0, 1], [2, 3]], id="shape"),
        pytest.param([[0, 1], [2, 3]], [[0, 2], [1, 3]], id="order within rows"),
        pytest.param(np.asarray([0, 1], "M8[D]"), np.asarray([0, 2], "M8[D]"), id="dates"),
        pytest.param(np.asarray([0, 1], "M8[D]"), np.asarray([0, 1], "M8[h]"), id="another unit of dates"),
        pytest.param(np.asarray([1, 1.5], object), np.asarray([1, 1.25], object), id="fractions among objects"),
        pytest.param([Decimal("0.1")], [Decimal("0.2")], id="decimals"),
        pytest.param([1j], [2j], id="complex"),
        pytest.param(np.asarray([b"\xff"]), np.asarray([b"\xfe"]), id="bytes that are no text"),
    ],
)
def test_other_values_have_another_digest(one, other):
    assert digest(one) != digest(other)


def test_recorded_digests_of_numbers_without_keys_stay():
    # As earlier versions computed them: the dtype, the shape and the bytes.
    assert digest(np.arange(3)) == "7eb3e6d64b113f6d"
    assert digest(np.asarray([0.5, 1])) == "eb5298609a841f37"


@pytest.mark.parametrize(
    ("values", "form"),
    [
        pytest.param([1, 2], "<i8", id="one number"),
        pytest.param([[1], [2]], "<i8", id="one number in a column"),
        pytest.param([[1, 255]], "|u1", id="a byte"),
        pytest.param([[0, 0], [1, 2]], "|u1", id="several rows"),
        pytest.param([[1, 256]], "<i2", id="more than a byte"),
        pytest.param([[-1, 1]], "<i2", id="negative"),
        pytest.param([[2, 3], [-(2**15), 2**15 - 1]], "<i2", id="two bytes"),
        pytest.param([[-(2**15) - 1, 1]], "<i4", id="below two bytes"),
        pytest.param([[2**15, 1]], "<i4", id="above two bytes"),
        pytest.param([[-(2**31), 2**31 - 1]], "<i4", id="four bytes"),
        pytest.param([[2**31, 1]], "<i8", id="above four bytes"),
        pytest.param([[-(2**63), 2**63 - 1]], "<i8", id="eight bytes"),
        pytest.param(np.asarray([[2**63, 1]], "uint64"), "<u8", id="above eight bytes"),
        pytest.param([[2.0**63, 1]], "<f8", id="floats above eight bytes"),
        pytest.param([[0.5, 1]], "<f8", id="fractions"),
    ],
)
def test_the_form_of_numbers_is_the_same_for_ever(values, form):
    """Digests are recorded: a form that changes makes all of them others."""
    array = np.asarray(values)
    shape = array.shape[: 1 if array.size == len(array) else None]
    expected = hashlib.sha256(f"labels|{form}|{shape}|".encode() + array.astype(form).tobytes()).hexdigest()[:16]
    assert digest(values) == expected


def test_the_form_of_keys_and_text_is_the_same_for_ever():
    assert digest(["a", "é"], [10, 9]) == "ad8852db0dd34fa7"
    assert digest([[True, False], [True, True]], ["b", "a"]) == "477967ce9a8198a8"
    assert digest(np.asarray([1, "a"], object)) == "784f5ed0dcd0774f"


@pytest.mark.parametrize(
    ("rows", "n_bytes", "array", "expected"),
    [
        pytest.param(4, 1 << 20, np.zeros(9), [4, 4, 1], id="rows"),
        pytest.param(4, 16, np.zeros(5), [2, 2, 1], id="bytes"),
        pytest.param(4, 16, np.zeros(5, "int8"), [2, 2, 1], id="a small number counts as eight bytes"),
        pytest.param(9, 64, np.zeros((5, 2, 2), "int8"), [2, 2, 1], id="rows of several numbers"),
        pytest.param(9, 64, np.zeros(3, "U8"), [2, 1], id="text"),
        pytest.param(9, 1, np.zeros(2), [1, 1], id="a row at least"),
        pytest.param(9, 64, np.zeros((3, 0)), [3], id="rows without numbers"),
    ],
)
def test_arrays_are_read_in_pieces(monkeypatch, rows, n_bytes, array, expected):
    monkeypatch.setattr(label_digest, "DIGEST_ROWS", rows)
    monkeypatch.setattr(label_digest, "PIECE_BYTES", n_bytes)
    assert [len(piece) for piece in label_digest.pieces_of(array, None)] == expected
    backwards = np.arange(len(array))[::-1]
    assert [len(piece) for piece in label_digest.pieces_of(array, backwards)] == expected


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([["7", "10", "-3"], [7, 10, -3]], id="integers as text"),
        pytest.param([np.asarray([7, 10, 3], "uint8"), np.asarray(["7", "10", "3"], object)], id="small integers"),
        pytest.param([["a", "10"], [b"a", 10], np.asarray(["a", "10"], "U30")], id="text"),
        pytest.param([[2**70, 1], [str(2**70), "1"]], id="beyond 64 bits"),
    ],
)
def test_keys_count_by_what_they_name(keys):
    found = {digest(np.arange(len(form)), form) for form in keys}
    assert len(found) == 1
    assert {digest(np.arange(len(form)), Kept(LabelTable(keys=form).keys)) for form in keys} == found


@pytest.mark.parametrize("other", ["007", "+7", " 7", "7 ", "7.0", "1_0", "٣", "-0", "9223372036854775808", "x", "7e0"])
def test_keys_in_another_form_stay_text(other):
    keys = np.asarray(["7", other])
    assert as_integers(keys) is keys
    assert digest([0, 1], keys) == digest([1, 0], keys[::-1])


def test_outputs_have_no_order():
    one, other = np.arange(3), np.asarray(["a", "b", "c"])
    assert LabelTable(values={"x": one, "y": other}).digest == LabelTable(values={"y": other, "x": one}).digest
    assert LabelTable(values={"x": one}).digest != LabelTable(values={"y": one}).digest
    keys = np.asarray(["r", "s", "t"])
    assert (
        LabelTable(values={"x": one, "y": other}, keys=keys).digest
        == LabelTable(values={"y": other[::-1], "x": one[::-1]}, keys=keys[::-1]).digest
    )


def test_text_that_is_no_utf8_is_digested():
    assert digest(["\udcff"]) != digest(["\udcfe"])
    assert digest([0, 1], ["\udcff", "a"]) == digest([1, 0], ["a", "\udcff"])
