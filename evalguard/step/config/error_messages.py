"""Error messages for a step file: file, line, key path, expected, found, and the nearest valid name."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from evalguard.core.plural import plural
from evalguard.core.policy import listed, nearest
from evalguard.step.config.yaml_file import COMMAND_LINE, KeyPath, Lines, dotted, line_of

ONE_OF = "one_of"
Location = tuple[Path, Lines, Any, KeyPath]


def error_text(error: ValidationError, kind: type[BaseModel], value: Any, location: Location) -> str:
    """All errors of one validation, one line for each key path; errors of a union's branches are joined.

    Args:
        error: The errors that pydantic found.
        kind: The pydantic class with which ``value`` was validated.
        value: The content of the file, or of one evaluation with the shared sections.
        location: Path of the file, its lines, its content, and the key path of ``value``.
    """
    by_path: dict[KeyPath, list[str]] = {}
    for item in error.errors(include_url=False):
        at = _in_file(item["loc"], value, missing=item["type"] == "missing")
        message = _message(item, at, kind, value)
        if message not in by_path.setdefault(at, []):
            by_path[at].append(message)
    return "\n".join(f"{_where(at, location)}: {_join_messages(message)}" for at, message in by_path.items())


def _join_messages(messages: list[str]) -> str:
    """One message; if the branches of a union differ only in the expected type, it names all types."""
    if len(messages) == 1:
        return messages[0]
    # An unknown or missing key is more specific than the wrong branch of a union.
    telling = [text for text in messages if not text.startswith("expected")]
    expected = ", or ".join(text.partition(";")[0] for text in messages)
    return telling[0] if telling else f"{expected};{messages[0].partition(';')[2]}"


def _where(at: KeyPath, location: Location) -> str:
    path, lines, data, within = location
    # The evaluation's own key if it has one, otherwise the shared key that was merged into it.
    full = (*within, *at) if within and (_has(data, (*within, *at[:1])) or not _has(data, at[:1])) else at
    line = line_of(full, lines)
    return f"{path}, {'--set' if line == COMMAND_LINE else f'line {line}'}, {dotted(full)}"


def _has(data: Any, at: KeyPath) -> bool:
    for part in at:
        if isinstance(data, list):
            data = dict(enumerate(data))
        if not isinstance(data, Mapping) or part not in data:
            return False
        data = data[part]
    return True


def _in_file(loc: tuple[str | int, ...], value: Any, *, missing: bool) -> KeyPath:
    """The key path in the file; pydantic's path also names branches of unions, which are not in the file."""
    at: list[str | int] = []
    for number, part in enumerate(loc):
        if _has(value, (*at, part)) or (missing and number == len(loc) - 1):
            at.append(part)
    return tuple(at)


def _message(item: Any, at: KeyPath, kind: type[BaseModel], value: Any) -> str:
    found, what = item.get("input"), item["type"]
    if what == "extra_forbidden":
        names = _allowed(kind, at[:-1], value)
        return f"unknown key.{nearest(at[-1], names)} Known here: {listed(names, at[-1])}."
    if what == "missing":
        return "this key is needed"
    if what == ONE_OF:
        return _one_of(str(item["msg"]).split(", "), found)
    if what == "literal_error":
        expected = item["ctx"]["expected"]
        words = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
        return f"expected {expected}; found {_shown(found)}.{nearest(found, words)}"
    if what == "string_pattern_mismatch" and "models|runs" in item["ctx"]["pattern"]:
        return f"expected models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/PATH; found {_shown(found)}"
    if what == "string_pattern_mismatch" and "databricks" in item["ctx"]["pattern"]:
        return f"expected the URI of a store, as https://HOST or sqlite:///FILE; found {_shown(found)}"
    if what == "string_pattern_mismatch" and ":" in item["ctx"]["pattern"]:
        return f"expected module:function; found {_shown(found)}"
    if what == "string_pattern_mismatch" and "/" in item["ctx"]["pattern"]:
        return f"expected a fraction such as 1/255; found {_shown(found)}"
    if what in {"too_short", "too_long"}:
        bound = item["ctx"].get("min_length", item["ctx"].get("max_length"))
        limit = f"{'at least' if what == 'too_short' else 'at most'} {plural(bound, 'item')}"
        return f"expected {limit}; found {_shown(found)}"
    text = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if what == "value_error":
        return text
    # Pydantic's message without class names.
    plain = "a mapping" if text.startswith("a valid dictionary") else text[:1].lower() + text[1:]
    return f"expected {plain}; found {_shown(found)}"


def _shown(found: Any) -> str:
    if isinstance(found, Mapping):
        return f"a mapping with {', '.join(map(str, found)) or 'nothing in it'}"[:80]
    return repr(found)[:60]


def _one_of(names: list[str], found: Any) -> str:
    if not isinstance(found, Mapping):
        return f"expected a mapping with one of {', '.join(names)}; found {_shown(found)}"
    given = [name for name in names if name in found]
    if given:
        return f"expected one of {', '.join(names)}; found {' and '.join(given)}"
    hint = next((near for key in found if (near := nearest(key, names))), "")
    return f"expected one of {', '.join(names)}; found {', '.join(map(str, found)) or 'none'}.{hint}"


def _allowed(kind: type[BaseModel], at: KeyPath, value: Any) -> list[str]:
    """Keys that a mapping at this path may have."""
    options: list[Any] = [kind]
    for part in at:
        if not isinstance(value, (Mapping, list)) or not _has(value, (part,)):
            return []
        options = [below for option in options for below in _below(option, part)]
        value = value[part]  # type: ignore[index]
    names = [
        [field.alias or name for name, field in model.model_fields.items()] for model in options if _is_model(model)
    ]
    # Those of the kind that has the most keys in common with the value.
    fitting = sorted(names, key=lambda group: -sum(name in value for name in group))
    return (fitting or names or [[]])[0]


def _below(option: Any, part: str | int) -> Iterator[Any]:
    if _is_model(option):
        fields = {field.alias or name: field for name, field in option.model_fields.items()}
        if part in fields:
            yield from _flat(fields[part].annotation)
        return
    arguments = get_args(option)
    if arguments:
        yield from _flat(arguments[-1])


def _flat(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, without their annotations."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _flat(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _flat(member)
    else:
        yield annotation


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)
