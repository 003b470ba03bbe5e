"""Which logged model a registered version is: the registry does not say, its ``source`` does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# MLflow 3.17 keeps no model_id with a version of its own registry (store/model_registry/dbmodels/models.py).
LOGGED = re.compile(r"models:/(m-[0-9a-zA-Z]+)")
VERSION = re.compile(r"models:/([^/@]+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a registered version is made of.

    Attributes:
        names: What an evaluation may call it: ``models:/NAME/VERSION``, also of
            the versions that it is a copy of, and the logged model's id.
        model_id: The logged model; empty where it was registered from files.
        origin: The logged model, or else the files.
    """

    names: tuple[str, ...]
    model_id: str
    origin: str


def lineage(get_version: Callable[[str, str], Any], name: str, version: str) -> Lineage:
    """Follow a version to its logged model; a copy says which version it is a copy of.

    Args:
        get_version: ``MlflowClient.get_model_version``.
        name: Registered model.
        version: Number of the version.

    Raises:
        LookupError: ``get_version`` says so of this very version.
    """
    names: list[str] = []
    source = ""
    while True:
        try:
            found = get_version(name, version)
        except LookupError:
            if not names:
                raise
            # The original of a copy has been deleted.
            return Lineage(tuple(names), "", source)
        names.append(f"models:/{name}/{version}")
        source = str(found.source or "")
        logged, copied = LOGGED.fullmatch(source), VERSION.fullmatch(source)
        model_id = str(found.model_id or (logged[1] if logged else ""))
        if model_id:
            return Lineage((*names, model_id), model_id, model_id)
        if copied is None or source in names:
            return Lineage(tuple(names), "", source)
        name, version = copied[1], copied[2]
