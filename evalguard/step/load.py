"""A YAML file as plain data with line numbers; nothing in it is executed or imported."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from evalguard.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_ALIASES = 50
MAX_DEPTH = 20
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")

KeyPath = tuple[str | int, ...]
Lines = dict[KeyPath, int]


class _StrictLoader(yaml.SafeLoader):
    """Safe, and strict about what YAML lets pass: repeated keys and many aliases."""

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Count aliases: a file of nested ones unfolds to billions of nodes."""
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_ALIASES:
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                msg = f"line {mark.line + 1}: more than {MAX_ALIASES} aliases"
                raise ConfigError(msg)
        return super().compose_node(parent, index)


def load(path: Path) -> tuple[dict[str, Any], Lines]:
    """The file's mapping, variables filled in, and the line of each key path.

    Raises:
        ConfigError: The file is missing, too large, no YAML mapping, uses a
            tag, repeats a key, or names an unset variable.
    """
    if not path.is_file():
        msg = f"{path}: expected a step file, found none there"
        raise ConfigError(msg)
    size = path.stat().st_size
    if size > MAX_BYTES:
        msg = f"{path}: expected at most {MAX_BYTES:,} bytes, found {size:,}"
        raise ConfigError(msg)
    try:
        text = path.read_text(encoding="utf-8")
        node = _StrictLoader(text).get_single_node()
        lines: Lines = {}
        data = _plain(node, (), lines, path) if node is not None else None
    except UnicodeDecodeError as error:
        msg = f"{path}: expected UTF-8 text, found: {error}"
        raise ConfigError(msg) from error
    except RecursionError as error:
        msg = f"{path}: nested too deeply"
        raise ConfigError(msg) from error
    except ConfigError as error:
        if str(error).startswith(str(path)):
            raise
        msg = f"{path}, {error}"
        raise ConfigError(msg) from error
    except yaml.YAMLError as error:
        msg = f"{path}: expected YAML, found: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    if not isinstance(data, dict):
        msg = f"{path}: expected a mapping with version, model, data and labels, found {type(data).__name__}"
        raise ConfigError(msg)
    return data, lines


def _plain(node: yaml.Node, at: KeyPath, lines: Lines, path: Path) -> Any:
    lines[at] = node.start_mark.line + 1
    if len(at) > MAX_DEPTH:
        msg = f"line {lines[at]}: nested more than {MAX_DEPTH} deep"
        raise ConfigError(msg)
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
        msg = f"line {lines[at]}, {dotted(at)}: expected plain YAML, found the tag {node.tag[:60]!r}"
        raise ConfigError(msg)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, lines, path)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*at, number), lines, path) for number, item in enumerate(node.value)]
    value = _StrictLoader("").construct_object(node)
    return _filled(value, at, lines) if isinstance(value, str) else value


def _mapping(node: yaml.MappingNode, at: KeyPath, lines: Lines, path: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _StrictLoader("").construct_object(key_node)
        line = key_node.start_mark.line + 1
        if not isinstance(key, Hashable) or not isinstance(key, str):
            msg = f"line {line}: expected a name as key, found {key!r}"
            raise ConfigError(msg)
        if key in result:
            msg = f"line {line}: the key {dotted((*at, key))} stands there a second time"
            raise ConfigError(msg)
        result[key] = _plain(value_node, (*at, key), lines, path)
        lines[*at, key] = line
    return result


def _filled(text: str, at: KeyPath, lines: Lines) -> str:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match["name"], match["default"])
        if found is None:
            msg = (
                f"line {lines[at]}, {dotted(at)}: the variable {match['name']} is not set; "
                f"set it, or give a default: ${{{match['name']}:-value}}"
            )
            raise ConfigError(msg)
        return found

    return _VARIABLE.sub(value, text)


def dotted(at: KeyPath) -> str:
    """``checks.require`` for ``("checks", "require")``."""
    return ".".join(str(part) for part in at) or "the file"


def line_of(at: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    """Line of a key path, or of the nearest key above it."""
    while at and at not in lines:
        at = at[:-1]
    return lines.get(at, 1)
