"""Read step files: apply ``--set``, merge the shared sections into each evaluation, validate."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalguard.errors import ConfigError
from evalguard.step.config import yaml_file
from evalguard.step.config.error_messages import error_text
from evalguard.step.config.step_file import MAY_BE_EMPTY, Step, StepFile
from evalguard.step.config.unions import Kind
from evalguard.step.config.yaml_file import KeyPath, Lines

# An evaluation replaces these sections as a whole; in other sections it replaces single keys.
WHOLE = {"name", "model", "data", "labels", "metrics", "confirm"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that the command line adds to a file.

    Attributes:
        values: Texts ``KEY.PATH=VALUE``, applied to the file before it is checked.
        variables: Values of ``${NAME}``; they take precedence over the environment.
    """

    values: Sequence[str] = ()
    variables: Mapping[str, str] | None = None


def read_all(path: Path, settings: Settings | None = None) -> tuple[Step, ...]:
    """The evaluations in a file.

    Raises:
        ConfigError: The file is wrong; the message has one line for each
            error, with file, line and key path.
    """
    settings = settings or Settings()
    data, lines = yaml_file.load(path, {**os.environ, **(settings.variables or {})})
    for text in settings.values:
        _set(data, lines, text)
    _validated(StepFile, data, data, lines, path, ())
    _refuse_empty(data, (), lines, path)
    entries = data.get("evaluations") or [None]
    steps = [_step(data, number if entry is not None else None, lines, path) for number, entry in enumerate(entries)]
    _refuse_equal_names(steps, lines, path)
    return tuple(steps)


def _step(data: dict[str, Any], number: int | None, lines: Lines, path: Path) -> Step:
    shared = {name: value for name, value in data.items() if name != "evaluations"}
    if number is None:
        return _validated(Step, shared, data, lines, path, ()).placed(_places(shared, (), lines, path))
    own = data["evaluations"][number]
    _refuse_empty(own, ("evaluations", number), lines, path)
    merged = {**shared, "name": f"{shared.get('name', 'evaluation')}-{number + 1}", **_merged(shared, own)}
    places = {**_places(shared, (), lines, path), **_places(own, ("evaluations", number), lines, path)}
    step = _validated(Step, merged, data, lines, path, ("evaluations", number)).placed(places)
    if step.outputs.directory is None:
        return step
    folder = str(Path(step.outputs.directory) / _folder_name(step.name))
    return step.model_copy(update={"outputs": step.outputs.model_copy(update={"directory": folder})})


def _places(sections: Mapping[str, Any], within: KeyPath, lines: Lines, path: Path) -> dict[str, str]:
    """File and line of each section; a section from the command line has none."""
    found = {name: lines.get((*within, name), yaml_file.COMMAND_LINE) for name in sections}
    return {name: f"{path.name}:{line}" for name, line in found.items() if line != yaml_file.COMMAND_LINE}


def _refuse_empty(sections: Mapping[str, Any], within: KeyPath, lines: Lines, path: Path) -> None:
    empty = next((name for name, value in sections.items() if value is None and name not in MAY_BE_EMPTY), None)
    if empty is not None:
        at = (*within, empty)
        where = f"{path}, line {yaml_file.line_of(at, lines)}, {yaml_file.dotted(at)}"
        msg = f"{where}: expected a value, found nothing; give a value, or remove the key"
        raise ConfigError(msg)


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    in_part = {
        name for name in own.keys() - WHOLE if isinstance(own[name], dict) and isinstance(shared.get(name), dict)
    }
    return {name: {**shared[name], **value} if name in in_part else value for name, value in own.items()}


def _folder_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".") or "evaluation"


def _refuse_equal_names(steps: Sequence[Step], lines: Lines, path: Path) -> None:
    seen: dict[str, int] = {}
    for number, step in enumerate(steps):
        first = seen.setdefault(_folder_name(step.name).lower(), number)
        if first != number:
            at = ("evaluations", number, "name")
            where = f"{path}, line {yaml_file.line_of(at, lines)}, {yaml_file.dotted(at)}"
            msg = f"{where}: expected a different name for each evaluation, found {step.name!r} again"
            raise ConfigError(msg)


def _validated(kind: type[Kind], value: Any, data: Any, lines: Lines, path: Path, within: KeyPath) -> Kind:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ConfigError(error_text(error, kind, value, (path, lines, data, within))) from error


def _set(data: dict[str, Any], lines: Lines, text: str) -> None:
    """Apply a value of the command line to the shared part and to every evaluation that has the section.

    Raises:
        ConfigError: The text is not of the form ``KEY.PATH=VALUE``, or a part of the path is not a mapping.
    """
    name, equals, given = text.partition("=")
    at: KeyPath = tuple(int(part) if part.isdigit() else part for part in name.strip().split("."))
    if not equals or not all(str(part) for part in at):
        msg = f"--set {text[:60]}: expected KEY.PATH=VALUE, as in checks.require=identity"
        raise ConfigError(msg)
    try:
        value = yaml_file.parse_value(given)
    except ConfigError as error:
        msg = f"--set {text[:60]}: {error}"
        raise ConfigError(msg) from error
    evaluations = data.get("evaluations")
    own = [
        number
        for number, entry in enumerate(evaluations if isinstance(evaluations, list) else ())
        if at[0] != "evaluations" and isinstance(entry, dict) and at[0] in entry
    ]
    for number in own:
        _put(data, lines, ("evaluations", number, *at), copy.deepcopy(value), text)
    if at[0] in data or not own:
        _put(data, lines, at, value, text)


def _put(data: Any, lines: Lines, at: KeyPath, value: Any, text: str) -> None:
    target = data
    for depth, part in enumerate(at[:-1]):
        if isinstance(target, dict):
            if target.get(str(part)) is None:
                target[str(part)] = {}
            target = target[str(part)]
        elif isinstance(target, list) and isinstance(part, int) and part < len(target):
            target = target[part]
        else:
            target = None
        if not isinstance(target, (dict, list)):
            msg = f"--set {text[:60]}: expected a mapping at {yaml_file.dotted(at[: depth + 1])}, found none"
            raise ConfigError(msg)
    last = at[-1]
    if isinstance(target, list):
        if not isinstance(last, int) or last >= len(target):
            msg = f"--set {text[:60]}: expected an index below {len(target):,} at the end of the path, found {last!r}"
            raise ConfigError(msg)
        target[last] = value
    else:
        target[str(last)] = value
    lines[at] = yaml_file.COMMAND_LINE
