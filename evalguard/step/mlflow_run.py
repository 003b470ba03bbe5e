"""The MLflow run of a step: an existing one, or a new one that is created for the step."""

from __future__ import annotations

import os
from pathlib import Path

from evalguard.step.config.sections import ModelUri
from evalguard.step.config.step_file import Step
from evalguard.tracking.client import redacted_uri
from evalguard.tracking.mlflow_sink import MlflowSink
from evalguard.tracking.new_run import planned
from evalguard.tracking.target import Target, absolute, find_run, target_of_new_run


def store_of(step: Step, base: Path) -> str | None:
    """The store that a step file names, with an absolute path; None if it names none."""
    given = step.mlflow.tracking_uri
    return None if given is None else absolute(given, base)


def target_of(step: Step, base: Path) -> Target | None:
    """Where the verdict is recorded: an existing run, or one to be created; None if it is not recorded in MLflow.

    A run of ``mlflow run`` (``MLFLOW_RUN_ID``) or of the file belongs to others.
    The verdict is written to it, and its status is not changed.
    """
    section, store = step.mlflow, store_of(step, base)
    if not section.enabled:
        return None
    given = _run_of(step, store)
    if given:
        return find_run(given, _model(step), store)
    return target_of_new_run(planned(step.name, section.experiment), _model(step), store)


def sink_of(step: Step, base: Path) -> MlflowSink | None:
    """The sink for ``target_of``.

    Raises:
        ConfigError: The signing key cannot be read.
    """
    target = target_of(step, base)
    return None if target is None else MlflowSink(target, signing_key=key_of(step, base))


def key_of(step: Step, base: Path) -> Path | None:
    """The file of the signing key that a step file names."""
    return None if step.mlflow.signing_key is None else base / step.mlflow.signing_key


def _run_of(step: Step, store: str | None) -> str | None:
    """Id of an existing run: that of the file, or that of ``mlflow run`` if it is in the same store; else None."""
    import mlflow

    if step.mlflow.run_id is not None:
        return step.mlflow.run_id
    same = store is None or store == absolute(mlflow.get_tracking_uri())
    return os.environ.get("MLFLOW_RUN_ID") if same else None


def _model(step: Step) -> str | None:
    """The model as a record names it; None for an alias or a run, which may refer to another model later."""
    uri = step.model.uri if isinstance(step.model, ModelUri) else ""
    name, _, version = uri.removeprefix("models:/").partition("/")
    fixed = uri.startswith("models:/") and (version.isdigit() or (name.startswith("m-") and not version))
    return uri if fixed else None


def shown(target: Target | None) -> str:
    """Where the verdict would be recorded, as text."""
    if target is None:
        return "not in MLflow"
    new = target.new_run
    where = (
        f"a new run of experiment {new.experiment or f'with id {new.experiment_id}'}" if new else f"run {target.run_id}"
    )
    return f"{where} at {redacted_uri(target.tracking_uri)}"
