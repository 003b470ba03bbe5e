"""Every fixture report in every form: nothing unknown is a zero, nothing is empty, and every number is in the JSON."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from evalguard.core.judge import judge
from evalguard.core.policy import Policy
from evalguard.core.report import Report
from evalguard.core.report_counts import NOT_KNOWN
from evalguard.reporting import artifacts
from evalguard.reporting.words import WRONG, metric_value
from evalguard.tracking.of_report import known_counts
from tests.core.traces import ALIGNED, SWAPPED, N, label_of, labels_for, trace_of
from tests.reporting import samples
from tests.reporting.test_html import Page

EARLIER = Path(__file__).parents[1] / "core" / "earlier_reports"
MODEL = {"name": "cnn", "class": "Functional", "parameters": 12345, "path": "models/cnn.keras"}
SOURCE = {"kind": "generator", "type": "batches", "place": "images"}
# Numbers that are words: of the documents and algorithms that a sentence names.
NAMES = {"4737", "5236", "256"}


def judged(delivered, evidence, **parts):
    """What the core judges, as a guard would complete it."""
    report = samples.fixed(judge(trace_of(delivered, evidence, **parts), labels_for(N, evidence), Policy()).report)
    return replace(report, name="digits", model=MODEL, source={**report.source, **SOURCE})


def earlier(path):
    return Report.from_dict(json.loads(path.read_text(encoding="utf-8")))


REPORTS = {
    **{name: make() for name, make in samples.BY_VERDICT.items()},
    "full": samples.full(),
    **{f"sampled {verdict}": samples.of_sampled_rows(verdict) for verdict in ("PASS", "UNPROVEN", "FAIL")},
    **{path.stem: earlier(path) for path in sorted(EARLIER.glob("*.json"))},
    "seen by targets": judged(ALIGNED, (), targets=label_of(SWAPPED)),
    "a place that targets contradict": judged(ALIGNED, {"position"}, targets=label_of(SWAPPED)),
    "too few rows": judged(ALIGNED[:4], {"tags"}),
    "order only": judged(ALIGNED, {"tags"}),
    "rows unidentified": judged([0, 1, -1, 4, 3, 5, 6], {"index"}),
    "evaluate": judged(SWAPPED, {"index", "targets"}, ordered=False, method="evaluate"),
    "foreign and missing": judged([0, 1, 2, 3, 4, 5, 99], {"index"}),
    "repeated": judged([0, 1, 2, 3, 4, 5, 5], {"index"}),
    "stopped": judged([1, 0], {"index"}, stopped="a fault"),
    "no rows that pair": judged([0, 1, 2], {"tags"}, one_to_one=False, unobserved="the model returns one row"),
    "many rows": samples.failing(np.roll(np.arange(5000), 8), n=5000),
    "model not built": replace(judged(ALIGNED, {"content"}), model={**MODEL, "parameters": None}),
}


@pytest.fixture(params=REPORTS, ids=lambda name: name.replace(" ", "-"))
def report(request):
    return REPORTS[request.param]


def flat(text):
    return " ".join(text.split())


def test_nothing_unknown_is_a_zero_in_any_form(report):
    forms = artifacts(report, {"labels.csv": "0" * 64})
    counts = json.loads(forms["report.json"])["counts"]
    said = flat(forms["report.txt"]).partition(" counts ")[2]
    zeros = re.search(r"\b0 ([a-z ]+(?:, [a-z ]+)*)", said.partition(" chain ")[0])
    page = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", forms["report.html"]))
    suite = ET.fromstring(forms["junit.xml"])  # noqa: S314 - made here
    properties = {item.get("name"): item.get("value") for item in suite.iter("property")}
    for name in WRONG:
        words, count = name.replace("_", " "), report.counts[name]
        assert counts[name] == count
        assert (page[words] == NOT_KNOWN) == (properties[name] == NOT_KNOWN) == (count is None)
        assert (page[words] == "0") == (count == 0)
        assert (zeros is not None and words in zeros[1].split(", ")) == (count == 0)
        assert (name in known_counts(report)) == (count is not None)
    if report.counts["misaligned"] is None:
        assert "0 misaligned" not in flat("".join(forms.values()))
    if report.violations is None:
        assert "violations" not in known_counts(report)


def test_no_cell_and_no_row_is_empty(report):
    forms = artifacts(report)
    assert not re.findall(r"<(td|th|dd|dt|li|p|h[1-6]|caption|figcaption)\b[^>]*>\s*</\1>", forms["report.html"])
    assert not re.findall(r"<(ul|ol|dl|table|tbody)\b[^>]*>\s*</\1>", forms["report.html"])
    assert not [line for line in forms["report.txt"].splitlines() if not line.strip() or re.fullmatch(r"  \w+ *", line)]
    assert "None" not in Page(forms["report.html"]).text.split()
    assert "None" not in forms["report.txt"].split()


def numbers(text):
    """The numbers of a text, without their grouping."""
    return {
        number.replace(",", "") for number in re.findall(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?![\d,])|\d+(?:\.\d+)?", text)
    }


def known_numbers(value):
    """Every number of the JSON form, as it is and as it is shown."""
    if isinstance(value, dict):
        return {number for item in (*value, *value.values()) for number in known_numbers(item)}
    if isinstance(value, list):
        return {number for item in value for number in known_numbers(item)} | {str(len(value))}
    if isinstance(value, str):
        return numbers(value)
    shown = numbers(metric_value(value)) if isinstance(value, (int, float)) else set()
    return shown | numbers(str(value))


def test_every_number_is_in_the_json_too(report):
    forms = artifacts(report)
    data = json.loads(forms["report.json"])
    known = known_numbers(data) | NAMES
    # What is not listed is a difference of two numbers that are; a plot has ticks, and a time is a date.
    page = re.sub(r"<svg.*?</svg>", "", forms["report.html"], flags=re.DOTALL)
    text = re.sub(r"\n  alignment .*?\+- [^\n]*", "", forms["report.txt"], flags=re.DOTALL)
    for form in (Page(page).text, text):
        shown = re.sub(r"[\d,]+ more\b|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "", form)
        assert numbers(shown) - known == set()


def test_model_data_labels_and_caller_are_named(report):
    forms = artifacts(report, {"labels.csv": "0" * 64})
    texts = {name: flat(forms[name]) for name in ("report.txt", "junit.xml", "report.json", "attestation.json")}
    texts["report.html"] = Page(forms["report.html"]).text
    about = [report.model.get("name"), report.model.get("class"), report.source.get("place"), report.caller.get("line")]
    about += [report.labels.get("path") or report.labels.get("name")]
    for form, text in texts.items():
        assert [word for word in about if word and word not in text] == [], form
    if report.model and report.model["parameters"] is None:
        assert f"({report.model['class']}, {NOT_KNOWN} parameters)" in texts["report.html"]


def test_the_fixtures_hold_each_verdict_and_an_unknown_of_each_count():
    assert {report.verdict for report in REPORTS.values()} == {"PASS", "REPAIRED", "UNPROVEN", "FAIL"}
    for name in WRONG:
        assert {None, 0} <= {report.counts[name] for report in REPORTS.values()}
        assert any(report.counts[name] for report in REPORTS.values())
    assert sum(bool(report.model) for report in REPORTS.values()) > 5
