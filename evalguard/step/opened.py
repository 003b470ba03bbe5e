"""Open the model, data, labels and reference that a step file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalguard.core.stages import stage
from evalguard.data import kinds
from evalguard.data.tables import read_arrays
from evalguard.errors import ConfigError
from evalguard.labels.labels import Labels
from evalguard.step.config.sections import Call
from evalguard.step.config.step_file import Step
from evalguard.step.fix_lines import in_its_terms
from evalguard.step.imports import call_function, import_function
from evalguard.step.inputs.labels import label_key, read_labels
from evalguard.step.inputs.open import open_data
from evalguard.step.inputs.stream import BATCH_SIZE, InputContext, InputStream
from evalguard.step.mlflow_run import store_of
from evalguard.step.model import open_model


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """The loaded objects of a step.

    Attributes:
        step: The step.
        base: Folder of the step file.
        model: The model.
        stream: The data.
        labels: The labels, in label order.
        reference: Inputs in label order; None if the step names no reference.
        arguments: Arguments of ``predict``.
        model_digest: SHA-256 of the model's folder in MLflow; empty for any other model.
    """

    step: Step
    base: Path
    model: Any
    stream: InputStream
    labels: Labels
    reference: Any
    arguments: dict[str, Any]
    model_digest: str = ""


def open_step(step: Step, base: Path) -> Opened:
    """Load everything that a step names, the cheapest checks first.

    Raises:
        ConfigError: The model, the data, the reference or an option cannot be used.
        LabelsError: The labels cannot be used.
    """
    labels = read_labels(step.labels, step.data, base, step.checks.classes)
    with stage("loading the model"):
        model, digest = open_model(step.model, base, store_of(step, base))
    size = step.predict.batch_size or BATCH_SIZE
    key = label_key(step.labels, step.data, base)
    stream = open_data(step.data, InputContext(base, "data", size, labels, key, _label_columns(step)))
    if labels is None:
        labels = _of_stream(step, stream)
    labels = in_its_terms(labels, step)
    reference = _reference(step, base, size, key)
    return Opened(step, base, model, stream, labels, reference, _arguments(step, stream, model), digest)


def _label_columns(step: Step) -> tuple[str, ...]:
    label, weight = (getattr(step.labels, name, None) for name in ("label", "sample_weight"))
    labels = tuple(label.values()) if isinstance(label, dict) else (label,)
    return tuple(column for column in (*labels, weight) if column)


def _of_stream(step: Step, stream: InputStream) -> Labels:
    """The stream's own y, collected in a separate pass."""
    own_labels = Labels.of_source(stream.source)
    if own_labels is not None and own_labels.values is not None:
        return own_labels
    data, checks = step.data, step.checks
    again = (lambda: call_function(data, "data")) if isinstance(data, Call) else None
    source = again if again is not None and kinds.is_generator(stream.source) else stream.source
    if kinds.is_arrays(source):
        msg = "labels.from: expected a stream with y, found arrays without y; name a target, or a file of labels"
        raise ConfigError(msg)
    function = None if checks.fingerprint is None else import_function(checks.fingerprint, "checks.fingerprint")
    labels = Labels.collect(source, key=checks.key, fingerprint=function, pad_value=checks.pad_value, name="the stream")
    if labels.values is None:
        msg = "labels.from: expected a stream with y, found none; name a target, or a file of labels"
        raise ConfigError(msg)
    return labels


def _reference(step: Step, base: Path, size: int, key: str | None) -> Any:
    given = step.checks.reference
    if given is None:
        return None
    if not isinstance(given, str):
        context = InputContext(base, "checks.reference", size, None, key, _label_columns(step))
        return open_data(given, context).source
    path = base / given
    if path.suffix in {".npy", ".npz"}:
        loaded = read_arrays(path, "checks.reference")
        return next(iter(loaded.values())) if isinstance(loaded, dict) and len(loaded) == 1 else loaded
    if not path.is_file():
        msg = f"checks.reference: expected a .npy, .npz or manifest file at {path}, found none there"
        raise ConfigError(msg)
    return path


def _arguments(step: Step, stream: InputStream, model: Any) -> dict[str, Any]:
    """Arguments of ``predict``; an argument that the source does not accept is an error.

    Raises:
        ConfigError: An option does not apply to this source.
    """
    section, source = step.predict, stream.source
    # Keras may accept any other object with a shape or a length as arrays or lists.
    if not (kinds.is_arrays(source) or _has_batches(source) or hasattr(source, "shape") or hasattr(source, "__len__")):
        msg = f"data: expected arrays, a PyDataset, a generator or a tf.data.Dataset, found {_type(source)}"
        raise ConfigError(msg)
    arguments = section.model_dump(include={"steps", "verbose"}, exclude_none=True)
    if section.batch_size is not None and kinds.is_arrays(source):
        arguments["batch_size"] = section.batch_size
    elif section.batch_size is not None and not stream.ours and _has_batches(source):
        msg = f"predict.batch_size: expected arrays, found {_type(source)}, which makes its own batches"
        raise ConfigError(msg)
    queue = section.model_dump(include={"workers", "use_multiprocessing", "max_queue_size"}, exclude_none=True)
    if not queue:
        return arguments
    if is_tf_keras_model(model):
        return {**arguments, **queue}
    if not kinds.is_pydataset(source):
        msg = f"predict.{next(iter(queue))}: expected a PyDataset, found {_type(source)}, which has no workers"
        raise ConfigError(msg)
    for name, value in queue.items():
        setattr(source, name, value)
    return arguments


def _has_batches(source: Any) -> bool:
    """Whether the source is of a kind that makes its own batches."""
    in_batches = kinds.is_pydataset(source) or kinds.is_sequence(source) or kinds.is_tf_dataset(source)
    return in_batches or kinds.is_iterator(source) or kinds.is_untaggable(source)


def _type(source: Any) -> str:
    return type(source).__name__.lstrip("_")


def is_tf_keras_model(model: Any) -> bool:
    """Whether the model is a model of tf_keras and not of Keras 3."""
    return any(parent.__module__.partition(".")[0] == "tf_keras" for parent in type(model).__mro__)
