"""Whether a verdict could be recorded, asked before anything is predicted. Nothing is created or written."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from evalguard.errors import SinkError
from evalguard.tracking.answers import obstacle
from evalguard.tracking.client import is_permanent_error, new_client, sqlite_path
from evalguard.tracking.deadline import do_in_time, send_seconds
from evalguard.tracking.target import Target

ABSENT = "does not exist yet; the first run creates it"


def not_answering(tracking_uri: str) -> str:
    """Why a server or store does not answer; empty if it does, or if it is an sqlite file that can be created."""
    return _problem(tracking_uri, "does not answer", lambda client: client.search_experiments(max_results=1))


def not_recordable(target: Target) -> str:
    """Why a verdict could not be recorded there; empty if nothing speaks against it.

    A permission to read only is not noticed: MLflow has no question for it.
    """
    return _problem(target.tracking_uri, "could not record a verdict", lambda client: _refuse(client, target))


def is_absent(tracking_uri: str) -> bool:
    """Whether it is an sqlite file that does not exist yet; MLflow's client would create it."""
    path = sqlite_path(tracking_uri)
    return path is not None and not path.exists()


def _problem(tracking_uri: str, failed: str, ask: Callable[[Any], object]) -> str:
    path = sqlite_path(tracking_uri)
    if path is not None and not os.access(path if path.exists() else path.parent, os.W_OK):
        return f"expected a store that can be written at {path}, found none; check its folder and its permissions"
    if is_absent(tracking_uri):
        return ""

    def work() -> None:
        # One attempt first: the client would repeat its request until the deadline.
        if why := obstacle(tracking_uri):
            raise SinkError(why)
        ask(new_client(tracking_uri))

    try:
        do_in_time(tracking_uri, work, send_seconds(tracking_uri), failed, "")
    except SinkError as error:
        return str(error)
    return ""


def _refuse(client: Any, target: Target) -> None:
    """Check the run, or the experiment of the new run.

    Raises:
        SinkError: It does not exist, or was deleted. An experiment with a name is created if it does not exist.
    """
    new = target.new_run
    ask: Callable[[], Any]
    if new is None:
        what, ask = f"run {target.run_id}", lambda: client.get_run(target.run_id).info
    elif new.experiment:
        what, ask = f"experiment {new.experiment!r}", lambda: client.get_experiment_by_name(new.experiment)
    else:
        what, ask = f"experiment with id {new.experiment_id}", lambda: client.get_experiment(new.experiment_id)
    try:
        found = ask()
    except Exception as error:
        if not is_permanent_error(error):
            raise
        msg = f"expected an existing {what}, found none there; check its id and MLFLOW_TRACKING_URI"
        raise SinkError(msg) from error
    if found is not None and found.lifecycle_stage != "active":
        msg = f"expected an active {what}, found that it was deleted; restore it, or name another one"
        raise SinkError(msg)
