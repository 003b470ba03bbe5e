"""What a report says of each cause: its name and the fix, from causes.toml.

The fix is two lines, before and after, in the terms of the kind of source that was
used. An array has no ``shuffle=``, a loop no ``steps``, a ``DataLoader`` no
``batch``: a fix must not name what the source does not have.
"""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause
from evalguard.core.plural import plural

# The beginning of a cause that is not known.
UNKNOWN_CAUSE = "cause unknown, pattern: "
# The code of `python -c "..."`, and what a shell changes inside such quotes.
IN_A_SHELL = re.compile(r'python -c "(.*)"(?=$|  # )')
SPECIAL = re.compile(r'["$`\\]')
# The names that pandas has for table formats other than CSV.
READERS = {".parquet": "parquet", ".jsonl": "json", ".arrow": "feather", ".feather": "feather"}
# Of these, pandas reads text as numbers if it can.
READS_NUMBERS = frozenset({"csv", "json"})
# What leaves samples out of a pipeline, where its own calls are not known.
DROPPING = ".filter(...)  # or .ignore_errors()"
# The method that creates an image iterator has another name than the class.
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


class FixNumber(int):
    """A number in a text of causes.toml: ``{n:,}`` is grouped, ``{n:row}`` has its noun, ``{n}`` is code."""

    def __format__(self, form: str) -> str:
        return plural(self, form) if form.isalpha() else int(self).__format__(form)


def remedy(view: View, *tables: str, **values: object) -> str:
    """The fix for this kind of source, from the first of the tables that has one for it."""
    fixes = map(_fixes, tables)
    kinds = list(view.kinds)
    if is_image_iterator(view):
        kinds.insert(kinds.index(view.kind), "images")
    before, after = next(fix[kind] for fix in fixes for kind in kinds if kind in fix)
    known = {"name": view.name, "called": view.called, "call": _Call(view), "n": view.n, "batch": view.batch}
    known |= {"once": view.call(view.name, steps=None), "alone": view.call(view.name, workers=1)}
    known["factory"] = factory(view)
    given = given_labels(view)
    known |= {"given": given, "table": "labels" if given == "y_true" else given}
    known |= {"column": view.labels.origin.key_column or "id", "labels_file": shlex.quote(view.labels.name)}
    known |= {"label": shlex.quote(str(view.labels.origin.column or "label"))}
    known |= {"of": "indices" if view.labels.keys is None else "keys"}
    known |= {"read_labels": read_labels(view), **view.labels.origin.terms}
    reference = "checks.reference" if known.get("in") == "step" else "reference=x_test"
    # Where a reference was given, another one shows no more.
    asked = view.labels.fingerprints is None
    known["or_reference"] = f"; {reference} shows which of the two is wrong" if asked else ""
    known["too"] = "" if asked else "; reference= in the same order, too"
    known |= {"workers": view.facts.get("workers"), "steps": view.facts.get("steps"), **values}
    known |= {name: FixNumber(value) for name, value in known.items() if isinstance(value, (int, np.integer))}
    before, after = (line.format(**known) for line in (before, after))
    if (written := view.labels.origin.written) is not None:
        before, after = written(before, False), written(after, True)
    return f"before: {_for_a_shell(before)}\nafter:  {_for_a_shell(after)}"


def _fixes(table: str) -> dict[str, Any]:
    """Kind of source → the fix of a table, or of the one that it is like."""
    text = texts()[table]
    return {**(_fixes(text["like"]) if "like" in text else {}), **text.get("fix", {})}


def _for_a_shell(line: str) -> str:
    """A line of ``python -c`` that a shell passes on as it is, with the libraries that its code names."""
    code = IN_A_SHELL.search(line)
    if code is None:
        return line
    text = code[1].replace("import pandas", "import numpy as np, pandas") if "np." in code[1] else code[1]
    quoted = shlex.quote(text) if SPECIAL.search(text) else f'"{text}"'
    return f"{line[: code.start(1) - 1]}{quoted}{line[code.end(1) + 1 :]}"


def cause(
    view: View, name: str, *, certain: bool, evidence: str, fixes: tuple[str, ...] = (), **values: object
) -> Cause:
    """A diagnosis: the table of this name, with the fix of other tables if they are given."""
    text = texts()[name]
    fix = remedy(view, *(fixes or (name,)), **values)
    return Cause(text["cause"].format(**values), certain, evidence, fix, text.get("reproduced", ""))


def given_labels(view: View) -> str:
    """The labels as code: the file name if they came from a file, else ``y_true``."""
    name = view.labels.name
    return repr(name) if "." in name else "y_true"


def read_labels(view: View) -> str:
    """The labels as rows in code: ``y_true``, or how their file is read."""
    name = view.labels.name
    return reader(name) if Path(name).suffix.lower() in {".npy", ".csv", *READERS} else given_labels(view)


def reader(name: str, column: str = "", text: str = "") -> str:
    """How a file of rows is read in code.

    Args:
        name: Its name.
        column: What the rows of an array are named in a table; empty: it stays an array.
        text: A column that pandas must not read as numbers.
    """
    suffix = Path(name).suffix.lower()
    if suffix == ".npy":
        return f"pd.DataFrame({{{column!r}: list(np.load({name!r}))}})" if column else f"np.load({name!r})"
    options = ", lines=True" if suffix == ".jsonl" else ""
    if text and READERS.get(suffix, "csv") in READS_NUMBERS:
        options += f", dtype={{{text!r}: str}}"
    return f"pd.read_{READERS.get(suffix, 'csv')}({name!r}{options})"


def factory(view: View) -> str:
    """The call that creates the source: ``Images``, ``DataLoader``, ``flow_from_directory``."""
    return "DataLoader" if view.is_loader else ITERATOR_FACTORIES.get(view.source.type_name, view.name)


def is_image_iterator(view: View) -> bool:
    """Whether the source is an image iterator of Keras, by its class; it knows the file of each row."""
    return view.kind == "pydataset" and view.source.type_name in ITERATOR_FACTORIES
