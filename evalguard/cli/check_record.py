"""Where ``evalguard check`` records its verdict in MLflow."""

from __future__ import annotations

import os
import time

from evalguard.core.report import Report
from evalguard.errors import ConfigError, SinkError
from evalguard.reporting.sink import Artifacts, Sink
from evalguard.tracking.mlflow_sink import MlflowSink, mlflow_sink
from evalguard.tracking.new_run import planned
from evalguard.tracking.target import target_of_new_run

AUTO, NONE = "auto", "none"
# Without this variable, MLflow's client prints the address of each run that it ends.
QUIET = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
HELP = (
    "auto: the run of MLFLOW_RUN_ID, or else a new run in the experiment of MLFLOW_EXPERIMENT_NAME or "
    "MLFLOW_EXPERIMENT_ID; if none of them is set, nothing is recorded. A run id: that run. none: nothing is recorded. "
    "MLFLOW_TRACKING_URI names the server, and alone asks for no run."
)


def check_sink(option: str, experiment: str | None, name: str) -> MlflowSink | None:
    """The sink for the verdict on two tables; None if it is not recorded.

    Args:
        option: ``auto``, ``none`` or a run id.
        experiment: Name of the experiment for a new run.
        name: Name of the evaluation, and of a new run.

    Raises:
        ConfigError: Both a run and an experiment are named, or a key cannot be read.
    """
    if experiment is not None and option != AUTO:
        msg = f"--mlflow-experiment: expected `--mlflow auto` beside it, for a new run; found `--mlflow {option}`"
        raise ConfigError(msg)
    if experiment is not None and not experiment.strip():
        msg = "--mlflow-experiment: expected a name, found an empty text; is a variable not set?"
        raise ConfigError(msg)
    if not option.strip():
        msg = "--mlflow: expected auto, none or a run id, found an empty text; is a variable not set?"
        raise ConfigError(msg)
    if option == NONE:
        return None
    if experiment is None and (option != AUTO or os.environ.get("MLFLOW_RUN_ID")):
        return mlflow_sink(option)
    if experiment is None and not any(os.environ.get(f"MLFLOW_EXPERIMENT_{part}") for part in ("ID", "NAME")):
        return None
    return MlflowSink(target_of_new_run(planned(name, experiment)))


def record(sink: Sink, report: Report, artifacts: Artifacts) -> str:
    """Write a report; return why it could not be written, or an empty text."""
    begun, start = "", time.monotonic()
    # Not before the tables are read and judged: a column with a typing error makes no run, and marks none.
    try:
        sink.begin(report.name)
    except SinkError as error:
        begun = str(error)
        # Both together wait no longer than one of them may.
        if isinstance(sink, MlflowSink):
            sink.timeout_s = max(0.5, sink.timeout_s - (time.monotonic() - start))
    try:
        sink.write(report, artifacts)
    except SinkError as error:
        return str(error)
    # A run that has the verdict needs no PENDING mark; a folder may still hold earlier reports.
    return "" if isinstance(sink, MlflowSink) else begun
