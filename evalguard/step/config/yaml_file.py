"""Read a YAML file as plain data with line numbers; nothing in it is executed or imported."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from evalguard.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_ALIASES = 50
MAX_DEPTH = 20
# The line number of a value from the command line.
COMMAND_LINE = 0
_PAIR = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<value>.*)")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")

# YAML types that the value of a variable may become; any other value stays text.
_PLAIN_TYPES = (bool, int, float, type(None))

KeyPath = tuple[str | int, ...]
Lines = dict[KeyPath, int]
Variables = Mapping[str, str]


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that also rejects repeated keys and many aliases, which YAML allows."""

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Count aliases, because a few nested aliases can expand to billions of nodes."""
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_ALIASES:
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                msg = f"line {mark.line + 1}: expected at most {MAX_ALIASES} aliases, found more"
                raise ConfigError(msg)
        return super().compose_node(parent, index)


def load(path: Path, variables: Variables | None = None) -> tuple[dict[str, Any], Lines]:
    """The file's mapping with the values of its variables, and the line of each key path.

    Args:
        path: The file.
        variables: Values of ``${NAME}``; if omitted, the environment.

    Raises:
        ConfigError: The file is missing, too large or not a YAML mapping, uses
            a tag, repeats a key, or names a variable that is not set.
    """
    text = _read(path)
    lines: Lines = {}
    try:
        node = _StrictLoader(text).get_single_node()
        filled = _Filler(os.environ if variables is None else variables)
        data = _plain(node, (), lines, filled) if node is not None else None
    except RecursionError as error:
        msg = f"{path}: expected at most {MAX_DEPTH} levels of nesting, found more"
        raise ConfigError(msg) from error
    except ConfigError as error:
        msg = f"{path}, {error}"
        raise ConfigError(msg) from error
    except yaml.YAMLError as error:
        msg = f"{path}: expected YAML, found: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    if not isinstance(data, dict):
        msg = f"{path}: expected a mapping with version, model, data and labels, found {type(data).__name__}"
        raise ConfigError(msg)
    return data, lines


def _read(path: Path) -> str:
    if not path.is_file():
        msg = f"{path}: expected a step file, found none there; evalguard init PATH... writes one"
        raise ConfigError(msg)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            msg = f"{path}: expected at most {MAX_BYTES:,} bytes, found {size:,}"
            raise ConfigError(msg)
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        msg = f"{path}: expected UTF-8 text, found: {error}"
        raise ConfigError(msg) from error


def parse_value(text: str) -> Any:
    """Parse a value as in a step file: ``3``, ``true``, ``[8, 8]``, ``identity``.

    Raises:
        ConfigError: The text is not plain YAML.
    """
    try:
        node = _StrictLoader(text).get_single_node()
        return _plain(node, (), {}, _Filler({})) if node is not None else None
    except (yaml.YAMLError, RecursionError) as error:
        msg = f"expected a YAML value, found {text[:60]!r}"
        raise ConfigError(msg) from error


def read_variables(path: Path) -> dict[str, str]:
    """Read the ``NAME=value`` lines of a file; blank lines and lines that begin with ``#`` are skipped.

    Raises:
        ConfigError: The file is missing, or a line is not such a pair.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _PAIR.fullmatch(text)
        if match is None:
            msg = f"{path}, line {number}: expected NAME=value"
            raise ConfigError(msg)
        value = match["value"].strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[match["name"]] = value[1:-1] if quoted else value
    return found


def _plain(node: yaml.Node, at: KeyPath, lines: Lines, filled: _Filler) -> Any:
    lines[at] = node.start_mark.line + 1
    if len(at) > MAX_DEPTH:
        msg = f"line {lines[at]}: expected at most {MAX_DEPTH} levels of nesting, found more"
        raise ConfigError(msg)
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
        msg = f"line {lines[at]}, {dotted(at)}: expected plain YAML, found the tag {node.tag[:60]!r}"
        raise ConfigError(msg)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, lines, filled)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*at, number), lines, filled) for number, item in enumerate(node.value)]
    value = _constructed(node)
    return filled(node, value, at, lines[at]) if isinstance(value, str) else value


def _constructed(node: yaml.Node) -> Any:
    try:
        return _StrictLoader("").construct_object(node)
    except ValueError as error:  # an impossible date, a number that is too long
        msg = f"line {node.start_mark.line + 1}: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error


def _mapping(node: yaml.MappingNode, at: KeyPath, lines: Lines, filled: _Filler) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _constructed(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            msg = f"line {line}: expected a name as key, found {str(key_node.value)[:60]!r}; put it in quotes"
            raise ConfigError(msg)
        if key in result:
            msg = f"line {line}: expected the key {dotted((*at, key))} once, found it again"
            raise ConfigError(msg)
        result[key] = _plain(value_node, (*at, key), lines, filled)
        lines[*at, key] = line
    return result


class _Filler:
    """Replaces variables in text."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables

    def __call__(self, node: yaml.Node, text: str, at: KeyPath, line: int) -> Any:
        """The text with its variables replaced; an unquoted ``${N}`` whose value is a number becomes that number."""

        def value(match: re.Match[str]) -> str:
            found = self._variables.get(match["name"], match["default"])
            if found is None:
                msg = (
                    f"line {line}, {dotted(at)}: the variable {match['name']} is not set; "
                    f"set it, or give a default: ${{{match['name']}:-value}}"
                )
                raise ConfigError(msg)
            return found

        result = _VARIABLE.sub(value, text)
        if result == text or getattr(node, "style", None) is not None:
            return result
        return _typed(result)


def _typed(text: str) -> Any:
    """A text as YAML would read it if that is a number, true, false or null; otherwise the text."""
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    try:
        value = _StrictLoader("").construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, yaml.YAMLError):
        return text
    return value if isinstance(value, _PLAIN_TYPES) else text


def dotted(at: KeyPath) -> str:
    """A key path as text: ``checks.require`` for ``("checks", "require")``."""
    return ".".join(str(part) for part in at) or "the file"


def line_of(at: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    """Line of a key path, or of the nearest key above it."""
    while at and at not in lines:
        at = at[:-1]
    return lines.get(at, 1)
