"""The terminal report: what it says, how long it is, and that hostile text is inert."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

import evalguard
from evalguard.core.findings import Cause
from evalguard.reporting import artifacts, print_report, to_text
from evalguard.reporting.html import to_html
from tests.core.test_report import reports
from tests.reporting import samples
from tests.reporting.samples import failing

GOLDEN = Path(__file__).with_name("golden")


def test_a_failure_says_how_many_rows_are_wrong_and_which_come_first():
    text = to_text(failing())
    assert text.startswith("digits: FAIL: 50 of 50 predictions would be scored against another sample's label\n")
    said = " ".join(text.split())
    assert "row 0: prediction of sample 42 (images/0042.png), scored against label 0 (images/0000.png)" in said
    assert "… and 47 more" in said


def test_a_pass_says_what_was_proven():
    text = to_text(evalguard.check(indices=range(5), labels=5))
    assert text.startswith("check: PASS: all 5 predictions match their labels, as declared (proof: declared)\n")


def test_the_names_of_classes_and_where_they_come_from_are_listed():
    report = samples.BY_VERDICT["PASS"]()
    named = {**report.labels, "classes": ["cat", "dog\x1b[31m"], "classes_from": "classes="}
    page, text = (shown(replace(report, labels=named)) for shown in (to_html, to_text))
    assert "classes by number: cat, dog\\u001b[31m (from classes=)" in text
    assert "cat, dog\\u001b[31m" in page
    several = {**report.labels, "classes": {"animal": ["cat"], "even": ["no", "yes"]}, "classes_from": "classes="}
    assert "classes by number: animal: cat; even: no, yes (from classes=)" in to_text(replace(report, labels=several))


def test_the_line_that_would_prove_it_can_be_pasted():
    assert "  to do     evalguard.guard(labels=..., reference=x_test)" in to_text(samples.unproven_report())


@pytest.mark.parametrize("name", [*samples.BY_VERDICT, "full"])
def test_the_text_is_the_golden_one(name):
    report = samples.full() if name == "full" else samples.BY_VERDICT[name]()
    assert to_text(report) == (GOLDEN / f"{name.lower()}.txt").read_text(encoding="utf-8")


@given(reports(), st.integers(40, 200), st.booleans())
@settings(deadline=None)
def test_it_fits_into_25_lines_of_any_width(report, width, color):
    text = to_text(report, color=color, width=width)
    assert 1 <= len(text.splitlines()) <= 25
    assert text.endswith("\n")
    if not color:
        assert all(cell_len(line) <= width for line in text.splitlines())
        assert "\x1b" not in text


def test_what_is_wrong_and_what_to_do_is_not_crowded_out():
    report = samples.full()
    crowd = tuple(f"hazard number {number}, at some length so that it takes a line" for number in range(40))
    text = to_text(replace(report, hazards=crowd, not_proven=crowd), width=60)
    assert len(text.splitlines()) <= 25
    for word in ("FAIL", "found", "cause", "fix", "to do", "metric"):
        assert word in text
    assert " …\n" in text


def test_the_alignment_is_drawn_only_where_something_is_wrong():
    assert "alignment |" in to_text(failing())
    assert "alignment |" not in to_text(samples.passing())


def test_a_cause_that_is_only_likely_says_so():
    certain = replace(failing(), diagnosis=(Cause("c", True, "e", "r"),))
    likely = replace(failing(), diagnosis=(Cause("c", False, "e", "r"),))
    unknown = replace(failing(), diagnosis=(Cause("cause unknown, pattern: x", False, "e", "r"),))
    assert "cause     c: e" in to_text(certain)
    assert "cause     c (likely): e" in to_text(likely)
    assert "(likely)" not in to_text(unknown)


def test_colour_is_emitted_only_on_request():
    assert "\x1b[" in to_text(failing(), color=True)
    assert "\x1b" not in to_text(failing())


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def _plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.usefixtures("_plain_environment")
def test_a_terminal_gets_colour_and_a_file_gets_none():
    terminal, file = Terminal(), io.StringIO()
    print_report(failing(), terminal)
    print_report(failing(), file)
    assert "\x1b[" in terminal.getvalue()
    assert file.getvalue() == to_text(failing())


@pytest.mark.usefixtures("_plain_environment")
def test_a_terminal_that_asks_for_no_colour_gets_none(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    print_report(failing(), terminal)
    assert "\x1b" not in terminal.getvalue()


def test_a_stream_that_cannot_write_a_key_still_gets_the_verdict():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_report(replace(failing(), name="日本"), stream)
    stream.flush()
    assert raw.getvalue().startswith(b"??: FAIL: 50 of 50")


@pytest.mark.parametrize("text", samples.HOSTILE.values(), ids=samples.HOSTILE)
def test_hostile_text_is_inert_in_the_terminal(text):
    for shown in (to_text(samples.hostile(text)), to_text(samples.hostile(text), width=200)):
        assert all(character.isprintable() or character == "\n" for character in shown)
        assert "\nFAKE" not in shown
        assert len(shown.splitlines()) <= 25


def test_artifacts_hold_each_form_of_the_report():
    report = failing()
    made = artifacts(report)
    assert sorted(made) == ["junit.xml", "report.html", "report.json", "report.txt", "wrong_rows.csv"]
    assert made["report.json"] == report.to_json()
    assert made["report.txt"] == to_text(report)
    assert "attestation.json" in artifacts(report, {"model.keras": "0" * 64})


@given(reports())
@settings(deadline=None, max_examples=50)
def test_a_report_is_rendered_later_byte_for_byte(report):
    assert artifacts(samples.reloaded(report)) == artifacts(report)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("PASS", "11 of 50 predictions, sampled by position, match their labels; the others were not checked"),
        ("UNPROVEN", "11 of 50 predictions, sampled by position, match their labels, but the others were not checked"),
        ("FAIL", "at least 2 of 50 predictions would be scored against another sample's label"),
    ],
)
def test_a_record_of_sampled_rows_is_rendered_as_it_was(verdict, words):
    report = samples.of_sampled_rows(verdict)
    assert " ".join(to_text(report).split()).startswith(f"digits: {verdict}: {words}")
    assert artifacts(samples.reloaded(report)) == artifacts(report)
    assert json.loads(artifacts(report)["report.json"])["options"] == {"require": "sample", "content": "sample:0.2"}
