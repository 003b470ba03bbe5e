"""JUnit XML as Jenkins and GitLab read it: FAIL is a failure, UNPROVEN an error, an omitted check is skipped."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from evalguard.core.report import Report
from evalguard.core.report_counts import NOT_KNOWN
from evalguard.reporting import words
from evalguard.reporting.cases import ALIGNMENT, Case, cases
from evalguard.reporting.escape import visible
from evalguard.reporting.text import to_text

MAX_MESSAGE = 400
TAGS = {"failed": "failure", "error": "error", "skipped": "skipped", "warned": "system-out"}


def to_junit(report: Report) -> str:
    """The report as one test suite, ending in a newline."""
    report = words.plain(report)
    tests = cases(report)
    # XML 1.0 cannot hold control characters, not even escaped, so all text is visible text.
    name = visible(report.name)
    totals = {"tests": str(len(tests)), "failures": _count(tests, "failed"), "errors": _count(tests, "error")}
    root = ET.Element("testsuites", {"name": "evalguard", **totals})
    suite = ET.SubElement(root, "testsuite", {"name": name, **totals, "skipped": _count(tests, "skipped")})
    if words.moment(report.checked_at_ms):
        moment = datetime.fromtimestamp(report.checked_at_ms / 1000, UTC)
        suite.set("timestamp", moment.strftime("%Y-%m-%dT%H:%M:%S"))
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(report).items():
        ET.SubElement(properties, "property", {"name": key, "value": visible(value)})
    for test in tests:
        _add(suite, test, f"evalguard.{name}", report)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _count(tests: tuple[Case, ...], outcome: str) -> str:
    return str(sum(test.outcome == outcome for test in tests))


def _properties(report: Report) -> dict[str, str]:
    causes = {"cause": report.diagnosis[0].cause} if report.diagnosis else {}
    labels = {f"labels.{part}": str(report.labels[part]) for part in ("name", "digest") if part in report.labels}
    about = {"model": words.model(report), "source": words.source(report), "caller": words.caller(report)}
    labels |= {name: text for name, text in about.items() if text}
    counts = {name: NOT_KNOWN if count is None else str(count) for name, count in sorted(report.counts.items())}
    return {"verdict": report.verdict.value, "proof": report.proof, **causes, **labels, **counts}


def _add(suite: ET.Element, test: Case, classname: str, report: Report) -> None:
    element = ET.SubElement(suite, "testcase", {"classname": classname, "name": visible(test.name)})
    if test.outcome == "passed":
        return
    message = visible(test.message, MAX_MESSAGE)
    outcome = ET.SubElement(element, TAGS[test.outcome])
    if test.outcome == "warned":
        outcome.text = message
        return
    outcome.set("message", message)
    if test.outcome != "skipped":
        outcome.set("type", report.verdict.value)
        outcome.text = to_text(report) if test.name == ALIGNMENT else message
