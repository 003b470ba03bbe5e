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
        pytest.param(range(45), "the first 45 rows match, and the last 5 are missing", id="cut short"),
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


@pytest.mark.parametrize(
    ("rows", "words", "first"),
    [
        pytest.param(48, "2 rows too few", 48, id="too-few"),
        pytest.param(49, "1 row too few", 49, id="one-too-few"),
        pytest.param(51, "1 row too many", 50, id="one-too-many"),
        pytest.param(53, "3 rows too many", 50, id="too-many"),
        pytest.param(50, "rows were not delivered in the order the source emitted them", 50, id="another-order"),
    ],
)
def test_the_number_of_rows_is_described_where_samples_are_unknown(rows, words, first):
    found = unknown(view_of(np.arange(rows) % 50, known=False))
    assert found.cause == f"cause unknown, pattern: {words}"
    assert f"for row {first}," in found.remedy


@pytest.mark.parametrize(
    ("samples", "words", "first"),
    [
        pytest.param([0, 3, 2, 1, *range(4, 50)], "rows 1 and 3 are swapped", 1, id="swapped"),
        pytest.param([*range(47), 49, 48, 47], "rows 47 and 49 are swapped", 47, id="swapped-at-the-end"),
        pytest.param([1, 2, 0, *range(3, 50)], "3 rows out of position", 0, id="three-moved"),
        pytest.param([1, 0, *range(2, 49)], "2 rows out of position", 0, id="swapped-and-one-missing"),
        pytest.param([1, 0, *range(2, 50), 49], "3 rows out of position", 0, id="swapped-and-one-repeated"),
        pytest.param([0, 2, 1, *range(3, 49), 48], "3 rows out of position", 1, id="as-many-rows-as-labels"),
        pytest.param([0, 1, -2, *range(3, 50)], "1 row out of position", 2, id="a-foreign-row"),
        pytest.param(range(30), "the first 30 rows match, and the last 20 are missing", 30, id="cut-short"),
        pytest.param([0, *range(50)], "1 row repeated from row 1 on, beginning with sample 0", 1, id="a-row-repeated"),
        pytest.param(
            [*range(3), *range(4, 50)], "1 sample left out from row 3 on, the others in order", 3, id="left-out"
        ),
        pytest.param(
            [*range(8), 7, *range(9, 50)], "1 sample left out and 1 row repeated, in order otherwise", 8, id="both"
        ),
    ],
)
def test_the_row_to_check_first_is_the_first_one_that_is_wrong(samples, words, first):
    found = unknown(view_of(list(samples), "pydataset"))
    assert found.cause == f"cause unknown, pattern: {words}"
    assert f"before: model.predict(Images)\nafter:  check what Images returns for row {first}," in found.remedy


def test_every_kind_of_wrong_row_is_counted():
    samples = [1, 0, *range(2, 47), 46, -1, -2]
    found = unknown(view_of(samples))
    assert found.evidence == "3 samples missing, 1 row repeated, 1 row foreign, 1 row unidentified, 2 rows moved"
    assert found.cause.endswith("5 rows out of position")
