"""Hostile text made visible: keys, file names and class names may hold control characters and escapes."""

from __future__ import annotations

import unicodedata

MAX_TEXT = 200
# More combining marks on one letter than any script needs would overlap the lines above and below.
MAX_MARKS = 4
_MARKS = frozenset({"Mn", "Me"})


def visible(text: object, limit: int = MAX_TEXT) -> str:
    """One line of text with only visible characters, cut to ``limit`` characters.

    Control characters, direction overrides, surrogates and unusual spaces are
    shown as escapes of their code points.
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
    """For each character, whether it is a mark on top of ``MAX_MARKS`` others."""
    found, height = [], 0
    for character in text:
        height = height + 1 if unicodedata.category(character) in _MARKS else 0
        found.append(height > MAX_MARKS)
    return found
