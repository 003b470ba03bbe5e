"""Hostile text in one line: every character that is left is visible."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalguard.core.visible import visible

ANY = st.text() | st.text(alphabet=st.characters(codec=None))


# Other (control, format, surrogate, private, unassigned) and separator.
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}


@given(ANY)
def test_visible_text_is_one_line_without_invisible_characters(text):
    shown = visible(text)
    assert {unicodedata.category(character) for character in shown if character != " "}.isdisjoint(UNSEEN)
    assert len(shown) <= 201
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@given(ANY)
def test_visible_text_stays_as_it_is(text):
    assert visible(visible(text), 10_000) == visible(text)


@pytest.mark.parametrize(
    "text", ["", "images/0001.png", "naïve façade", "日本語", "שלום", "ಕನ್ನಡ", "x = 'y' <z>", "café\u0301"]
)
def test_ordinary_text_of_any_script_is_left_alone(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1bb", "a\\u001bb"),
        ("\u202e", "\\u202e"),
        ("a\u00a0b", "a\\u00a0b"),
        ("\U000e0041", "\\U000e0041"),
        ("\U0001d173", "\\U0001d173"),
        ("\ud800", "\\ud800"),
        ("a" + "\u0301" * 6, "a" + "\u0301" * 4 + "\\u0301" * 2),
        ("\u0301" * 5, "\u0301" * 4 + "\\u0301"),
    ],
)
def test_invisible_characters_are_shown_by_their_code_points(text, shown):
    assert visible(text) == shown


def test_long_text_is_cut_and_says_so():
    assert visible("x" * 10_000) == "x" * 200 + "…"
    assert visible("x" * 200) == "x" * 200
    assert visible("abcdef", limit=3) == "abc…"
