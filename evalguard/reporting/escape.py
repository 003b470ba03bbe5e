"""Hostile text made inert: keys, file names and class names may hold Markdown, HTML or spreadsheet formulas."""

from __future__ import annotations

import re

from evalguard.core.visible import MAX_TEXT, visible

__all__ = ["cell", "markdown", "visible"]

_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#+!|~]")
# Some renderers turn bare addresses into links. An entity looks the same to a reader and prevents that.
_ADDRESS = re.compile(r":(?=//)|@|(?<=www)\.", re.IGNORECASE)
# A spreadsheet takes these as the start of a formula; a leading tab or line break is escaped before.
_FORMULA = re.compile(r"\s*[=+\-@]")
_NUMBER = re.compile(r"\s*[+-]?(\d[\d_,]*)?\.?\d*([eE][+-]?\d+)?\s*", re.ASCII)


def markdown(text: object, limit: int = MAX_TEXT) -> str:
    """Visible text without Markdown, HTML or links."""
    shown = visible(text, limit)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.replace(character, entity)
    shown = _MARKDOWN.sub(r"\\\g<0>", shown)
    return _ADDRESS.sub(lambda match: f"&#{ord(match[0])};", shown)


def cell(text: object, limit: int = 1000) -> str:
    """Visible text that a spreadsheet does not evaluate: text like a formula gets a leading apostrophe."""
    shown = visible(text, limit)
    return f"'{shown}" if _FORMULA.match(shown) and not _NUMBER.fullmatch(shown) else shown
