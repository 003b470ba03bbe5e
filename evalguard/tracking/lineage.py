"""Find the logged model of a registered version by its ``source``, because the registry does not store it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# With the open-source registry, `model_id` of a version is always empty, because `SqlModelVersion` has no column for it
# (mlflow 3.17, store/model_registry/dbmodels/models.py). `source` is `models:/m-…` after
# `log_model(registered_model_name=…)`.
LOGGED = re.compile(r"models:/(m-[0-9a-zA-Z]+)")
# `copy_model_version` writes the original as the source of the copy (store/model_registry/abstract_store.py).
VERSION = re.compile(r"models:/([^/@]+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Lineage:
    """The origin of a registered version.

    Attributes:
        names: The names under which an evaluation may record it: ``models:/NAME/VERSION``,
            that of each version of which it is a copy, and the logged model's id.
        model_id: Id of the logged model; empty if the version was registered from files.
        origin: Id of the logged model, or else the address of the files.
        run_ids: The runs that these versions were registered from.
    """

    names: tuple[str, ...]
    model_id: str
    origin: str
    run_ids: tuple[str, ...] = ()


def lineage(get_version: Callable[[str, str], Any], name: str, version: str) -> Lineage:
    """Follow a version to its logged model, through the versions of which it is a copy.

    Args:
        get_version: ``MlflowClient.get_model_version``, with ``LookupError`` if there is no such version.
        name: Name of the registered model.
        version: Number of the version.

    Raises:
        LookupError: ``get_version`` does not find the version itself.
    """
    names: list[str] = []
    run_ids: list[str] = []
    source = ""
    while True:
        try:
            found = get_version(name, version)
        except LookupError:
            if not names:
                raise
            # The original of a copy was deleted, which the registry allows. Evaluations may have named it.
            return Lineage((*names, f"models:/{name}/{version}"), "", source, tuple(run_ids))
        names.append(f"models:/{name}/{version}")
        run_ids += [str(found.run_id)] if found.run_id else []
        source = str(found.source or "")
        logged, copied = LOGGED.fullmatch(source), VERSION.fullmatch(source)
        model_id = str(found.model_id or (logged[1] if logged else ""))
        if model_id:
            return Lineage((*names, model_id), model_id, model_id, tuple(run_ids))
        # `create_model_version` accepts any text as `source`, so two versions may name each other.
        if copied is None or source in names:
            return Lineage(tuple(names), "", source, tuple(run_ids))
        name, version = copied[1], copied[2]
