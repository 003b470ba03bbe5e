"""What a report says of each cause: its name and the fix, from causes.toml.

The fix is two lines, before and after, in the terms of the kind of source that was
used. An array has no ``shuffle=``, a loop no ``steps``, a ``DataLoader`` no
``batch``: a fix must not name what the source does not have.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause

# What reports a cause unknown begins with.
UNKNOWN_CAUSE = "cause unknown, pattern: "
# A guarded call in a fix.
CALL = re.compile(r"\bmodel(\.\w+)?\(")
# Image iterators are made by a method of another name.
ITERATOR_FACTORIES = {
    "DirectoryIterator": "flow_from_directory",
    "DataFrameIterator": "flow_from_dataframe",
    "NumpyArrayIterator": "flow",
}


@functools.cache
def texts() -> dict[str, Any]:
    """The tables of causes.toml, by name."""
    import tomllib

    return tomllib.loads(Path(__file__).with_name("causes.toml").read_text(encoding="utf-8"))


class _Call:
    """``{call:gen}`` in a text: the guarded call with ``gen`` as its source."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __format__(self, source: str) -> str:
        return self._view.call(source)


def remedy(view: View, *tables: str, **values: object) -> str:
    """The fix for this kind of source, from the first of the tables that has one for it."""
    fixes = (texts()[table]["fix"] for table in tables)
    kinds = list(view.kinds)
    if is_image_iterator(view):
        kinds.insert(kinds.index(view.kind), "images")
    before, after = next(fix[kind] for fix in fixes for kind in kinds if kind in fix)
    known = {"name": view.name, "called": view.called, "call": _Call(view), "n": view.n, "batch": view.batch}
    known |= {"once": view.call(view.name, steps=None), "factory": factory(view)}
    known |= {"column": view.labels.origin.key_column or "id", "given": given_labels(view), **view.labels.origin.terms}
    known |= {"workers": view.facts.get("workers"), "steps": view.facts.get("steps")}
    return f"before: {before}\nafter:  {after}".format(**{**known, **values})


def cause(
    view: View, name: str, *, certain: bool, evidence: str, fixes: tuple[str, ...] = (), **values: object
) -> Cause:
    """A diagnosis: the table of this name, with the fix of other tables if they are given."""
    text = texts()[name]
    fix = remedy(view, *(fixes or (name,)), **values)
    return Cause(text["cause"].format(**values), certain, evidence, fix, text.get("reproduced", ""))


def at_line(found: Cause, line: str) -> Cause:
    """The cause, with the line of the user's call behind the call that its fix shows: ``evaluate.py:12``."""
    before, newline, after = found.remedy.partition("\n")
    if CALL.search(before) is None or not line.partition(":")[0].endswith(".py") or line in before:
        return found
    behind = "; " if "  # " in before else "  # "
    return replace(found, remedy=f"{before}{behind}{line}{newline}{after}")


def given_labels(view: View) -> str:
    """The labels as code: the file name if they came from a file, else ``y_true``."""
    name = view.labels.name
    return repr(name) if "." in name else "y_true"


def read_labels(view: View) -> str:
    """The labels as rows in code: ``y_true``, or how their file is read."""
    name = view.labels.name
    suffix = Path(name).suffix.lower()
    readers = {".npy": "np.load", ".parquet": "pd.read_parquet", ".csv": "pd.read_csv"}
    return f"{readers[suffix]}({name!r})" if suffix in readers else given_labels(view)


def factory(view: View) -> str:
    """The call that creates the source: ``Images``, ``DataLoader``, ``flow_from_directory``."""
    return "DataLoader" if view.is_loader else ITERATOR_FACTORIES.get(view.source.type_name, view.name)


def is_image_iterator(view: View) -> bool:
    """Whether the source is an image iterator of Keras, by its class; it knows the file of each row."""
    return view.kind == "pydataset" and view.source.type_name in ITERATOR_FACTORIES
