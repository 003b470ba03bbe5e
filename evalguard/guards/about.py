"""What an evaluation is about: which model, on which data, called from where. Nothing of it decides a verdict."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evalguard.core.diagnosis.catalogue import at_line
from evalguard.core.own_errors import swallow
from evalguard.core.report import Report
from evalguard.data.kinds import is_image_iterator

# Packages between the caller's line and a guard. Those of threads, because a model's method may be what a thread runs.
BETWEEN = frozenset(
    {"evalguard", "keras", "tf_keras", "tensorflow", "mlflow", "contextlib", "threading", "concurrent", "asyncio"}
)
# Suffixes of files that hold a Keras model.
MODEL_FILES = frozenset({".keras", ".h5", ".hdf5"})


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known before anything is called.

    Attributes:
        model: ``path``, ``uri``, ``version``, ``digest`` or ``function``: where the model comes from.
        place: Folder or file that the data comes from.
        caller: ``step`` file and ``command``, or the ``line`` of the call.
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    caller: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class About:
    """What the reports of one entry name beside their verdict.

    Attributes:
        origin: What is known when the entry begins.
        models: What each model that was called shows of itself, by its number.
        called: Whether the line of the first call is known.
    """

    origin: Origin = field(default_factory=Origin)
    models: dict[int, dict[str, Any]] = field(default_factory=dict)
    called: bool = False

    def call(self) -> None:
        """A guarded call begins: the line of the first one says more than that of the entry."""
        if self.called:
            return
        self.called = True
        if "line" in self.origin.caller and (line := caller_line()):
            self.origin = replace(self.origin, caller={**self.origin.caller, "line": line})

    def see(self, model: Any, number: int) -> None:
        """Read what a model shows of itself, after its first call: a model of a subclass has no parameters before."""
        if number not in self.models:
            self.models[number] = model_facts(model)

    def named(self, report: Report, models: Sequence[int] = (), place: str = "") -> Report:
        """The report, with what it is about.

        Args:
            report: What was judged.
            models: Numbers of the models that were called.
            place: Where the data comes from, as its source shows.
        """
        known = [self.models[number] for number in dict.fromkeys(models) if number in self.models]
        place = self.origin.place or place
        line = self.origin.caller.get("line", "")
        return replace(
            report,
            model={**_together(known), **self.origin.model},
            caller=self.origin.caller,
            diagnosis=tuple(at_line(cause, line) for cause in report.diagnosis),
            source={**report.source, "place": place} if place else report.source,
        )


def model_facts(model: Any) -> dict[str, Any]:
    """Name, class and number of parameters of a model; what it does not show is None. It is not built for this."""
    kind = type(model)
    facts: dict[str, Any] = {"name": None, "class": kind.__qualname__, "parameters": None}
    if kind.__module__.partition(".")[0] not in {"keras", "tf_keras", "__main__"}:
        facts["class"] = f"{kind.__module__}.{kind.__qualname__}"
    try:
        name = getattr(model, "name", None)
        facts["name"] = str(name) if isinstance(name, str) and name else None
        # A model that is not built has none yet, and tf_keras raises for it.
        if getattr(model, "built", False) is True:
            facts["parameters"] = sum(math.prod(map(int, weight.shape)) for weight in model.weights)
    # Properties that a user's class overrides may raise anything.
    except Exception as error:  # noqa: BLE001
        swallow(error)
    return facts


def _together(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of several models as those of one: their names, their classes, and all parameters."""
    if len(models) < 2:
        return dict(models[0]) if models else {}
    sizes = [model["parameters"] for model in models]
    return {
        "name": ", ".join(str(model["name"]) for model in models if model["name"]) or None,
        "class": ", ".join(dict.fromkeys(model["class"] for model in models)),
        "parameters": None if None in sizes else sum(sizes),
    }


def of_uri(uri: str) -> dict[str, str]:
    """The address of a model in MLflow, and its registered version where that is a number."""
    if not uri:
        return {}
    version = re.fullmatch(r"models:/[^/@]+/(\d+)", uri)
    whole = uri if ":/" in uri else f"models:/{uri}"
    return {"uri": whole, **({"version": version[1]} if version else {})}


def of_files(files: Mapping[str, str], paths: Sequence[str | Path]) -> dict[str, str]:
    """The file of the model among those that are attested, if there is one, and its digest.

    Args:
        files: Name of each file → its SHA-256.
        paths: The files as the caller named them.
    """
    models = [path for path in paths if Path(path).suffix.lower() in MODEL_FILES]
    if len(models) != 1:
        return {}
    digest = files.get(Path(models[0]).name, "")
    return {"path": str(models[0]), **({"digest": digest} if digest else {})}


def place_of(source: Any) -> str:
    """Folder or file that a source reads; empty where it does not show one."""
    try:
        if isinstance(source, np.memmap) and source.filename is not None:
            return shown_path(str(source.filename))
        folder = getattr(source, "directory", None) if is_image_iterator(source) else None
        return str(folder) if isinstance(folder, (str, Path)) else ""
    except Exception as error:  # noqa: BLE001 - a source of the user's may raise anything, and nothing depends on it
        swallow(error)
        return ""


def caller_line() -> str:
    """``evaluate.py:12``: the innermost line outside evalguard and the frameworks; empty if there is none."""
    frame = inspect.currentframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in BETWEEN:
            return f"{shown_path(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def shown_path(file: str) -> str:
    """A path relative to the working directory, where it is below it; the name of the user's home is left out."""
    # IPython runs a cell from a temporary file, whose name says nothing.
    if "ipykernel_" in file or file.startswith("<ipython-input"):
        return "notebook cell"
    for base, instead in ((Path.cwd, Path()), (Path.home, Path("~"))):
        try:
            return str(instead / Path(file).relative_to(base()))
        # Another folder, no file at all (`<stdin>`), a working directory that was deleted, no home.
        except (ValueError, OSError, RuntimeError):
            continue
    return file
