"""Import and call the ``module:function`` entries of a step file."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalguard.core.shown_keys import error_text
from evalguard.errors import ConfigError
from evalguard.step.config.sections import Call


def import_function(name: str, where: str) -> Any:
    """The object that ``module:function`` names.

    Raises:
        ConfigError: The module or function does not exist, or importing it failed.
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
        msg = f"{where}: importing {module_name} raised {error_text(error)}"
        raise ConfigError(msg) from error
    if not callable(target):
        msg = f"{where}: expected a function, found {name} of type {type(target).__name__}"
        raise ConfigError(msg)
    return target


def call_function(named: Call, where: str) -> Any:
    """The return value of the named function.

    Raises:
        ConfigError: The function does not exist, or it raised.
    """
    function = import_function(named.call, f"{where}.call")
    try:
        return function(**named.args)
    except Exception as error:
        msg = f"{where}.call: {named.call}(**{named.args}) raised {error_text(error)}"
        raise ConfigError(msg) from error


def import_by_name(given: Sequence[str] | Mapping[str, str] | None, where: str) -> dict[str, Any]:
    """Objects by name. An entry ``module:name`` of a list gets the last part of its name.

    Raises:
        ConfigError: The module or name does not exist, or two entries of a list have the same name.
    """
    if isinstance(given, Mapping):
        return {name: import_function(each, where) for name, each in given.items()}
    named: dict[str, Any] = {}
    for each in given or ():
        name = each.rpartition(":")[2].rpartition(".")[2]
        if name in named:
            msg = f"{where}: expected each name once, found {name!r} again; use a mapping to give them different names"
            raise ConfigError(msg)
        named[name] = import_function(each, where)
    return named


@contextlib.contextmanager
def importable(base: Path) -> Iterator[None]:
    """During the block, find modules in the current folder, the file's folder and the one above it, too."""
    added = [str(path) for path in (Path.cwd(), base, base.parent) if str(path) not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        for path in added:
            if path in sys.path:
                sys.path.remove(path)
