"""The report in Markdown, and the files that ``save`` writes."""

import json
from dataclasses import replace

import pytest

from evalguard.core.findings import VALUES
from evalguard.core.report import FILES, Report
from evalguard.errors import ConfigError
from evalguard.reporting import RENDERERS, artifacts
from evalguard.reporting.markdown import to_markdown
from evalguard.reporting.words import METRIC_MEANINGS
from tests.reporting import samples
from tests.reporting.samples import HOSTILE, hostile


def test_it_begins_with_the_verdict_and_has_the_cause_and_the_fix_before_the_rest():
    shown = to_markdown(samples.full())
    assert shown.startswith("## digits: FAIL: 50 of 50 predictions would be scored against another sample's label\n")
    order = ["**Cause:", "    before: a", "### Found", "### First wrong rows", "### Metrics", "| proof |"]
    assert [shown.index(part) for part in order] == sorted(shown.index(part) for part in order)
    assert "- … and 40 more\n" in shown


def test_what_the_values_of_a_metric_are_is_said_beside_them():
    report = samples.full()
    for shown in (to_markdown(report), report.to_html()):
        assert "prediction i against label i, as the caller would score them" in shown
        assert "the number to quote once the order is repaired" in shown
        assert "labels that the stream gave" not in shown
    assert set(METRIC_MEANINGS) == set(VALUES)


@pytest.mark.parametrize("verdict", samples.BY_VERDICT)
def test_no_section_and_no_cell_is_empty(verdict):
    shown = to_markdown(samples.BY_VERDICT[verdict]())
    assert shown.count("\n") > 5
    assert "|  |" not in shown.replace("| | |", "")
    assert all(not part.startswith("###") or "\n- " in part for part in shown.split("\n\n### "))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_inert(text):
    shown = to_markdown(hostile(text))
    prose = [line for line in shown.splitlines() if not line.startswith("    ")]
    assert not any("<" in line or "](" in line.replace("\\]\\(", "") for line in prose)
    assert all(line.isprintable() for line in shown.splitlines())


def test_a_stored_report_gives_the_same_bytes():
    report = samples.full()
    assert to_markdown(Report.from_dict(json.loads(report.to_json()))) == to_markdown(report)


def test_a_file_is_written_in_the_form_of_its_suffix(tmp_path):
    report = samples.full()
    for name, content in {**artifacts(report), "report.md": report.to_markdown()}.items():
        path = report.save(tmp_path / "new" / f"mine{name[name.index('.') :]}")
        assert path.read_text(encoding="utf-8") == content
    assert report.to_html() == (tmp_path / "new" / "mine.html").read_text(encoding="utf-8")


def test_a_folder_gets_every_form(tmp_path):
    report = replace(samples.full(), name="\ud800")
    for folder in (tmp_path / "out", tmp_path / "v1.2"):
        assert report.save(f"{folder}/") == folder
        assert {file.name for file in folder.iterdir()} == set(FILES)
        assert report.save(folder) == folder
    assert {*RENDERERS, ".json"} == {"frame", *(name[name.index(".") :] for name in FILES)}


def test_another_suffix_is_an_error_that_lists_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.json, \.txt, \.html, \.md, \.xml, \.csv, or a folder; found"):
        samples.full().save(tmp_path / "report.pdf")
    assert not list(tmp_path.iterdir())
