"""Run a step: load what its file names, guard the prediction, return an exit code."""

from __future__ import annotations

import functools
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalguard.core.report import Report
from evalguard.core.shown_keys import keys_shown, trace_text
from evalguard.errors import ConfigError, EvalGuardWarning, LabelsError, SinkError, UnsupportedSourceError
from evalguard.guards.about import Origin, of_uri
from evalguard.guards.errors import AlignmentError
from evalguard.guards.guard import Guard
from evalguard.guards.options import GuardOptions
from evalguard.reporting.long_stages import Progress, long_stages
from evalguard.step.config.read import Settings, read_all
from evalguard.step.config.sections import Call, ModelUri
from evalguard.step.config.step_file import Step
from evalguard.step.config.unions import Data, Model
from evalguard.step.exit_codes import ExitCode, exit_code
from evalguard.step.imports import import_function, importable
from evalguard.step.mlflow_run import sink_of
from evalguard.step.opened import Opened, is_tf_keras_model, open_step
from evalguard.step.outputs import METRICS, PREDICTIONS, REPORT, clear, shown_path, write_metrics, write_predictions
from evalguard.step.progress import callback
from evalguard.tracking.mlflow_sink import MlflowSink, places_of

_log = logging.getLogger("evalguard")
WRONG_INPUT = (ConfigError, LabelsError, UnsupportedSourceError)


@dataclass(frozen=True, slots=True)
class Result:
    """How an evaluation ended.

    Attributes:
        code: Exit code.
        report: The last report; None if there is none.
        message: A message for the user, in addition to the report or instead of it.
        places: Where the report is: ``report``, a file, ``mlflow``, a run, and ``record``, the digest
            of a signed record.
    """

    code: ExitCode
    report: Report | None
    message: str = ""
    places: Mapping[str, str] = field(default_factory=dict)


def run_all(
    path: Path, settings: Settings | None = None, progress: Progress = "none", command: str = ""
) -> Iterator[Result]:
    """Run the evaluations of a step file, one after the other.

    Args:
        path: The step file.
        settings: Settings of the command line.
        progress: How progress is shown; see ``progress.callback``.
        command: The command line, for the reports.

    Raises:
        ConfigError: The file is wrong, and no evaluation was run.
    """
    steps, base = read_all(path, settings), path.resolve().parent
    caller = {"step": str(path), **({"command": command} if command else {})}
    for step in steps:
        try:
            yield _run(step, base, progress, caller)
        except WRONG_INPUT as error:
            named = f"{step.name}: " if len(steps) > 1 else ""
            yield Result(ExitCode.USAGE, None, f"{named}{error}")


def _run(step: Step, base: Path, progress: Progress, caller: Mapping[str, str]) -> Result:
    if step.outputs.directory is not None:
        clear(base / step.outputs.directory)
    with importable(base), keys_shown(step.outputs.show_keys), long_stages(progress, step.name):
        opened = open_step(step, base)
        return _evaluate(opened, sink_of(step, base), progress, caller)


def make_guard(opened: Opened, sink: MlflowSink | None, caller: Mapping[str, str]) -> Guard:
    """The guard that a step describes."""
    step, checks = opened.step, opened.step.checks
    options = {
        "labels": opened.labels,
        "reference": opened.reference,
        "key": opened.stream.key if opened.stream.key is not None else checks.key,
        "fingerprint": None
        if checks.fingerprint is None
        else import_function(checks.fingerprint, "checks.fingerprint"),
        "name": step.name,
        "mlflow": False,
        "sinks": () if sink is None else (sink,),
        "output": opened.base / step.outputs.directory if step.outputs.directory is not None else None,
        "attest_files": _files(step, opened.base),
        "model": opened.model,
        "metrics": _metrics(step),
        "show_keys": step.outputs.show_keys,
        **checks.model_dump(exclude={"reference", "fingerprint", "key"}),
    }
    return Guard(GuardOptions.of(options), Origin(_model(step.model, opened.model_digest), _place(step.data), caller))


def _model(model: Model, digest: str) -> dict[str, str]:
    """Where the model comes from, as the file names it."""
    if isinstance(model, ModelUri):
        return {**of_uri(model.uri), "digest": digest}
    return {"function": model.call} if isinstance(model, Call) else {"path": model.path}


def _place(data: Data) -> str:
    """Where the data comes from, as the file names it."""
    named = ("arrays", "table", "images", "image_directory", "tfrecord", "call")
    (place,) = (value for name in named if (value := getattr(data, name, None)) is not None)
    return place if isinstance(place, str) else ", ".join(place)


