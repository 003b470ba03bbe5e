"""Run a step: load what it names, guard the prediction, say how it ended in an exit code."""

from __future__ import annotations

import functools
import importlib
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from evalguard.core.policy import Verdict
from evalguard.core.report import Report
from evalguard.data import kinds
from evalguard.data.tables import read_arrays
from evalguard.errors import AlignmentError, ConfigError, LabelsError, SinkError, UnsupportedSourceError
from evalguard.guards.guard import Guard, guard
from evalguard.labels.labels import Labels
from evalguard.step import progress as showing
from evalguard.step.config.step_file import Call, Settings, Step, read_all
from evalguard.step.imports import called, found, importable
from evalguard.step.inputs.labels import label_key, read_labels
from evalguard.step.inputs.stream import BATCH_SIZE, Place, Stream, open_data
from evalguard.step.mlflow_run import Record, recording, store_of
from evalguard.step.model import open_model
from evalguard.step.outputs import METRICS, PREDICTIONS, REPORT, clear, write_metrics, write_predictions

WRONG_INPUT = (ConfigError, LabelsError, UnsupportedSourceError)


class Exit(IntEnum):
    """Exit codes of the command line."""

    GOOD = 0
    FAIL = 1
    USAGE = 2
    NOT_JUDGED = 3
    NOT_LOGGED = 4


# Of several evaluations, the one that decides comes first.
WORST_FIRST = (Exit.USAGE, Exit.FAIL, Exit.NOT_JUDGED, Exit.NOT_LOGGED, Exit.GOOD)


@dataclass(frozen=True, slots=True)
class Result:
    """How an evaluation ended.

    Attributes:
        code: Exit code.
        report: The last report, where there is one.
        message: What to tell where there is no report, or beside it.
    """

    code: Exit
    report: Report | None
    message: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What a step names, loaded.

    Attributes:
        step: The step.
        base: Folder of its file.
        model: The model.
        stream: The data.
        labels: The labels, in label order.
        reference: Inputs in label order, or None.
        arguments: Those of ``predict``.
    """

    step: Step
    base: Path
    model: Any
    stream: Stream
    labels: Labels
    reference: Any
    arguments: dict[str, Any]


def exit_code(report: Report) -> Exit:
    """The exit code of a verdict."""
    if report.verdict is Verdict.FAIL:
        return Exit.FAIL
    return Exit.NOT_JUDGED if report.verdict is Verdict.UNPROVEN else Exit.GOOD


def worst(codes: Sequence[Exit]) -> Exit:
    """The exit code of several evaluations."""
    return next(code for code in WORST_FIRST if code in codes)


def run_all(path: Path, settings: Settings | None = None, progress: showing.Progress = "none") -> Iterator[Result]:
    """Run the evaluations of a step file, one after the other.

    Raises:
        ConfigError: The file is wrong; nothing has been run then.
    """
    steps, base = read_all(path, settings), path.resolve().parent
    for step in steps:
        try:
            yield _run(step, base, progress)
        except WRONG_INPUT as error:
            named = f"{step.name}: " if len(steps) > 1 else ""
            yield Result(Exit.USAGE, None, f"{named}{error}")


def _run(step: Step, base: Path, progress: showing.Progress) -> Result:
    if step.outputs.directory is not None:
        clear(base / step.outputs.directory)
    with importable(base):
        opened = open_step(step, base)
        with recording(step, store_of(step, base)) as record:
            result = _evaluate(opened, record, progress)
            record.status = "FINISHED" if result.report is not None else "FAILED"
            return result


def open_step(step: Step, base: Path) -> Opened:
    """Load all that a step names; what is cheapest to find wrong comes first.

    Raises:
        ConfigError: Something it names cannot be used.
        LabelsError: The labels cannot be used.
    """
    labels = read_labels(step.labels, step.data, base)
    model = open_model(step.model, base, store_of(step, base))
    size = step.predict.batch_size or BATCH_SIZE
    key = label_key(step.labels, step.data, base)
    stream = open_data(step.data, Place(base, "data", size, labels, key, _label_columns(step)))
    if labels is None:
        labels = _of_stream(step, stream)
    reference = _reference(step, base, size, key)
    return Opened(step, base, model, stream, labels, reference, _arguments(step, stream, model))


def _label_columns(step: Step) -> tuple[str, ...]:
    label = getattr(step.labels, "label", None)
    return tuple(label.values()) if isinstance(label, dict) else (label,) if label else ()


def _of_stream(step: Step, stream: Stream) -> Labels:
    """The stream's own y, by a pass of its own."""
    held = Labels.held_by(stream.source)
    if held is not None and held.values is not None:
        return held
    data, checks = step.data, step.checks
    again = (lambda: called(data, "data")) if isinstance(data, Call) else None
    source = again if again is not None and kinds.is_generator(stream.source) else stream.source
    if kinds.is_arrays(source):
        msg = "labels.from: expected a stream with y in it, found arrays alone; name a target, or a file of labels"
        raise ConfigError(msg)
    function = None if checks.fingerprint is None else found(checks.fingerprint, "checks.fingerprint")
    labels = Labels.collect(source, key=checks.key, fingerprint=function, pad_value=checks.pad_value, name="the stream")
    if labels.values is None:
        msg = "labels.from: expected a stream with y in it, found none; name a target, or a file of labels"
        raise ConfigError(msg)
    return labels


