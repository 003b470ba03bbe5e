"""JUnit XML: its form, and which test carries what."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from hypothesis import given, settings

from evalguard.core.findings import Finding, Reason
from evalguard.reporting.cases import CHECKS, cases
from evalguard.reporting.junit import to_junit
from tests.core.test_report import reports
from tests.reporting import samples

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).with_name("junit.xsd")))


def outcomes(report):
    """Tag of the outcome of each test: ``""`` where it passed."""
    suite = read(report).find("testsuite")
    return {case.get("name"): next((child.tag for child in case), "") for case in suite.findall("testcase")}


def read(report):
    return ET.fromstring(to_junit(report))  # noqa: S314 - made here


@given(reports())
@settings(deadline=None, max_examples=50)
def test_any_report_is_valid_and_its_totals_are_those_of_its_tests(report):
    text = to_junit(report)
    SCHEMA.validate(text)
    root = ET.fromstring(text)  # noqa: S314 - made here
    for element in (root, root.find("testsuite")):
        assert int(element.get("tests")) == len(root.findall(".//testcase"))
        assert int(element.get("failures")) == len(root.findall(".//failure"))
        assert int(element.get("errors")) == len(root.findall(".//error"))
    assert int(root.find("testsuite").get("skipped")) == len(root.findall(".//skipped"))


@pytest.mark.parametrize("text", samples.HOSTILE.values(), ids=samples.HOSTILE)
def test_hostile_text_is_inert_in_xml(text):
    report = samples.hostile(text)
    shown = to_junit(report)
    SCHEMA.validate(shown)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert len(ET.fromstring(shown).findall(".//testcase")) == len(CHECKS) + 1  # noqa: S314 - made here


@pytest.mark.parametrize(
    ("verdict", "tag"), [("PASS", ""), ("REPAIRED", "system-out"), ("UNPROVEN", "error"), ("FAIL", "failure")]
)
def test_the_first_test_carries_the_verdict(verdict, tag):
    report = samples.BY_VERDICT[verdict]()
    found = outcomes(report)
    assert next(iter(found)) == "alignment"
    assert found["alignment"] == tag
    # Only a FAIL fails a build, only an UNPROVEN is an error.
    assert ("failure" in found.values()) == (verdict == "FAIL")
    assert ("error" in found.values()) == (verdict == "UNPROVEN")


def test_a_finding_fails_its_check_and_what_found_nothing_passes():
    found = outcomes(samples.failing([*range(40), *range(48, 50)], n=50))
    assert found == {
        "alignment": "failure",
        "count": "failure",
        "foreign": "",
        "missing": "failure",
        "duplicate": "",
        "reordered": "",
        "label_disagreement": "skipped",
        "transport": "skipped",
    }


def test_a_check_that_was_not_made_is_skipped():
    assert outcomes(samples.unproven_report()) == {
        "alignment": "error",
        **{reason.value: "skipped" for reason in CHECKS},
    }


def test_order_is_not_checked_where_it_does_not_matter():
    report = samples.passing()
    report = replace(report, method="evaluate", checks=tuple(check for check in report.checks if check != "reordered"))
    assert outcomes(report)["reordered"] == "skipped"
    assert outcomes(report)["duplicate"] == ""


def test_a_finding_of_another_kind_has_a_separate_test():
    finding = Finding(Reason.REUSED, 1, "the generator had been started")
    report = replace(samples.failing(), findings=(finding,))
    assert outcomes(report)["source_reused"] == "failure"
    assert len(cases(report)) == len(CHECKS) + 2


def test_the_failure_says_it_in_one_sentence_and_then_in_full():
    failure = read(samples.failing()).find(".//failure")
    assert failure.get("message") == samples.failing().headline
    assert failure.get("type") == "FAIL"
    assert "row 0: prediction of sample 42" in failure.text


def test_a_time_that_no_calendar_has_is_left_out():
    for moment in (0, 2**62, -(2**62)):
        SCHEMA.validate(to_junit(replace(samples.failing(), checked_at_ms=moment)))
        assert read(replace(samples.failing(), checked_at_ms=moment)).find("testsuite").get("timestamp") is None
    assert read(samples.failing()).find("testsuite").get("timestamp") == "2026-11-18T11:06:40"
