"""No cause is recognised: the pattern in words, and the row to check first."""

import numpy as np
import pytest

from evalguard.core.diagnosis.unknown import unknown
from tests.core.diagnosis.causes import first_cause, view_of
from tests.core.signatures import label_values


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        pytest.param([49, *range(1, 49), 0], "rows 0 and 49 are swapped", id="two rows exchanged"),
        pytest.param([*range(8), *range(16, 50)], "8 samples left out from row 8 on", id="a batch skipped"),
        pytest.param([*range(16), *range(8, 50)], "8 rows repeated from row 16 on", id="a batch repeated"),
        pytest.param(range(30), "the first 30 rows match, and the last 20 are missing", id="cut short"),
        pytest.param([*range(8), *range(8), *range(16, 50)], "8 samples left out and 8 rows repeated", id="both"),
    ],
)
def test_where_nothing_fits_the_pattern_is_described(samples, words):
    cause = first_cause(list(samples), "pydataset")
    assert cause.cause.startswith("cause unknown, pattern: ")
    assert words in cause.cause
    assert not cause.certain


def test_targets_are_described_where_samples_are_unknown():
    targets = np.where(np.isin(np.arange(50), [7, 9, 20]), 99, label_values(50))
    found = unknown(view_of(np.arange(50), known=False, targets=targets))
    assert "3 rows with another target than the label" in found.cause
    assert found.evidence == "50 rows for 50 labels; nothing shows which sample each row is"
    assert "check what batches returns for row 7," in found.remedy


@pytest.mark.parametrize(("rows", "words"), [(48, "2 rows too few"), (53, "3 rows too many")])
def test_the_number_of_rows_is_described_where_samples_are_unknown(rows, words):
    assert words in unknown(view_of(np.arange(rows) % 50, known=False)).cause


def test_every_kind_of_wrong_row_is_counted():
    samples = [1, 0, *range(2, 47), 46, -1, -2]
    found = unknown(view_of(samples))
    assert found.evidence == "3 missing, 1 repeated, 1 foreign, 1 unidentified, 2 moved"
    assert found.cause.endswith("5 rows out of position")