def _reference(step: Step, base: Path, size: int, key: str | None) -> Any:
    given = step.checks.reference
    if given is None:
        return None
    if not isinstance(given, str):
        place = Place(base, "checks.reference", size, None, key, _label_columns(step))
        return open_data(given, place).source
    path = base / given
    if path.suffix in {".npy", ".npz"}:
        loaded = read_arrays(path, "checks.reference")
        return next(iter(loaded.values())) if isinstance(loaded, dict) and len(loaded) == 1 else loaded
    if not path.is_file():
        msg = f"checks.reference: expected a .npy, .npz or manifest file at {path}, found none there"
        raise ConfigError(msg)
    return path


def _arguments(step: Step, stream: Stream, model: Any) -> dict[str, Any]:
    """Arguments of ``predict``; what this source cannot be given is an error, never left out silently.

    Raises:
        ConfigError: An option does not apply to this source.
    """
    section, source = step.predict, stream.source
    arguments = {name: getattr(section, name) for name in ("steps", "verbose") if getattr(section, name) is not None}
    if section.batch_size is not None and kinds.is_arrays(source):
        arguments["batch_size"] = section.batch_size
    elif section.batch_size is not None and not stream.ours and _has_batches(source):
        msg = f"predict.batch_size: expected arrays, found {_type(source)}, which makes batches of its own"
        raise ConfigError(msg)
    queue = {
        name: value
        for name in ("workers", "use_multiprocessing", "max_queue_size")
        if (value := getattr(section, name)) is not None
    }
    if not queue:
        return arguments
    if of_tf_keras(model):
        return {**arguments, **queue}
    if not kinds.is_pydataset(source):
        msg = f"predict.{next(iter(queue))}: expected a PyDataset, found {_type(source)}, which has no workers"
        raise ConfigError(msg)
    for name, value in queue.items():
        setattr(source, name, value)
    return arguments


def _has_batches(source: Any) -> bool:
    """Whether it is known to make batches itself; what is not known at all, the guard refuses in its own words."""
    kinds_of_batches = (
        kinds.is_pydataset,
        kinds.is_sequence,
        kinds.is_tf_dataset,
        kinds.is_iterator,
        kinds.is_untaggable,
    )
    return any(is_kind(source) for is_kind in kinds_of_batches)


def _type(source: Any) -> str:
    return type(source).__name__.lstrip("_")


