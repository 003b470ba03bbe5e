"""No cause is recognised: the pattern in words, and the row to check first."""

import pytest

from tests.core.diagnosis.causes import first_cause


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        pytest.param([49, *range(1, 49), 0], "rows 0 and 49 changed places", id="two rows exchanged"),
        pytest.param([*range(8), *range(16, 50)], "8 samples left out from row 8 on", id="a batch skipped"),
        pytest.param([*range(16), *range(8, 50)], "8 rows come again from row 16 on", id="a batch repeated"),
        pytest.param(range(30), "the first 30 rows are right, and the last 20 are missing", id="cut short"),
        pytest.param([*range(8), *range(8), *range(16, 50)], "8 samples left out and 8 rows repeated", id="both"),
    ],
)
def test_where_nothing_fits_the_pattern_is_described(samples, words):
    cause = first_cause(list(samples), "pydataset")
    assert cause.cause.startswith("cause unknown, pattern: ")
    assert words in cause.cause
    assert not cause.certain
