"""The run and the logged model that a verdict belongs to."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalguard.errors import ConfigError
from evalguard.tracking.client import redacted_uri, sqlite_path


@dataclass(frozen=True, slots=True)
class Target:
    """The run that receives the verdict, and its store.

    Attributes:
        tracking_uri: Server or store.
        run_id: The run.
        model: Logged model or registered version that is evaluated, as
            ``m-…`` or ``models:/NAME/VERSION``; empty if unknown.
    """

    tracking_uri: str
    run_id: str
    model: str = ""


def find_run(option: str | bool, model: str | None = None, tracking_uri: str | None = None) -> Target | None:
    """The run to write to; must be called on the caller's thread, because active runs are thread-local.

    In this order: a given run id; the thread's active run, if MLflow is imported;
    ``MLFLOW_RUN_ID``, which is read but not removed; none.

    Args:
        option: ``auto``, a run id, or False for none.
        model: The model that is evaluated; by default ``MLFLOW_ACTIVE_MODEL_ID``.
            Not MLflow's active model, which any ``load_model`` may have set.
        tracking_uri: The store that the run is in; by default MLflow's own.

    Raises:
        ConfigError: ``model`` names no logged model and no version.
    """
    # mlflow 3.17, models/model.py, `_update_active_model_id_based_on_mlflow_model`: the first model that is loaded
    # becomes the active one, be it only the tokenizer's. tracking/fluent.py: `start_run` pops MLFLOW_RUN_ID, this must
    # not.
    if option is False:
        return None
    active: Any = sys.modules.get("mlflow")
    # While another thread is importing mlflow, the module has no such functions yet, and no run can be active.
    if not hasattr(active, "active_run") or not hasattr(active, "get_tracking_uri"):
        active = None
    run_id = None if option in {"auto", True} else str(option)
    if run_id is None and active is not None:
        run = active.active_run()
        run_id = run.info.run_id if run is not None else None
    run_id = run_id or os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return None
    if tracking_uri is None:
        if active is None:
            import mlflow as active
        tracking_uri = active.get_tracking_uri()
    return Target(absolute(tracking_uri), run_id, model_name(model or os.environ.get("MLFLOW_ACTIVE_MODEL_ID", "")))


def place_of(target: Target) -> str:
    """Where a person finds the run: its page, or the command that shows the store."""
    store = redacted_uri(target.tracking_uri)
    if store.startswith(("http://", "https://")):
        # mlflow 3.17, server/js: the page of a run by its id alone is `/runs/:runUuid`.
        return f"{store.rstrip('/')}/#/runs/{target.run_id}"
    return f"run {target.run_id}: mlflow ui --backend-store-uri {store}"


def absolute(tracking_uri: str, base: Path | None = None) -> str:
    """The same store, independent of the current folder: a record may be sent later, from another one.

    Args:
        tracking_uri: The store.
        base: Folder that the path of an sqlite file is relative to; by default the current one.
    """
    # `sqlite:///mlflow.db`, MLflow's default, is relative to the folder of the process that opens it.
    path = sqlite_path(tracking_uri)
    if path is None or path.is_absolute() or str(path) in {"", ".", ":memory:"}:
        return tracking_uri
    return f"sqlite:///{(base or Path.cwd()) / path}"


def model_name(model: str) -> str:
    """``m-…`` or ``models:/NAME/VERSION``.

    Raises:
        ConfigError: It is neither; an alias is not accepted, because it may be moved to another version.
    """
    name = model.removeprefix("models:/")
    if name == "" or re.fullmatch(r"m-[0-9a-zA-Z]+", name):
        return name
    if model.startswith("models:/") and re.fullmatch(r"[^/@]+/\d+", name):
        return model
    msg = f"model: expected a logged model (m-…) or models:/NAME/VERSION with a number; found {model[:80]!r}"
    raise ConfigError(msg)
