"""Versions of the software that took part, and the caller's own frame."""

import sys
import types
import warnings
from typing import Any

import pytest

from evalguard.guards.environment import stacklevel, versions


def test_only_imported_software_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    found = versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["evalguard"]
    assert "mlflow" not in found


@pytest.mark.parametrize(("attributes", "expected"), [({"__version__": "9.8"}, "9.8"), ({}, "2.0")])
def test_a_module_without_a_version_is_asked_by_its_metadata(monkeypatch, attributes, expected):
    module = types.ModuleType("tf_keras")
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, "tf_keras", module)
    monkeypatch.setattr("importlib.metadata.version", lambda name: {"tf_keras": "2.0"}[name])
    assert versions()["tf_keras"] == expected


def test_a_warning_points_at_the_first_line_outside_evalguard():
    namespace: dict[str, Any] = {"__name__": "evalguard.inside", "warnings": warnings, "stacklevel": stacklevel}
    exec("def inner():\n    warnings.warn('x', stacklevel=stacklevel())\ndef outer():\n    inner()", namespace)  # noqa: S102
    with pytest.warns(UserWarning, match="x") as caught:
        namespace["outer"]()
    assert caught[0].filename == __file__
