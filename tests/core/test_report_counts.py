"""Reports that earlier versions wrote are read as what they knew: their zeros for what nothing showed are unknown."""

import json
from pathlib import Path

import jsonschema
import pytest

from evalguard.core.report import Report
from evalguard.core.report_counts import counted
from evalguard.core.report_schema import json_schema
from evalguard.reporting import artifacts

WRITTEN = sorted(Path(__file__).with_name("earlier_reports").glob("*.json"))
ROWS = {"missing", "duplicate", "foreign", "reordered", "misaligned"}
# Name of the file behind the number of its schema → counts that were zeros, and of which nothing was known.
UNKNOWN = {
    "pass_by_key": {"label_disagreements", "equal_samples"},
    "fail_by_key": {"label_disagreements", "equal_samples"},
    "fail_by_targets": {*ROWS, "equal_samples"},
    "unproven_by_count": {*ROWS, "label_disagreements", "equal_samples"},
    "unproven_unobserved": {*ROWS, "label_disagreements", "equal_samples", "padding", "n_labels", "n_predictions"},
}


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_an_earlier_report_is_read_as_what_it_knew(path):
    written = json.loads(path.read_text(encoding="utf-8"))
    version, _, name = path.stem.partition("_")
    assert written["schema_version"] == int(version)
    report = Report.from_dict(written)
    assert {count for count, number in report.counts.items() if number is None} == UNKNOWN[name]
    assert {key: number for key, number in report.counts.items() if number} == {
        key: number for key, number in written["counts"].items() if number
    }
    # The first reports list no checks: something was compared where a row was identified, or a fault found.
    nothing = name == "unproven_unobserved" or path.stem == "1_unproven_by_count"
    assert report.violations == (None if nothing else written["violations"])
    assert (report.verdict, report.headline) == (written["verdict"], written["headline"])
    jsonschema.validate(report.to_dict(), json_schema())
    again = Report.from_dict(report.to_dict())
    assert artifacts(again) == artifacts(report)


def test_a_zero_that_was_counted_stays_one():
    written = json.loads(WRITTEN[0].with_stem("1_pass_by_key").read_text(encoding="utf-8"))
    assert {Report.from_dict(written).counts[name] for name in ROWS} == {0}


def test_unidentified_rows_of_the_first_reports_leave_their_zeros_unknown():
    written = json.loads(WRITTEN[0].with_stem("1_pass_by_key").read_text(encoding="utf-8"))
    partial = {**written, "identities": [{**written["identities"][0], "says": "2 rows unidentified"}]}
    assert {Report.from_dict(partial).counts[name] for name in ROWS} == {None}


@pytest.mark.parametrize(("identity", "equal"), [("content", 0), ("key", None)])
def test_equal_samples_were_counted_by_their_content(identity, equal):
    written = json.loads(WRITTEN[0].with_stem("1_pass_by_key").read_text(encoding="utf-8"))
    read = Report.from_dict({**written, "identities": [{**written["identities"][0], "identity": identity}]})
    assert read.counts["equal_samples"] == equal


def test_each_case_is_there_of_both_schemas():
    assert [path.stem for path in WRITTEN] == sorted(f"{version}_{name}" for version in (1, 2) for name in UNKNOWN)


@pytest.mark.parametrize(
    ("count", "text"), [(None, "– rows"), (0, "0 rows"), (1, "1 row"), (4_999_990, "4,999,990 rows")]
)
def test_a_count_has_its_noun_and_a_dash_where_it_is_not_known(count, text):
    assert counted(count, "row") == text


def test_a_report_in_which_nothing_was_observed_is_one_line():
    report = Report.from_dict(
        json.loads((WRITTEN[0].parent / "2_unproven_unobserved.json").read_text(encoding="utf-8"))
    )
    assert "– predictions" in repr(report)
