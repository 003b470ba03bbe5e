"""A run that evalguard creates for one evaluation: it is made once, although it may be asked for several times."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from evalguard.errors import SinkError
from evalguard.tracking.slots import ERROR, FOLDER

NONCE_TAG = f"{FOLDER}.nonce"


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be created, as far as it is known before a server answers.

    Attributes:
        name: Name of the run while it is running; its final name ends with the verdict.
        experiment: Name of its experiment, which is created if there is none; if empty, ``experiment_id`` counts.
        experiment_id: Id of its experiment.
        status: Final status; empty while it is running.
        began_at_ms: Its start, milliseconds since the epoch.
        nonce: Value of its tag ``NONCE_TAG``, by which a second attempt finds the run of the first one.
    """

    name: str
    experiment: str = ""
    experiment_id: str = "0"
    status: str = ""
    began_at_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)


def planned(name: str, experiment: str | None = None) -> NewRun:
    """A new run in the experiment of this name; without a name, in that of the environment, or in the default one."""
    if experiment:
        return NewRun(name, experiment)
    given = os.environ.get("MLFLOW_EXPERIMENT_ID")
    return NewRun(name, "" if given else os.environ.get("MLFLOW_EXPERIMENT_NAME", ""), given or "0")


def made(client: Any, new_run: NewRun) -> str:
    """Create the run, unless an earlier attempt has created it; return its id.

    Raises:
        SinkError: The server answers as if it had created the run, and does not have it.
    """
    experiment_id = _experiment_id(client, new_run)
    if (found := _found(client, new_run, experiment_id)) is not None:
        return found
    tags = {NONCE_TAG: new_run.nonce}
    client.create_run(experiment_id, start_time=new_run.began_at_ms, run_name=new_run.name, tags=tags)
    # Searched once more: MLflow repeats a request whose answer was lost, and another process may have sent the same
    # record meanwhile.
    if (found := _found(client, new_run, experiment_id)) is None:
        msg = "expected the run that was just created, found none: another service than MLflow answers"
        raise SinkError(msg)
    return found


def _experiment_id(client: Any, new_run: NewRun) -> str:
    if not new_run.experiment:
        return new_run.experiment_id
    found = client.get_experiment_by_name(new_run.experiment)
    if found is None:
        try:
            return str(client.create_experiment(new_run.experiment))
        except Exception:
            found = client.get_experiment_by_name(new_run.experiment)
            # Otherwise another process has created it in between.
            if found is None:
                raise
    return str(found.experiment_id)


def _found(client: Any, new_run: NewRun, experiment_id: str) -> str | None:
    """The run with this nonce, or None; further ones, which hold no verdict, are deleted."""
    from mlflow.entities import ViewType

    text = f"tags.`{NONCE_TAG}` = '{new_run.nonce}'"
    # Deleted ones, too: what a user has deleted is not created again.
    runs = client.search_runs([experiment_id], filter_string=text, run_view_type=ViewType.ALL)
    if not runs:
        return None
    # Every process must choose the same one: an active one, then one that holds a verdict.
    active = [run for run in runs if run.info.lifecycle_stage == "active"]
    first, *others = sorted(active or runs, key=lambda run: (f"{FOLDER}.verdict" not in run.data.tags, run.info.run_id))
    for run in others:
        if active and f"{FOLDER}.verdict" not in run.data.tags:
            client.delete_run(run.info.run_id)
    return str(first.info.run_id)


def end(client: Any, run_id: str, new_run: NewRun, at_ms: int) -> None:
    """End the run with its final status and name; MLflow's table of runs shows both by default.

    Args:
        client: Client of the store.
        run_id: The run, which holds its verdicts.
        new_run: With the final status as far as the last verdict decides it.
        at_ms: When, milliseconds since the epoch.
    """
    run = client.get_run(run_id)
    # The worst of several verdicts.
    shown, name = run.data.tags.get(f"{FOLDER}.verdict", ERROR), run.info.run_name
    final = new_run.name if shown == ERROR else f"{new_run.name}: {shown}"
    # A name that a user has given meanwhile stays: a record may arrive late.
    if name != final and (name == new_run.name or name.startswith(f"{new_run.name}: ")):
        client.update_run(run_id, name=final)
    failed = shown in {"FAIL", ERROR} and new_run.status == "FINISHED"
    client.set_terminated(run_id, "FAILED" if failed else new_run.status, at_ms)
