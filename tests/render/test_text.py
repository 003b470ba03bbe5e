"""The terminal report: what it says, how long it is, and that hostile text is inert."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evalguard
from evalguard.render import artifacts, to_text
from evalguard.render.escape import markdown, visible


def failing(keys=None, name="check"):
    n = 50
    labels = evalguard.Labels(values=np.arange(n), keys=keys)
    delivered = np.roll(np.arange(n), 8)
    return evalguard.check(delivered if keys is None else np.asarray(keys)[delivered], labels, name=name)


def test_a_failure_says_how_many_rows_are_wrong_and_which_come_first():
    text = to_text(failing())
    assert text.startswith("check: FAIL: 50 of 50 predictions would be scored against another sample's label\n")
    assert "row 0: prediction of sample 42, scored against label 0" in text
    assert "… and 46 more" in text


def test_a_pass_says_what_was_proven():
    text = to_text(evalguard.check(range(5), 5))
    assert text.startswith("check: PASS: all 5 predictions stand at their own label (proof: identity)\n")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_into_25_lines_of_any_width_without_colour_codes(width):
    text = to_text(failing(keys=[f"images/{'x' * 60}/{i}.png" for i in range(50)]), width=width)
    assert len(text.splitlines()) <= 25
    assert all(len(line) <= width for line in text.splitlines())
    assert "\x1b" not in text


def test_colour_is_emitted_only_on_request():
    assert "\x1b[" in to_text(failing(), color=True)


HOSTILE = ["\x1b[2J\x1b[31mPASS", "a\nFAKE: PASS", "‮gnp.1", "\x00\x07", "<script>alert(1)</script>", "x" * 10_000]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_keys_are_inert_in_the_terminal(text):
    report = failing(keys=[f"{text}{number}" for number in range(50)], name=text)
    for shown in (to_text(report), to_text(report, color=False, width=200)):
        assert "\x1b" not in shown
        assert "‮" not in shown
        assert "\nFAKE" not in shown
        assert len(shown) < 10_000


@given(st.text())
def test_visible_text_has_no_control_characters(text):
    shown = visible(text)
    assert all(unicodedata.category(character)[0] != "C" for character in shown)
    assert len(shown) <= 201


@given(st.text(alphabet="<>&`*_[]()#!|\\ab\n"))
def test_markdown_has_no_live_markup(text):
    shown = markdown(text)
    assert "<" not in shown
    assert "\n" not in shown


def test_artifacts_hold_the_json_and_the_text():
    report = failing()
    assert artifacts(report)["report.json"] == report.to_json()
    assert artifacts(report)["report.txt"] == to_text(report)
