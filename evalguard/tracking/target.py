"""Find the run and the logged model to which a verdict belongs."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalguard.errors import ConfigError
from evalguard.tracking.client import redacted_uri, sqlite_path
from evalguard.tracking.new_run import NewRun


@dataclass(frozen=True, slots=True)
class Target:
    """The run that receives the verdict, and its store.

    Attributes:
        tracking_uri: Tracking URI of the server or store.
        run_id: The run; empty for one that is to be created.
        model: Logged model or registered version that is evaluated, as
            ``m-…`` or ``models:/NAME/VERSION``; empty if it is not known.
        new_run: The run to be created, or that was created, for this one evaluation.
    """

    tracking_uri: str
    run_id: str
    model: str = ""
    new_run: NewRun | None = None


def find_run(option: str | bool, model: str | None = None, tracking_uri: str | None = None) -> Target | None:
    """The run to write to, or None. Call it on the user's thread, because active runs are thread-local.

    The first of these that exists: the given run id; the thread's active run, if
    MLflow is imported; ``MLFLOW_RUN_ID``, which is read but not removed.

    Args:
        option: ``auto`` or True, a run id, or False for no run.
        model: The model that is evaluated; if omitted, ``MLFLOW_ACTIVE_MODEL_ID``.
            MLflow's active model is not used, because any ``load_model`` may
            have set it.
        tracking_uri: The store of the run; if omitted, MLflow's own.

    Raises:
        ConfigError: ``model`` names no logged model and no version.
    """
    # The first model that is loaded becomes MLflow's active model, even that of a tokenizer (mlflow 3.17,
    # models/model.py, `_update_active_model_id_based_on_mlflow_model`). MLFLOW_RUN_ID is not removed, because the
    # user's `start_run` needs it (tracking/fluent.py).
    if option is False:
        return None
    active: Any = sys.modules.get("mlflow")
    # While another thread is importing mlflow, these functions do not exist yet, and no run can be active.
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
    return Target(absolute(tracking_uri), run_id, _evaluated(model))


def target_of_new_run(new_run: NewRun, model: str | None = None, tracking_uri: str | None = None) -> Target:
    """As ``find_run``, for a run that is created when the evaluation begins."""
    if tracking_uri is None:
        import mlflow

        tracking_uri = mlflow.get_tracking_uri()
    return Target(absolute(tracking_uri), "", _evaluated(model), new_run)


def _evaluated(model: str | None) -> str:
    return model_name(model or os.environ.get("MLFLOW_ACTIVE_MODEL_ID", ""))


def place_of(target: Target) -> str:
    """The address of the run's page, or the command that shows its store."""
    store = redacted_uri(target.tracking_uri)
    if store.startswith(("http://", "https://")):
        # The page of a run by its id alone is `/runs/:runUuid` (mlflow 3.17, server/js).
        return f"{store.rstrip('/')}/#/runs/{target.run_id}"
    return f"run {target.run_id}: mlflow ui --backend-store-uri {store}"


def absolute(tracking_uri: str, base: Path | None = None) -> str:
    """A tracking URI that does not depend on the current folder, because a record may be sent later from another one.

    Args:
        tracking_uri: Tracking URI of the store.
        base: Folder to which the path of an sqlite file is relative; if omitted, the current one.
    """
    # `sqlite:///mlflow.db`, MLflow's default, is relative to the folder of the process that opens it.
    path = sqlite_path(tracking_uri)
    if path is None or path.is_absolute() or str(path) in {"", ".", ":memory:"}:
        return tracking_uri
    # `sqlite_path` has unquoted the path and removed the options.
    quoted = str((base or Path.cwd()) / path).replace("%", "%25").replace("?", "%3F")
    _, mark, options = tracking_uri.partition("?")
    return f"sqlite:///{quoted}{mark}{options}"


def model_name(model: str) -> str:
    """The name of a model as ``m-…`` or ``models:/NAME/VERSION``; empty for an empty name.

    Raises:
        ConfigError: It is neither. An alias is not accepted, because it may be moved to another version.
    """
    name = model.removeprefix("models:/")
    if name == "" or re.fullmatch(r"m-[0-9a-zA-Z]+", name):
        return name
    if model.startswith("models:/") and re.fullmatch(r"[^/@]+/\d+", name):
        return model
    msg = f"model: expected a logged model (m-…) or models:/NAME/VERSION with a number; found {model[:80]!r}"
    raise ConfigError(msg)
