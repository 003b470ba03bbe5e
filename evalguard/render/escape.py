"""Hostile text made inert: what a key, a file name or a class name may do to the place it is shown in."""

from __future__ import annotations

import unicodedata

MAX_TEXT = 200
# Left-to-right and right-to-left marks, overrides and isolates: they reorder what stands around them.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: object, limit: int = MAX_TEXT) -> str:
    """One line of text without control characters or direction overrides, cut to ``limit`` characters."""
    raw = str(text)
    shown = "".join(_visible_character(character) for character in raw[: limit + 1])
    return shown[:limit] + "…" if len(shown) > limit else shown


def _visible_character(character: str) -> str:
    if character in _BIDI or unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return f"\\u{ord(character):04x}"
    return character


def markdown(text: object, limit: int = MAX_TEXT) -> str:
    """Visible text in which no character is Markdown or HTML."""
    shown = visible(text, limit)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(character, entity)
    return "".join("\\" + character if character in "\\`*_{}[]()#+!|~" else character for character in shown)
