"""The column of fingerprints: of all rows, with what explains a reference that matches none of them."""

import numpy as np

from evalguard.capture.recording.fingerprints import FingerprintColumn
from evalguard.data.fingerprint import row_fingerprints

X = np.arange(12, dtype="float32").reshape(6, 2)


def test_batches_give_the_fingerprints_of_their_rows_in_order():
    column = FingerprintColumn()
    for part in (X[:4], X[4:]):
        column.add(part, np.asarray)
    assert column.parts[:].tolist() == row_fingerprints(X)[0].tolist()
    assert not len(column.padding)


def test_the_specs_and_a_copy_of_the_first_row_are_kept():
    column, x = FingerprintColumn(), X.copy()
    column.add({"a": x}, np.asarray)
    x[:] = 9
    column.add({"a": x}, np.asarray)
    assert column.first_row["a"].tolist() == [[0, 1]]
    assert column.specs == row_fingerprints({"a": X})[1]


def test_rows_of_the_pad_value_only_are_padding():
    column = FingerprintColumn(pad_value=0)
    column.add(np.array([[1.0, 0], [0, 0], [0, 2]]), np.asarray)
    assert column.padding[:].tolist() == [False, True, False]
