"""What an evaluation is about: which model, on which data, called from where. No verdict depends on it."""

from __future__ import annotations

import hashlib
import math
import re
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from evalguard.core.diagnosis.own_words import in_own_words
from evalguard.core.findings import Cause
from evalguard.core.own_errors import not_ours, swallow
from evalguard.core.report import Report
from evalguard.core.stages import stage
from evalguard.data.kinds import is_image_iterator
from evalguard.guards.call_line import Place, caller_place, own_words, shown_path

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
        entry: Where the entry begins.
        models: What each model that was called shows of itself, by its number.
        alive: Those that still exist.
        weights: Digest of the weights of each, after its first call that is judged when the entry ends.
        places: Where calls were made, by their line, the first one first.
        last: Where the last one was made.
    """

    origin: Origin = field(default_factory=Origin)
    entry: Place = field(default_factory=Place)
    models: dict[int, dict[str, Any]] = field(default_factory=dict)
    alive: weakref.WeakValueDictionary[int, Any] = field(default_factory=weakref.WeakValueDictionary)
    weights: dict[int, str] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    last: Place | None = None

    def call(self, *, again: bool = False) -> None:
        """Keep the line of a guarded call, which says more than the line of the entry.

        Args:
            again: Keep it for later calls, too. A call of one batch leaves it out, as finding the line takes time.
        """
        if "line" in self.origin.caller and (again or self.last is None):
            self.last = caller_place()
            if self.last.line:
                self.places.setdefault(self.last.line, self.last)

    def see(self, model: Any, number: int) -> None:
        """Read what is known of a model, after its first call: a subclassed model has no parameters before."""
        if number not in self.models:
            self.models[number] = model_facts(model)
            self.alive[number] = model

    def see_weights(self, number: int) -> None:
        """Read the weights after a call that is judged when the entry ends; only after the first one of each model."""
        if number not in self.weights:
            self.weights[number] = weights_digest(self.alive.get(number))

    def weights_digest(self, models: Iterable[int], *, at_end: bool) -> str:
        """The digest of the weights of these models; empty if it is not known of all of them.

        They are read now, when the report is made. If it is made when the entry ends, they must be those after the
        first call that waited for it: weights that changed in between are not known to be those that predicted. Weights
        that were changed and changed back are not noticed.

        Args:
            models: Their numbers.
            at_end: The calls waited for the end of the entry.
        """
        digests = {number: weights_digest(self.alive.get(number)) for number in models}
        if at_end and any(self.weights.get(number, digest) != digest for number, digest in digests.items()):
            return ""
        return ", ".join(digests.values()) if all(digests.values()) else ""

    def named(
        self, report: Report, models: Sequence[int] = (), place: str = "", line: str = "", weights: str = ""
    ) -> Report:
        """The report, with what it is about.

        Args:
            report: What was judged.
            models: Numbers of the models that were called.
            place: Where the data comes from, as its source shows.
            line: Where the call was made, if not by the last call.
            weights: Digest of their weights.
        """
        known = [self.models[number] for number in dict.fromkeys(models) if number in self.models]
        place = self.origin.place or place
        caller = self.origin.caller
        if "line" in caller:
            called = self.last.line if self.last is not None and len(report.calls) < 2 else next(iter(self.places), "")
            caller = {**caller, "line": line or called or caller["line"]}
        return replace(
            report,
            model={**_together(known), **({"weights_digest": weights} if weights else {}), **self.origin.model},
            caller=caller,
            diagnosis=in_words(
                report, self.places.get(caller.get("line", ""), Place(caller.get("line", ""))), self.entry
            ),
            source={**report.source, "place": place} if place else report.source,
        )


def in_words(report: Report, place: Place, entry: Place) -> tuple[Cause, ...]:
    """The causes of a report, with their fixes in the words of the caller; source code is read only for these.

    Args:
        report: What was judged.
        place: Where the call was made.
        entry: Where the labels were given.
    """
    if not report.diagnosis or not place.line:
        return report.diagnosis
    words = own_words(place, entry, report.method)
    # Labels from a file are named by the file, and collected labels are not in a variable.
    if "path" in report.labels or report.labels.get("name") != "labels":
        words = replace(words, labels="")
    return tuple(in_own_words(cause, words, str(report.source.get("kind", ""))) for cause in report.diagnosis)


def model_facts(model: Any) -> dict[str, Any]:
    """Name, class and number of parameters of a model; None for what is not known. The model is not built for this."""
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


def weights_digest(model: Any) -> str:
    """First 16 hexadecimal digits of a digest of a model's weights; empty if there are none, or they cannot be read.

    It is the SHA-256 over dtype, shape and content (XXH3, 128 bits) of each of
    ``model.weights``, in their order and without their names. Equal weights have
    the same digest in each Keras and backend, and after saving and loading.
    XXH3 of 100 MB takes 2 ms where SHA-256 takes 70 ms, but weights with a
    given XXH3 can be constructed: the digest is no signature.
    """
    sha, weights = hashlib.sha256(), tuple[Any, ...]()
    try:
        # The model's own code, and copies from its device.
        with not_ours(), stage(f"hashing the weights of {getattr(model, 'name', 'the model')}"):
            # A model that is not built has none yet, and tf_keras raises for it.
            weights = tuple(model.weights) if getattr(model, "built", False) is True else ()
            for weight in weights:
                array = np.asarray(weight.numpy())
                content = xxhash.xxh3_128_hexdigest(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
                sha.update(f"{array.dtype.name}|{(*map(int, array.shape),)}|{content}|".encode())
    except Exception as error:  # noqa: BLE001 - what a report names must not cost the user the predictions
        swallow(error)
        return ""
    return sha.hexdigest()[:16] if weights else ""


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
