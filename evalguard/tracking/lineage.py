"""Which logged model a registered version is: its ``source`` shows it, the registry itself does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# mlflow 3.17, store/model_registry/dbmodels/models.py: `SqlModelVersion` has no column for `model_id`, so the entity's
# is always empty with the open-source registry. `source` is `models:/m-…` after `log_model(registered_model_name=…)`.
LOGGED = re.compile(r"models:/(m-[0-9a-zA-Z]+)")
# `copy_model_version` writes the original as the source of the copy (store/model_registry/abstract_store.py).
VERSION = re.compile(r"models:/([^/@]+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a registered version is made of.

    Attributes:
        names: The names under which an evaluation may record it: ``models:/NAME/VERSION``,
            the same of each version that it is a copy of, and the logged model's id.
        model_id: The logged model; empty if the version was registered from files.
        origin: The logged model, or else the files.
    """

    names: tuple[str, ...]
    model_id: str
    origin: str


def lineage(get_version: Callable[[str, str], Any], name: str, version: str) -> Lineage:
    """Follow a version to its logged model, through the versions that it is a copy of.

    Args:
        get_version: ``MlflowClient.get_model_version``.
        name: Registered model.
        version: Number of the version.

    Raises:
        LookupError: ``get_version`` does not find the version itself.
    """
    names: list[str] = []
    source = ""
    while True:
        try:
            found = get_version(name, version)
        except LookupError:
            if not names:
                raise
            # The original of a copy was deleted, which the registry allows: the names so far still identify the
            # version.
            return Lineage(tuple(names), "", source)
        names.append(f"models:/{name}/{version}")
        source = str(found.source or "")
        logged, copied = LOGGED.fullmatch(source), VERSION.fullmatch(source)
        model_id = str(found.model_id or (logged[1] if logged else ""))
        if model_id:
            return Lineage((*names, model_id), model_id, model_id)
        # `source` is free text for `create_model_version`: two versions may name each other.
        if copied is None or source in names:
            return Lineage(tuple(names), "", source)
        name, version = copied[1], copied[2]
