"""Hostile text made inert: what a key, a file name or a class name may do to the place it is shown in."""

from __future__ import annotations

import re

from evalguard.core.visible import MAX_TEXT, visible

__all__ = ["cell", "markdown", "visible"]

_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#+!|~]")
# Where a renderer makes links of bare addresses: an entity is the same character to a reader, and not to it.
_ADDRESS = re.compile(r":(?=//)|@|(?<=www)\.", re.IGNORECASE)
# A spreadsheet takes these for the start of a formula; a tab or a line break in front is gone by then.
_FORMULA = re.compile(r"\s*[=+\-@]")
_NUMBER = re.compile(r"\s*[+-]?(\d[\d_,]*)?\.?\d*([eE][+-]?\d+)?\s*", re.ASCII)


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
