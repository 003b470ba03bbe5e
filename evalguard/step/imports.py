"""``module:function`` of a step file: found, and called."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalguard.errors import ConfigError
from evalguard.step.config.sections import Call


def import_function(name: str, where: str) -> Any:
    """What ``module:function`` names.

    Raises:
        ConfigError: There is no such module or function, or importing it failed.
    """
    module_name, _, function_name = name.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        msg = f"{where}: expected an importable {name!r}, found: {error} (searched from {Path.cwd()})"
        raise ConfigError(msg) from error
    except Exception as error:
        msg = f"{where}: importing {module_name} raised {type(error).__name__}: {error}"
        raise ConfigError(msg) from error
    if not callable(target):
        msg = f"{where}: expected a function, found that {name} is {type(target).__name__}"
        raise ConfigError(msg)
    return target


def call_function(named: Call, where: str) -> Any:
    """What the named function gives.

    Raises:
        ConfigError: There is no such function, or it raised.
    """
    function = import_function(named.call, f"{where}.call")
    try:
        return function(**named.args)
    except Exception as error:
        msg = f"{where}.call: {named.call}(**{named.args}) raised {type(error).__name__}: {error}"
        raise ConfigError(msg) from error


def import_by_name(given: Sequence[str] | Mapping[str, str] | None, where: str) -> dict[str, Any]:
    """Name → what ``module:name`` names; one of a list is called by the last part of its name.

    Raises:
        ConfigError: There is no such module or name, or two of a list are called the same.
    """
    if isinstance(given, Mapping):
        return {name: import_function(each, where) for name, each in given.items()}
    named: dict[str, Any] = {}
    for each in given or ():
        name = each.rpartition(":")[2].rpartition(".")[2]
        if name in named:
            msg = f"{where}: expected each name once, found {name!r} again; a mapping of names tells them apart"
            raise ConfigError(msg)
        named[name] = import_function(each, where)
    return named


@contextlib.contextmanager
def importable(base: Path) -> Iterator[None]:
    """The current folder, the file's folder and the one above it are searched for modules."""
    added = [str(path) for path in (Path.cwd(), base, base.parent) if str(path) not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        for path in added:
            if path in sys.path:
                sys.path.remove(path)
