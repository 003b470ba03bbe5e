"""The MLflow run of a step: an existing one, or a new one that the step creates and ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evalguard.core.policy import Verdict
from evalguard.errors import SinkError
from evalguard.step.config.sections import ModelUri
from evalguard.step.config.step_file import Step
from evalguard.tracking.client import new_client, redacted_uri
from evalguard.tracking.deadline import do_in_time, send_seconds
from evalguard.tracking.mlflow_sink import MlflowSink, mlflow_sink
from evalguard.tracking.signing import signing_key
from evalguard.tracking.target import absolute

T = TypeVar("T")


@dataclass(slots=True)
class MlflowRun:
    """Where the verdict is recorded.

    Attributes:
        sink: Writes to the run; None if nothing is recorded.
        problem: The error that prevents recording; empty if there is none.
        status: Final status of a run that the step created.
        name: Final name of such a run; empty to keep the name of the step.
    """

    sink: MlflowSink | None = None
    problem: str = ""
    status: str = "FAILED"
    name: str = ""

    def judged(self, name: str, verdict: Verdict) -> None:
        """Set final status and name of a run that the step created; MLflow's table of runs shows both by default."""
        self.status = "FAILED" if verdict is Verdict.FAIL else "FINISHED"
        self.name = f"{name}: {verdict}"


def store_of(step: Step, base: Path) -> str | None:
    """The store that a step file names, with an absolute path; None if it names none."""
    given = step.mlflow.tracking_uri
    return None if given is None else absolute(given, base)


def _run_of(step: Step, store: str | None) -> str | None:
    """Id of an existing run: that of the file, or that of ``mlflow run`` if it is in the same store; else None."""
    import mlflow

    if step.mlflow.run_id is not None:
        return step.mlflow.run_id
    same = store is None or store == absolute(mlflow.get_tracking_uri())
    return os.environ.get("MLFLOW_RUN_ID") if same else None


@contextlib.contextmanager
def recording(step: Step, store: str | None, base: Path) -> Iterator[MlflowRun]:
    """Yield the run to write to; a new run is always ended.

    A run of ``mlflow run`` (``MLFLOW_RUN_ID``) or of the file belongs to others.
    The verdict is written to it, and its status is not changed.
    """
    section = step.mlflow
    if not section.enabled:
        yield MlflowRun()
        return
    key = None if section.signing_key is None else base / section.signing_key
    # Before a run is made: a key that cannot be read is the user's error.
    signing_key(key)
    given = _run_of(step, store)
    if given:
        yield MlflowRun(mlflow_sink(given, model=_model(step), tracking_uri=store, signing_key=key))
        return
    import mlflow

    uri = absolute(store or mlflow.get_tracking_uri())
    try:
        client, run_id = _in_time(uri, lambda: _new_run(uri, step), "could not create a run")
    except SinkError as error:
        yield MlflowRun(problem=str(error))
        return
    sink = mlflow_sink(run_id, model=_model(step), tracking_uri=store, alone=True, signing_key=key)
    mlflow_run = MlflowRun(sink)
    try:
        yield mlflow_run
    except KeyboardInterrupt:
        mlflow_run.status = "KILLED"
        raise
    finally:
        # An error of the server is ignored, because it does not change the verdict.
        with contextlib.suppress(SinkError):
            _in_time(uri, lambda: end_run(client, run_id, mlflow_run), "could not end the run")


def end_run(client: Any, run_id: str, mlflow_run: MlflowRun) -> None:
    """End a run that the step created, under its final name."""
    if mlflow_run.name:
        client.update_run(run_id, name=mlflow_run.name)
    client.set_terminated(run_id, mlflow_run.status)


def _model(step: Step) -> str | None:
    """The model as a record names it; None for an alias or a run, which may refer to another model later."""
    uri = step.model.uri if isinstance(step.model, ModelUri) else ""
    name, _, version = uri.removeprefix("models:/").partition("/")
    fixed = uri.startswith("models:/") and (version.isdigit() or (name.startswith("m-") and not version))
    return uri if fixed else None


def _in_time(uri: str, work: Callable[[], T], failed: str) -> T:
    """Return the result of work for a store, waiting no longer than the deadline."""
    return do_in_time(uri, work, send_seconds(uri), failed, "; the verdict is not recorded there")


def _new_run(uri: str, step: Step) -> tuple[Any, str]:
    """A client of the store, and the id of a new run there."""
    client = new_client(uri)
    experiment = _experiment(client, step.mlflow.experiment)
    return client, client.create_run(experiment, run_name=step.name).info.run_id


def _experiment(client: Any, name: str | None) -> str:
    if name is None:
        named = os.environ.get("MLFLOW_EXPERIMENT_NAME")
        return os.environ.get("MLFLOW_EXPERIMENT_ID") or (_experiment(client, named) if named else "0")
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name))


def target_of(step: Step, store: str | None) -> str:
    """Where the verdict would be recorded, as text."""
    section = step.mlflow
    if not section.enabled:
        return "not in MLflow"
    import mlflow

    given = _run_of(step, store)
    run = (
        f"run {given}" if given else f"a new run of experiment {section.experiment or 'of the environment, or Default'}"
    )
    return f"{run} at {redacted_uri(store or mlflow.get_tracking_uri())}"
