"""The MLflow run of a step: an existing one, or a new one that the step terminates."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalguard.errors import SinkError
from evalguard.step.config.sections import ModelUri
from evalguard.step.config.step_file import Step
from evalguard.tracking.client import new_client, redacted_uri, sqlite_path
from evalguard.tracking.deadline import do_in_time, send_seconds
from evalguard.tracking.mlflow_sink import MlflowSink, mlflow_sink
from evalguard.tracking.target import absolute


@dataclass(slots=True)
class MlflowRun:
    """Where the verdict is recorded.

    Attributes:
        sink: Writes to the run; None if nothing is recorded.
        problem: The error that prevents recording; empty if there is none.
        status: Final status of a run that the step created.
    """

    sink: MlflowSink | None = None
    problem: str = ""
    status: str = "FAILED"


def store_of(step: Step, base: Path) -> str | None:
    """The store that a step file names, with its path relative to the file; None if it names none."""
    given = step.mlflow.tracking_uri
    path = sqlite_path(given) if given is not None else None
    if path is None or path.is_absolute() or str(path) in {"", ".", ":memory:"}:
        return given
    return f"sqlite:///{base / path}"


def _run_of(step: Step, store: str | None) -> str | None:
    """An existing run: that of the file, or that of ``mlflow run``, which is in the store of the environment."""
    import mlflow

    if step.mlflow.run_id is not None:
        return step.mlflow.run_id
    same = store is None or store == absolute(mlflow.get_tracking_uri())
    return os.environ.get("MLFLOW_RUN_ID") if same else None


@contextlib.contextmanager
def recording(step: Step, store: str | None) -> Iterator[MlflowRun]:
    """A new run if none is named; it is always terminated.

    A run of ``mlflow run`` (``MLFLOW_RUN_ID``) or of the file is somebody
    else's: it is written to and its status left alone.
    """
    section = step.mlflow
    if not section.enabled:
        yield MlflowRun()
        return
    given = _run_of(step, store)
    if given:
        yield MlflowRun(mlflow_sink(given, model=_model(step), tracking_uri=store))
        return
    run = _OwnRun(step, store)
    try:
        run_id = run.create()
    except SinkError as error:
        yield MlflowRun(problem=str(error))
        return
    mlflow_run = MlflowRun(mlflow_sink(run_id, model=_model(step), tracking_uri=store))
    try:
        yield mlflow_run
    except KeyboardInterrupt:
        mlflow_run.status = "KILLED"
        raise
    finally:
        run.end(mlflow_run.status)


def _model(step: Step) -> str | None:
    """The model as a record names it; empty for an alias or a run, which may refer to another model later."""
    uri = step.model.uri if isinstance(step.model, ModelUri) else ""
    name, _, version = uri.removeprefix("models:/").partition("/")
    fixed = uri.startswith("models:/") and (version.isdigit() or (name.startswith("m-") and not version))
    return uri if fixed else None


class _OwnRun:
    """A run for one evaluation. No call waits for the server longer than the deadline."""

    def __init__(self, step: Step, store: str | None) -> None:
        import mlflow

        self._step = step
        self._uri = absolute(store or mlflow.get_tracking_uri())
        self._client: Any = None
        self._run_id = ""

    def create(self) -> str:
        """Create the run.

        Raises:
            SinkError: The store did not do it, or not in time.
        """
        self._do(self._create, "could not make a run")
        return self._run_id

    def _create(self) -> None:
        self._client = new_client(self._uri)
        experiment = _experiment(self._client, self._step.mlflow.experiment)
        self._run_id = self._client.create_run(experiment, run_name=self._step.name).info.run_id

    def end(self, status: str) -> None:
        """Terminate the run; an error of the server is ignored, because the verdict is decided."""
        with contextlib.suppress(SinkError):
            self._do(lambda: self._client.set_terminated(self._run_id, status), "could not end the run")

    def _do(self, work: Any, failed: str) -> None:
        do_in_time(self._uri, work, send_seconds(self._uri), failed, "; the verdict is not recorded there")


def _experiment(client: Any, name: str | None) -> str:
    if name is None:
        named = os.environ.get("MLFLOW_EXPERIMENT_NAME")
        return os.environ.get("MLFLOW_EXPERIMENT_ID") or (_experiment(client, named) if named else "0")
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name))


def target_of(step: Step, store: str | None) -> str:
    """Where the verdict would be recorded, in words."""
    section = step.mlflow
    if not section.enabled:
        return "not in MLflow"
    import mlflow

    given = _run_of(step, store)
    run = (
        f"run {given}" if given else f"a new run of experiment {section.experiment or 'of the environment, or Default'}"
    )
    return f"{run} at {redacted_uri(store or mlflow.get_tracking_uri())}"