def of_tf_keras(model: Any) -> bool:
    """Whether it is a model of tf_keras, not of Keras 3."""
    return any(parent.__module__.partition(".")[0] == "tf_keras" for parent in type(model).__mro__)


def make_guard(opened: Opened, record: Record) -> Guard:
    """The guard that a step describes."""
    step, checks = opened.step, opened.step.checks
    return guard(
        labels=opened.labels,
        reference=opened.reference,
        key=opened.stream.key if opened.stream.key is not None else checks.key,
        fingerprint=None if checks.fingerprint is None else found(checks.fingerprint, "checks.fingerprint"),
        name=step.name,
        mlflow=False,
        sinks=() if record.sink is None else (record.sink,),
        output=opened.base / step.outputs.directory if step.outputs.directory is not None else None,
        files=_files(step, opened.base),
        model=opened.model,
        metrics=_metrics(step),
        **checks.model_dump(exclude={"reference", "fingerprint", "key"}),
    )


def _files(step: Step, base: Path) -> list[Path]:
    """The files that are judged: the model's and that of the labels, where each is one file."""
    named = [getattr(section, "path", None) for section in (step.model, step.labels)]
    return [base / path for path in named if path is not None and (base / path).is_file()]


def _metrics(step: Step) -> Any:
    """Names as they stand, functions found."""

    def one(given: str | Call) -> Any:
        if isinstance(given, str):
            return given
        return functools.partial(found(given.call, "metrics"), **given.args)

    given = step.metrics
    if isinstance(given, dict):
        return {name: one(metric) for name, metric in given.items()}
    if isinstance(given, list):
        # A partial has no name of its own.
        named = {metric if isinstance(metric, str) else metric.call: one(metric) for metric in given}
        if len(named) < len(given):
            msg = "metrics: expected each once, found one again; a mapping of name to metric tells them apart"
            raise ConfigError(msg)
        return named
    return given


def _evaluate(opened: Opened, record: Record, progress: showing.Progress) -> Result:
    g, step = make_guard(opened, record), opened.step
    keras = importlib.import_module("tf_keras" if of_tf_keras(opened.model) else "keras")
    shown = showing.callback(progress, keras.callbacks.Callback, step.name)
    arguments = {**opened.arguments, **({} if shown is None else {"callbacks": [shown]})}
    try:
        with g, warnings.catch_warnings():
            # Keras, of every source whose length it is not told; how many rows came is for the report to say.
            warnings.filterwarnings("ignore", r"\s*Your input ran out of data", UserWarning)
            opened.model.predict(opened.stream.source, **arguments)
    except AlignmentError:
        pass
    except WRONG_INPUT:
        raise
    except Exception as error:  # noqa: BLE001 - the evaluation is the user's code; how it ended is an exit code
        trace = "".join(traceback.format_exception(error))
        return Result(
            Exit.NOT_JUDGED,
            None,
            f"{trace}\n{step.name}: the evaluation itself raised {type(error).__name__}; no verdict",
        )
    return _result(opened, g, record)


def _result(opened: Opened, g: Guard, record: Record) -> Result:
    step, problems = opened.step, [str(error) for error in g.sink_errors]
    written = True
    if step.outputs.directory is not None:
        directory = opened.base / step.outputs.directory
        written = (directory / REPORT).is_file()
        try:
            if g.report.impact is not None:
                write_metrics(g.report, directory / METRICS)
            if step.outputs.predictions and len(g.reports) == 1 and _has_rows(g):
                write_predictions(g, directory / PREDICTIONS)
        except SinkError as error:
            written = False
            problems.append(str(error))
    if record.problem:
        problems.append(record.problem)
    logged = record.sink is not None and not g.sink_errors
    code = exit_code(g.report)
    if not written or (step.mlflow.required and not logged):
        code = Exit.NOT_LOGGED
    return Result(code, g.report, "\n".join(problems))


def _has_rows(g: Guard) -> bool:
    return g.report.counts["n_predictions"] > 0