def _files(step: Step, base: Path) -> list[Path]:
    """The files that are judged: the model, which may be a folder, and the labels."""
    named = [getattr(section, "path", None) for section in (step.model, step.labels)]
    return [base / path for path in named if path is not None]


def _function(given: Call, where: str) -> Any:
    """The function that a section names, with its `args`; its name is that in the file."""
    function = functools.partial(import_function(given.call, where), **given.args)
    function.__name__ = given.call  # type: ignore[attr-defined] # a partial has no name
    return function


def _metrics(step: Step) -> Any:
    """The metrics: names unchanged, functions imported."""

    def one(given: str | Call | list[str | Call]) -> Any:
        if isinstance(given, list):
            return [one(metric) for metric in given]
        return given if isinstance(given, str) else _function(given, "metrics")

    given = step.metrics
    if isinstance(given, dict):
        return {name: one(metric) for name, metric in given.items()}
    return None if given is None else one(given)


def _evaluate(opened: Opened, sink: MlflowSink | None, progress: Progress, caller: Mapping[str, str]) -> Result:
    g, step = make_guard(opened, sink, caller), opened.step
    keras = importlib.import_module("tf_keras" if is_tf_keras_model(opened.model) else "keras")
    shown = callback(progress, keras.callbacks.Callback, step.name)
    arguments = {**opened.arguments, **({} if shown is None else {"callbacks": [shown]})}
    scores = None if step.confirm is None else _function(step.confirm, "confirm")
    problem = ""
    try:
        with warnings.catch_warnings():
            # Keras warns about every source without a length; the report shows how many rows arrived.
            warnings.filterwarnings("ignore", r"\s*Your input ran out of data", UserWarning)
            # Verdicts and failing sinks are printed at the end.
            warnings.simplefilter("ignore", EvalGuardWarning)
            with g:
                y_pred = opened.model.predict(opened.stream.source, **arguments)
                if scores is not None:
                    problem = _confirm(g, scores, y_pred)
    except AlignmentError:
        pass
    except (KeyboardInterrupt, *WRONG_INPUT):
        # No result shows them.
        for each in g.sink_errors:
            _log.warning("evalguard: %s", each)
        raise
    except Exception as error:  # noqa: BLE001 - the evaluation is the user's code; its error becomes an exit code
        message = f"{trace_text(error)}\n{step.name}: the evaluation itself raised {type(error).__name__}; no verdict"
        return Result(ExitCode.NOT_JUDGED, None, "\n".join([message, *map(str, g.sink_errors)]))
    return _result(opened, g, sink, problem)


def _confirm(g: Guard, function: Callable[..., Any], y_pred: Any) -> str:
    """Confirm what the step's own function scores; return the error that it raised, as text, or an empty text."""
    try:
        scored = function(y_pred)
        named = isinstance(scored, Mapping) and "y_pred" in scored
        g.confirm(**(scored if named else {"y_pred": scored}))
    except Exception as error:  # noqa: BLE001 - the user's code; what it would score is not known
        g.confirm(None)
        return f"{trace_text(error)}\nconfirm: the function raised {type(error).__name__}"
    return ""


def _result(opened: Opened, g: Guard, sink: MlflowSink | None, problem: str) -> Result:
    step, problems = opened.step, [problem] * bool(problem) + [str(error) for error in g.sink_errors]
    written = True
    if step.outputs.directory is not None:
        directory = opened.base / step.outputs.directory
        written = (directory / REPORT).is_file()
        try:
            if g.report.impact is not None:
                write_metrics(g.report, directory / METRICS)
            if step.outputs.predictions and len(g.reports) == 1 and g.report.counts["n_predictions"]:
                write_predictions(g, directory / PREDICTIONS)
        except SinkError as error:
            written = False
            problems.append(str(error))
    logged = sink is not None and not g.sink_errors
    code = exit_code(g.report)
    if not written or (step.mlflow.required and not logged):
        code = ExitCode.NOT_LOGGED
    places = {}
    if step.outputs.directory is not None and written:
        number = f"-{len(g.reports)}" if len(g.reports) > 1 else ""
        places["report"] = shown_path(opened.base / step.outputs.directory / f"report{number}.html")
    if logged and sink is not None:
        places |= places_of(sink)
    return Result(code, g.report, "\n".join(problems), places)
