"""``module:function`` of a step file: found, and called."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalguard.errors import ConfigError
from evalguard.step.config import Call


def found(name: str, where: str) -> Any:
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


def called(named: Call, where: str) -> Any:
    """What the named function gives.

    Raises:
        ConfigError: There is no such function, or it raised.
    """
    function = found(named.call, f"{where}.call")
    try:
        return function(**named.args)
    except Exception as error:
        msg = f"{where}.call: {named.call}(**{named.args}) raised {type(error).__name__}: {error}"
        raise ConfigError(msg) from error


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
