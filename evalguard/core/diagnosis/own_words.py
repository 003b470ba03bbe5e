"""A fix in the caller's own words: the line that is really there, and its names of model, source and labels."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evalguard.core.findings import Cause

# A guarded call in a fix.
CALL = re.compile(r"\bmodel(\.\w+)?\(")
LOOP = "for batch in loader: "


@dataclass(frozen=True, slots=True)
class OwnWords:
    """What the caller wrote; empty where it is not known.

    Attributes:
        place: ``evaluate.py:12``.
        line: The line of the guarded call.
        call: The call in it.
        model: The model, as the caller names it.
        source: The first argument.
        labels: The variable that was given as labels.
    """

    place: str = ""
    line: str = ""
    call: str = ""
    model: str = ""
    source: str = ""
    labels: str = ""


def is_name(code: str) -> bool:
    """Whether code is a name, or names with dots: ``self.x_test``."""
    return all(part.isidentifier() for part in code.split("."))


def in_own_words(found: Cause, words: OwnWords, kind: str = "") -> Cause:
    """The cause, with its fix in the caller's words.

    Args:
        found: A cause, with the words of the catalogue in its fix.
        words: What the caller wrote.
        kind: Kind of the source.
    """
    before, newline, after = found.remedy.partition("\n")
    if not newline or (words.place and words.place in before):
        return found
    lines = [before.removeprefix("before: "), after.removeprefix("after:  ")]
    calls = CALL.search(lines[0]) is not None
    names = _names(found.remedy, words, kind)
    lines = _as_written(lines, words, names) or [_renamed(line, names) for line in lines]
    calls = calls or (words.line != "" and words.line in lines[0])
    if calls and words.place.partition(":")[0].endswith(".py"):
        lines[0] += f"{'; ' if '  # ' in lines[0] else '  # '}{words.place}"
    return replace(found, remedy=f"before: {lines[0]}\nafter:  {lines[1]}")


def _as_written(lines: list[str], words: OwnWords, names: Mapping[str, str]) -> list[str] | None:
    """The caller's line before and after the fix; None if the fix is about another line."""
    if not words.call:
        return None
    (before, *old), (after, *new) = (line.split("  # ", 1) for line in lines)
    if before.startswith("steps=") and after.startswith("steps="):
        value = after.removeprefix("steps=")
        changed = _changed(words.call, {"steps": ast.unparse(ast.parse(value))}, None)
        return _pair(words, changed if "steps=" in words.call else None, old, new, names)
    # The statement before the call may be any, except another guarded call.
    (first, before), (then, after) = (
        (head, code) for head, _, code in (line.rpartition("; ") for line in (before, after))
    )
    if CALL.search(first) or CALL.search(then):
        return None
    old_call, new_call = (_guarded(code.removeprefix(LOOP)) for code in (before, after))
    # The fix is about the call only if the call is the whole expression.
    if old_call is None or new_call is None:
        return None
    (ours, alone), (theirs, around) = old_call, new_call
    if ours is not alone or not isinstance(ours.args[0], ast.Name):
        return None
    keywords = _keywords(theirs)
    gone = dict.fromkeys(_keywords(ours).keys() - keywords.keys())
    source = ast.unparse(theirs.args[0])
    same = source == ast.unparse(ours.args[0])
    changes = {name: value for name, value in keywords.items() if value != _keywords(ours).get(name)}
    changed = _changed(words.call, {**gone, **changes}, None if same else _renamed(source, names))
    if changed is not None and around is not theirs:
        changed = ast.unparse(around).replace(ast.unparse(theirs), changed, 1)
    pair = _pair(words, changed, old, new, names)
    return pair and [
        f"{_renamed(head, names)}; {line}" if head else line for head, line in zip((first, then), pair, strict=True)
    ]


def _pair(
    words: OwnWords, changed: str | None, old: list[str], new: list[str], names: Mapping[str, str]
) -> list[str] | None:
    if changed is None:
        return None
    after = words.line.replace(words.call, changed, 1)
    pairs = zip((words.line, after), (old, new), strict=True)
    return ["  # ".join([line, *(_in_a_sentence(text, names) for text in comment)]) for line, comment in pairs]


def _guarded(code: str) -> tuple[ast.Call, ast.expr] | None:
    """The guarded call in an expression of a fix, and the expression; None if it is something else."""
    try:
        whole = ast.parse(code, mode="eval").body
    except SyntaxError:
        return None
    for node in ast.walk(whole):
        if isinstance(node, ast.Call) and CALL.match(ast.unparse(node)) and node.args:
            return node, whole
    return None


def _keywords(call: ast.Call) -> Mapping[str, str]:
    return {str(given.arg): ast.unparse(given.value) for given in call.keywords}


def _changed(call: str, keywords: Mapping[str, str | None], source: str | None) -> str | None:
    """The caller's call with other arguments; None if that cannot be done.

    Args:
        call: The call.
        keywords: Arguments and their values; those with None are left out.
        source: The first argument; None: as it is.
    """
    parsed: Any = ast.parse(call, mode="eval").body
    given = {**{part.arg: part for part in parsed.keywords}}
    for name, value in keywords.items():
        if value is None:
            given.pop(name, None)
        else:
            given[name] = ast.keyword(name, ast.parse(value, mode="eval").body)
    parsed.keywords = list(given.values())
    if source is not None:
        if not parsed.args:
            return None
        parsed.args[0] = ast.parse(source, mode="eval").body
    return ast.unparse(parsed)


def _names(remedy: str, words: OwnWords, kind: str) -> dict[str, str]:
    """Words of the catalogue → those of the caller."""
    pipeline = kind == "tf.data" or kind.startswith("Distributed") or kind.endswith(("MapDataset", "IterDataset"))
    of_source = {"arrays": ("x",), "batch": ("batch",), "DataLoader": ("loader",)}.get(kind, ())
    names = dict.fromkeys(("gen", "dataset", "ds") if pipeline else ("gen", *of_source), words.source)
    # If a fix has both names, `labels` is what was passed, and `y_true` is computed from it.
    code = "; ".join(line.partition("  # ")[0] for line in remedy.splitlines())
    both = re.search(r"(?<![\w.'\"])labels\b(?!=)", code) or "order of labels" in remedy
    names |= {"model": words.model, "labels" if both else "y_true": words.labels}
    return {word: own for word, own in names.items() if own and is_name(own)}


def _renamed(line: str, names: Mapping[str, str]) -> str:
    code, *comment = line.split("  # ", 1)
    for word, own in names.items():
        # Only names: no attributes, names of arguments or text in quotes.
        code = re.sub(rf"(?<![\w.'\"]){word}\b(?!=|['\"\w])", own, code)
    return "  # ".join([code, *(_in_a_sentence(text, names) for text in comment)])


def _in_a_sentence(text: str, names: Mapping[str, str]) -> str:
    """A comment with the caller's names; `labels`, `model` and others may be plain words there, unless code follows."""
    for word, own in names.items():
        behind = r"(?!=|['\"\w])" if word in {"x", "y_true", "gen", "ds"} else r"(?=[.\[(])"
        text = re.sub(rf"(?<![\w.'\"]){word}\b{behind}|(?<=order of ){word}\b", own, text)
    return text
