"""The CSV of the first wrong rows."""

import csv
import io

import pytest

from evalguard.reporting.csv_rows import to_csv
from tests.reporting import samples


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_each_wrong_row_is_a_line():
    report = samples.failing()
    rows = read(to_csv(report))
    assert len(rows) == len(report.wrong_rows) == 20
    assert rows[0] == {
        "row": "0",
        "sample": "42",
        "sample_key": "images/0042.png",
        "label": "0",
        "label_key": "images/0000.png",
    }


def test_what_is_not_known_is_empty():
    rows = read(to_csv(samples.failing([0, 1, 2, 9], n=3)))
    assert rows == [{"row": "3", "sample": "", "sample_key": "", "label": "", "label_key": ""}]


def test_without_wrong_rows_there_is_a_header_only():
    assert to_csv(samples.passing()) == "row,sample,sample_key,label,label_key\n"


@pytest.mark.parametrize("text", samples.HOSTILE.values(), ids=samples.HOSTILE)
def test_hostile_keys_stay_in_their_field_and_are_no_formulas(text):
    shown = to_csv(samples.hostile(text))
    rows = read(shown)
    assert len(rows) == 20
    assert len(shown.splitlines()) == 21
    assert not any(row["sample_key"].startswith(("=", "+", "-", "@")) for row in rows)
