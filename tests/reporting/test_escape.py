"""Hostile text is inert wherever it is shown: in a line, in Markdown, in a cell of a table."""

import csv
import html
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import evalguard
from evalguard.core.report import MAX_HEADLINE
from evalguard.reporting.escape import cell, markdown, visible
from tests.reporting.samples import HOSTILE, hostile

ANY = st.text() | st.text(alphabet=st.characters(codec=None)) | st.sampled_from(sorted(HOSTILE.values()))
MARKUP = st.text(alphabet="<>&`*_[]()#!|\\ab\n:/@.w~+-={}")


@given(MARKUP)
@example("://")
def test_markdown_has_no_live_markup(text):
    shown = markdown(text)
    assert not set("<>\n") & set(shown)
    assert "://" not in shown
    assert "@" not in shown
    assert "www." not in shown
    live = shown.replace("\\\\", "")
    for character in "`*_[]()#!|{}~+":
        assert live.replace("\\" + character, "").replace("&#", "").count(character) == 0


@given(st.text(alphabet="ab<&`*_:/@ w."))
def test_markdown_reads_as_the_text_it_was(text):
    plain = html.unescape(markdown(text))
    for character in "\\`*_":
        plain = plain.replace("\\" + character, character)
    assert plain == visible(text)


@given(ANY | st.text(alphabet="=+-@1.e \t\"',;a"))
@example("=1+1")
@example("\t=1")
@example("-2+3+cmd|' /C calc'!A0")
def test_a_cell_is_no_formula_and_one_field(text):
    shown = cell(text)
    stripped = shown.lstrip()
    assert not stripped.startswith(("=", "@"))
    if stripped.startswith(("+", "-")):
        assert not set(stripped[1:]) - set("0123456789._,eE+- ")
        assert not any(character.isalpha() and character not in "eE" for character in stripped)
    stream = io.StringIO()
    csv.writer(stream).writerow([shown, "next"])
    assert next(csv.reader(io.StringIO(stream.getvalue()))) == [shown, "next"]


@pytest.mark.parametrize("number", ["-5", "+1.5", "-1e-3", "12", "-", "3.0"])
def test_a_number_stays_a_number(number):
    assert cell(number) == number


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_report_shows_itself_in_one_line_whatever_it_holds(text):
    report = replace(hostile(text), counts={**hostile(text).counts, "misaligned": 0})
    for shown in (repr(report), report.in_one_line):
        assert len(shown) <= MAX_HEADLINE + 1
        assert shown.isprintable()
        assert max((len(marks) for marks in re.findall("\u0301+", shown)), default=0) <= 4
    assert text not in repr(report)


def test_a_report_shows_neither_keys_nor_labels_nor_predictions():
    keys = np.array(["patient-0", "patient-1", "patient-2"])
    labels = evalguard.Labels(values=np.array([77, 78, 79]), keys=keys, name="labels.csv")
    predictions = np.array([0.771, 0.772, 0.773])
    report = evalguard.check(keys=keys[[1, 0, 2]], labels=labels, predictions=predictions, metrics="mse")
    assert not re.search(r"patient|7[789]|labels\.csv", f"{report!r} {report.in_one_line}")
    assert "patient-1" in report.to_json()
