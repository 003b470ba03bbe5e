"""Run a step: load what it names, guard the prediction, say how it ended in an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.errors import AlignmentError, ConfigError, LabelsError
from evalguard.guard import guard
from evalguard.labels import Labels
from evalguard.step.config import Call, Step, read


class Exit(IntEnum):
    """Exit codes of the command line."""

    GOOD = 0
    FAIL = 1
    USAGE = 2
    NOT_JUDGED = 3
    NOT_LOGGED = 4


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended.

    Attributes:
        code: Exit code.
        report: The last report, where there is one.
        message: What to tell where there is no report, or beside it.
    """

    code: Exit
    report: Report | None
    message: str = ""


def exit_code(report: Report) -> Exit:
    """The exit code of a verdict."""
    if report.verdict is Verdict.FAIL:
        return Exit.FAIL
    return Exit.NOT_JUDGED if report.verdict is Verdict.UNPROVEN else Exit.GOOD


def run(path: Path) -> Result:
    """Run a step file.

    Raises:
        ConfigError: The file, or something it names, cannot be used.
        LabelsError: The labels cannot be used.
    """
    step = read(path)
    base = path.resolve().parent
    labels = Labels.read(base / step.labels.path, label=step.labels.label, key=step.labels.key)
    with _importable(base):
        model, data = _model(step, base), _called(step.data, "data")
        reference = _reference(step, base)
        with _mlflow_run(step) as run_id:
            return _evaluate(step, base, model, data, labels, reference, run_id)


def _evaluate(
    step: Step, base: Path, model: Any, data: Any, labels: Labels, reference: Any, run_id: str | None
) -> Result:
    checks = step.checks.model_dump(exclude={"reference"})
    output = base / step.outputs.directory if step.outputs.directory else None
    mlflow: Any = run_id if run_id is not None else ("auto" if step.mlflow.enabled else False)
    judged = [path for path in (step.model.path, step.labels.path) if path is not None and (base / path).is_file()]
    files = [base / path for path in judged]
    g = guard(
        labels=labels,
        reference=reference,
        name=step.name,
        mlflow=mlflow,
        output=output,
        files=files,
        model=model,
        **checks,
    )
    arguments = {name: value for name, value in step.predict.model_dump().items() if value is not None}
    try:
        with g:
            model.predict(data, **arguments)
    except AlignmentError:
        pass
    except (ConfigError, LabelsError):
        raise
    except Exception as error:  # noqa: BLE001 - the evaluation is the user's code; how it ended is an exit code
        trace = "".join(traceback.format_exception(error))
        return Result(
            Exit.NOT_JUDGED, None, f"{trace}\nthe evaluation itself raised {type(error).__name__}; no verdict"
        )
    not_logged = step.mlflow.required and (g.sink_errors or not step.mlflow.enabled)
    told = "\n".join(str(error) for error in g.sink_errors)
    return Result(Exit.NOT_LOGGED if not_logged else exit_code(g.report), g.report, told)


def _model(step: Step, base: Path) -> Any:
    if step.model.call is not None:
        return _called(Call(call=step.model.call, args=step.model.args), "model")
    path = base / str(step.model.path)
    if not path.exists():
        msg = f"model.path: expected a model at {path}, found none there"
        raise ConfigError(msg)
    import keras

    try:
        return keras.saving.load_model(path)
    except (ValueError, OSError, TypeError) as error:
        msg = f"model.path: {path} could not be loaded by Keras {keras.__version__}: {error}"
        raise ConfigError(msg) from error


def _called(named: Call, where: str) -> Any:
    """What the named function gives.

    Raises:
        ConfigError: There is no such module or function, or it raised.
    """
    module_name, _, function_name = named.call.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        msg = f"{where}.call: expected an importable {named.call!r}, found: {error} (searched from {Path.cwd()})"
        raise ConfigError(msg) from error
    try:
        return target(**named.args)
    except Exception as error:
        msg = f"{where}.call: {named.call}(**{named.args}) raised {type(error).__name__}: {error}"
        raise ConfigError(msg) from error


def _reference(step: Step, base: Path) -> Any:
    given = step.checks.reference
    if isinstance(given, Call):
        return _called(given, "checks.reference")
    if given is None:
        return None
    path = base / given
    if not path.is_file():
        msg = f"checks.reference: expected a .npy, .npz or manifest file at {path}, found none there"
        raise ConfigError(msg)
    if path.suffix == ".parquet":
        return path
    import numpy as np

    loaded = np.load(path, allow_pickle=False)
    if path.suffix == ".npy":
        return loaded
    arrays = dict(loaded)
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


@contextlib.contextmanager
def _importable(base: Path) -> Iterator[None]:
    """The current folder, the file's folder and the one above it are searched for modules."""
    added = [str(path) for path in (Path.cwd(), base, base.parent) if str(path) not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        for path in added:
            sys.path.remove(path)


@contextlib.contextmanager
def _mlflow_run(step: Step) -> Iterator[str | None]:
    """A run of our own where none is named; it is always terminated.

    A run of ``mlflow run`` (``MLFLOW_RUN_ID``) or of the file is somebody
    else's: it is written to and its status left alone.
    """
    section = step.mlflow
    if not section.enabled or section.run_id or os.environ.get("MLFLOW_RUN_ID"):
        yield section.run_id if section.enabled else None
        return
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    run_id, status = (
        client.create_run(_experiment(client, section.experiment), run_name=step.name).info.run_id,
        "FAILED",
    )
    try:
        yield run_id
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


def _experiment(client: Any, name: str | None) -> str:
    if name is None:
        return os.environ.get("MLFLOW_EXPERIMENT_ID") or "0"
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name))
