"""Hostile text made inert: what a key, a file name or a class name may do to the place it is shown in."""

from __future__ import annotations

import re
import unicodedata

MAX_TEXT = 200
# More marks on one letter than any script needs climb over the lines above and below.
MAX_MARKS = 4
_MARKS = frozenset({"Mn", "Me"})
_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#+!|~]")
# Where a renderer makes links of bare addresses: an entity is the same character to a reader, and not to it.
_ADDRESS = re.compile(r":(?=//)|@|(?<=www)\.", re.IGNORECASE)
# A spreadsheet takes these for the start of a formula; a tab or a line break in front is gone by then.
_FORMULA = re.compile(r"\s*[=+\-@]")
_NUMBER = re.compile(r"\s*[+-]?(\d[\d_,]*)?\.?\d*([eE][+-]?\d+)?\s*", re.ASCII)


def visible(text: object, limit: int = MAX_TEXT) -> str:
    """One line of text in which every character can be seen, cut to ``limit`` characters.

    Controls, direction overrides, surrogates, and spaces that look like
    another one are shown by their numbers.
    """
    raw = str(text)[: limit + 1]
    if not (raw.isascii() and raw.isprintable()):
        raw = "".join(map(_visible_character, raw, _heaped(raw)))
    return raw[:limit] + "…" if len(raw) > limit else raw


def _visible_character(character: str, heaped: bool) -> str:
    if character.isprintable() and not heaped:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def _heaped(text: str) -> list[bool]:
    """Which characters are marks on top of ``MAX_MARKS`` others."""
    found, height = [], 0
    for character in text:
        height = height + 1 if unicodedata.category(character) in _MARKS else 0
        found.append(height > MAX_MARKS)
    return found


def markdown(text: object, limit: int = MAX_TEXT) -> str:
    """Visible text in which no character is Markdown or HTML, and no address becomes a link."""
    shown = visible(text, limit)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(character, entity)
    shown = _MARKDOWN.sub(r"\\\g<0>", shown)
    return _ADDRESS.sub(lambda match: f"&#{ord(match[0])};", shown)


def cell(text: object, limit: int = 1000) -> str:
    """Visible text that a spreadsheet does not take for a formula: such text gets an apostrophe in front."""
    shown = visible(text, limit)
    return f"'{shown}" if _FORMULA.match(shown) and not _NUMBER.fullmatch(shown) else shown
