"""What a step file may say. Strict: an unknown key is an error with the nearest valid name."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from evalguard.core.columns.storage import SIZE
from evalguard.core.policy import EqualSamples, OnFailure, OnUnproven, Padding, Require, Scope
from evalguard.core.sampling import ALL, CONTENT
from evalguard.errors import ConfigError
from evalguard.step.config import yaml_file
from evalguard.step.config.error_messages import ONE_OF, told
from evalguard.step.config.yaml_file import KeyPath, Lines

FUNCTION = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
Function = Annotated[str, Field(pattern=FUNCTION, description="A function, as `module:function`.")]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(gt=0)]
Size = Annotated[list[Positive], Field(min_length=2, max_length=2, description="Height and width, in pixels.")]
Scale = Annotated[
    float | Annotated[str, Field(pattern=r"^\d+(\.\d+)?/\d*[1-9]\d*(\.\d+)?$")],
    Field(description="Pixels are multiplied by it: a number, or a fraction such as `1/255`."),
]
ColorMode = Literal["grayscale", "rgb", "rgba"]
Interpolation = Literal["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"]
Number = Literal["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
Dtype = Literal["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "string"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Call(_Strict):
    """A function that gives what is wanted, called with `args` by name."""

    call: Function
    args: dict[str, Any] = {}


# -- model -------------------------------------------------------------------


CustomObjects = Annotated[
    list[Function] | dict[Text, Function] | None,
    Field(
        description="Layers, losses and functions of your own in the model: a list of `module:name`, which also runs "
        "the module that registers them, or a mapping from the name that the model knows."
    ),
]


class ModelPath(_Strict):
    """A `.keras` or `.h5` file, or the folder of a SavedModel (run by a `TFSMLayer`)."""

    path: Text
    endpoint: Text | None = Field(default=None, description="Of a SavedModel; by default `serve` or `serving_default`.")
    safe_mode: bool = Field(default=True, description="Refuse a `.keras` file that holds code (a `Lambda` layer).")
    custom_objects: CustomObjects = None


class ModelUri(_Strict):
    """A model that MLflow keeps: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `models:/m-…`, `runs:/RUN/PATH`."""

    uri: Annotated[str, Field(pattern=r"^(models|runs):/.+")]
    custom_objects: CustomObjects = None


# -- data --------------------------------------------------------------------


class Arrays(_Strict):
    """A `.npy` or `.npz` file: the inputs as arrays. Row i is sample i, unless there is a key."""

    arrays: Text
    inputs: list[Text] | None = Field(
        default=None, description="Arrays of the `.npz` that the model is fed; default: x."
    )
    key: Text | None = Field(default=None, description="Array of the `.npz` that names each sample.")
    target: Text | None = Field(default=None, description="Array of the `.npz` that rides along as y.")


class Table(_Strict):
    """A CSV, Parquet, JSONL or Arrow file of features. Row i is sample i, unless there is a key."""

    table: Text
    columns: list[Text] | dict[str, list[Text]] | None = Field(
        default=None, description="Feature columns, or columns by input of the model; default: all but key and target."
    )
    dtype: Number = "float32"
    key: Text | None = Field(default=None, description="Column that names each sample.")
    target: Text | None = Field(default=None, description="Column that rides along as y.")


class _Pixels(_Strict):
    size: Size | None = Field(default=None, description="Images are resized to it; without it, all must have one size.")
    color_mode: ColorMode = "rgb"
    rescale: Scale | None = None
    offset: float = Field(default=0.0, description="Added after `rescale`.")
    interpolation: Interpolation = "bilinear"


class Images(_Pixels):
    """A table that lists image files (CSV, Parquet, JSONL or Arrow); the key is the file as listed, or a column."""

    images: Text
    column: Text = Field(default="file", description="Column with the files.")
    root: Text | None = Field(default=None, description="Folder the files are relative to; default: that of the list.")
    key: Text | None = Field(default=None, description="Column that names each sample; default: the file as listed.")
    target: Text | None = Field(default=None, description="Column that rides along as y.")


class ImageDirectory(_Pixels):
    """A folder of image files, or of one folder for each class; the sample's key is the file below it."""

    image_directory: Text


class Feature(_Strict):
    """One feature of a TFRecord example."""

    dtype: Dtype = "float32"
    shape: list[Annotated[int, Field(ge=0)]] = []
    encoding: Literal["values", "image", "raw"] = Field(
        default="values",
        description="`image`: encoded bytes (PNG, JPEG); `raw`: the bytes of an array of `dtype` and `shape`.",
    )
    size: Size | None = None
    color_mode: ColorMode = "rgb"
    rescale: Scale | None = None


class TFRecord(_Strict):
    """TFRecord files of `tf.train.Example`s."""

    tfrecord: Text | Annotated[list[Text], Field(min_length=1)] = Field(
        description="File, pattern such as `part-*.tfrecord`, or several, read in this order (a pattern: by name)."
    )
    features: dict[str, Feature]
    inputs: Annotated[list[Text], Field(min_length=1)] = Field(description="Features that the model is fed.")
    key: Text | None = Field(default=None, description="Feature that names each sample; needs no entry in `features`.")
    target: Text | None = Field(default=None, description="Feature that rides along as y.")
    compression: Literal["", "GZIP", "ZLIB"] = ""


# -- labels ------------------------------------------------------------------


class LabelFile(_Strict):
    """A CSV, Parquet, JSONL, Arrow or `.npy` file, or a manifest of `Labels.save`; its rows are the label order."""

    path: Text
    label: Text | dict[str, Text] | None = Field(
        default=None, description="Column with the labels, or a column for each output of the model."
    )
    key: Text | None = Field(default=None, description="Column that names each sample.")


class LabelFolders(_Strict):
    """The class folders of an image directory: label k for the k-th class; files by name are the label order."""

    image_directory: Text
    class_names: list[Text] | None = Field(
        default=None, description="Folders in the order of their labels; default: by name."
    )


class LabelStream(_Strict):
    """The stream's own y, collected in a pass of its own together with the inputs."""

    from_: Literal["stream"] = Field(alias="from")


# -- the kinds ---------------------------------------------------------------

Kinds = Mapping[str, type[BaseModel]]
Kind = TypeVar("Kind", bound=BaseModel)

MODELS: Kinds = {"path": ModelPath, "uri": ModelUri, "call": Call}
DATA: Kinds = {
    "call": Call,
    "arrays": Arrays,
    "table": Table,
    "images": Images,
    "image_directory": ImageDirectory,
    "tfrecord": TFRecord,
}
LABELS: Kinds = {"path": LabelFile, "image_directory": LabelFolders, "from": LabelStream}


def _kind(kinds: Kinds, text: str | None = None) -> Callable[[Any], str | None]:
    """Tells a kind by the one key that stands for it; ``text`` is the kind of a value that is none but text."""

    def tell(value: Any) -> str | None:
        if isinstance(value, str):
            return text
        if not isinstance(value, Mapping):
            return next((f"<{name}>" for name, kind in kinds.items() if isinstance(value, kind)), None)
        found = [name for name in kinds if name in value]
        # In brackets: pydantic puts it into the path of an error, which names the file's own keys beside it.
        return f"<{found[0]}>" if len(found) == 1 else None

    return tell


def _one_of(kinds: Kinds, text: str | None = None) -> Any:
    return Discriminator(_kind(kinds, text), custom_error_type=ONE_OF, custom_error_message=", ".join(kinds))


Model = Annotated[
    Annotated[ModelPath, Tag("<path>")] | Annotated[ModelUri, Tag("<uri>")] | Annotated[Call, Tag("<call>")],
    _one_of(MODELS),
]
Data = Annotated[
    Annotated[Call, Tag("<call>")]
    | Annotated[Arrays, Tag("<arrays>")]
    | Annotated[Table, Tag("<table>")]
    | Annotated[Images, Tag("<images>")]
    | Annotated[ImageDirectory, Tag("<image_directory>")]
    | Annotated[TFRecord, Tag("<tfrecord>")],
    _one_of(DATA),
]
Reference = Annotated[
    Annotated[Text, Tag("<file>")]
    | Annotated[Call, Tag("<call>")]
    | Annotated[Arrays, Tag("<arrays>")]
    | Annotated[Table, Tag("<table>")]
    | Annotated[Images, Tag("<images>")]
    | Annotated[ImageDirectory, Tag("<image_directory>")]
    | Annotated[TFRecord, Tag("<tfrecord>")],
    _one_of(DATA, text="<file>"),
]
LabelSource = Annotated[
    Annotated[LabelFile, Tag("<path>")]
    | Annotated[LabelFolders, Tag("<image_directory>")]
    | Annotated[LabelStream, Tag("<from>")],
    _one_of(LABELS),
]

# -- the rest ----------------------------------------------------------------


class Predict(_Strict):
    """Arguments of `Model.predict`; the last three are settings of a PyDataset or Sequence."""

    batch_size: Positive | None = None
    steps: Positive | None = None
    verbose: Literal["auto", 0, 1, 2] = 0
    workers: Positive | None = None
    use_multiprocessing: bool | None = None
    max_queue_size: Positive | None = None


class Checks(_Strict):
    """What is demanded; the options of `evalguard.guard`."""

    require: Require = Field(default="labels", description="Weakest proof that is a PASS.")
    on_failure: OnFailure = Field(
        default="record",
        description="`repair` puts rows in label order where that is unambiguous; the others end in exit 1.",
    )
    on_unproven: OnUnproven = "record"
    padding: Padding = Field(default="forbid", description="`trim` cuts known rows after the last label.")
    scope: Scope = "call"
    equal_samples: EqualSamples = Field(
        default="forbid", description="`allow` where samples are known to have equal inputs."
    )
    fail_fast: bool = Field(default=False, description="Stop at the first batch that proves a fault.")
    content: Annotated[str, Field(pattern=CONTENT)] = Field(
        default=ALL,
        description="Rows that are recognised by their content: `all`, or a share of them such as `sample:0.01`.",
    )
    trace_memory: Positive | Annotated[str, Field(pattern=SIZE)] = Field(
        default="1 GiB",
        description="What a call may keep in memory of its rows: bytes, or text such as `512 MiB` or `2 GB`. The rest "
        "goes to a temporary file.",
    )
    key: Text | None = Field(default=None, description="Entry of a dict x that names each sample.")
    strip_key: bool = Field(default=False, description="The model does not get that entry.")
    pad_value: float | int | str | None = None
    fingerprint: Function | None = Field(default=None, description="Takes x, gives what identifies a row.")
    reference: Reference | None = Field(
        default=None, description="Inputs in label order: a `.npy`, `.npz` or manifest file, or as under `data`."
    )


class Outputs(_Strict):
    """Where files go."""

    directory: Text | None = Field(
        default=None, description="Folder for reports; with several evaluations one below it each."
    )
    predictions: bool = Field(default=True, description="Write predictions.parquet there.")


class MlflowSection(_Strict):
    """Whether and where the verdict is recorded in MLflow."""

    enabled: bool = True
    tracking_uri: Annotated[str, Field(pattern=r"^(databricks|[a-z][a-z0-9+.-]*:/.*)$")] | None = Field(
        default=None,
        description="Store of this step's verdict and of `model.uri`; default: that of the environment. "
        "`sqlite:///mlflow.db` is beside this file.",
    )
    experiment: Text | None = None
    run_id: Text | None = Field(
        default=None, description="A run to write to; default: that of `mlflow run`, or a new one."
    )
    required: bool = Field(default=False, description="Exit 4 where the verdict could not be recorded.")


Metrics = Annotated[
    Text | Annotated[list[Text | Call], Field(min_length=1)] | dict[str, Text | Call],
    Field(
        description="Figures whose change by a misalignment is told: names of `keras.metrics` (`accuracy`), of "
        "scikit-learn (`sklearn:f1_macro`), or functions of y_true and y_pred; a list, or a mapping to name them."
    ),
]


class Step(_Strict):
    """One evaluation."""

    version: Literal[1]
    name: Name = "evaluation"
    model: Model
    data: Data
    labels: LabelSource
    predict: Predict = Predict()
    checks: Checks = Checks()
    metrics: Metrics | None = None
    outputs: Outputs = Outputs()
    mlflow: MlflowSection = MlflowSection()

    @model_validator(mode="after")
    def _fits(self) -> Step:
        if self.checks.strip_key and self.checks.key is None:
            msg = "strip_key: expected key: NAME beside it, found none"
            raise ValueError(msg)
        if self.mlflow.required and not self.mlflow.enabled:
            msg = "mlflow.required: expected mlflow.enabled with it, found enabled: false"
            raise ValueError(msg)
        return self


class Sections(_Strict):
    """The sections of an evaluation, each of which may come from the file's top level instead."""

    name: Name | None = None
    model: Model | None = None
    data: Data | None = None
    labels: LabelSource | None = None
    predict: Predict | None = None
    checks: Checks | None = None
    metrics: Metrics | None = None
    outputs: Outputs | None = None
    mlflow: MlflowSection | None = None


class StepFile(Sections):
    """A step file: one evaluation, or several that share what stands at the top level."""

    version: Literal[1]
    evaluations: Annotated[list[Sections], Field(min_length=1, max_length=1000)] | None = None


# Given anew, these take the place of the whole; of other sections single keys do.
WHOLE = ("name", "model", "data", "labels", "metrics")
# `metrics: null`: none, whatever the others have. Another section with nothing in it is a slip.
MAY_BE_EMPTY = ("metrics",)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line adds to a file.

    Attributes:
        values: ``KEY.PATH=VALUE`` each, put into the file before it is checked.
        variables: What ``${NAME}`` is looked up in before the environment.
    """

    values: Sequence[str] = ()
    variables: Mapping[str, str] | None = None


def read(path: Path) -> Step:
    """The one step in a file.

    Raises:
        ConfigError: Something in it is not allowed, or it holds several.
    """
    steps = read_all(path)
    if len(steps) != 1:
        msg = f"{path}: expected one evaluation, found {len(steps)}"
        raise ConfigError(msg)
    return steps[0]


def read_all(path: Path, settings: Settings | None = None) -> tuple[Step, ...]:
    """The evaluations in a file.

    Raises:
        ConfigError: Something in it is not allowed; each error is named with
            file, line and key path.
    """
    settings = settings or Settings()
    data, lines = yaml_file.load(path, {**os.environ, **(settings.variables or {})})
    for text in settings.values:
        _set(data, lines, text)
    _validated(StepFile, data, data, lines, path, ())
    _refuse_empty(data, (), lines, path)
    entries = data.get("evaluations") or [None]
    steps = [_step(data, number if entry is not None else None, lines, path) for number, entry in enumerate(entries)]
    _refuse_equal_names(steps, lines, path)
    return tuple(steps)


def _step(data: dict[str, Any], number: int | None, lines: Lines, path: Path) -> Step:
    shared = {name: value for name, value in data.items() if name != "evaluations"}
    if number is None:
        return _validated(Step, shared, data, lines, path, ())
    own = data["evaluations"][number]
    _refuse_empty(own, ("evaluations", number), lines, path)
    merged = {**shared, "name": f"{shared.get('name', 'evaluation')}-{number + 1}", **_merged(shared, own)}
    step = _validated(Step, merged, data, lines, path, ("evaluations", number))
    if step.outputs.directory is None:
        return step
    folder = str(Path(step.outputs.directory) / _folder_name(step.name))
    return step.model_copy(update={"outputs": step.outputs.model_copy(update={"directory": folder})})


def _refuse_empty(sections: Mapping[str, Any], within: KeyPath, lines: Lines, path: Path) -> None:
    empty = next((name for name, value in sections.items() if value is None and name not in MAY_BE_EMPTY), None)
    if empty is not None:
        at = (*within, empty)
        where = f"{path}, line {yaml_file.line_of(at, lines)}, {yaml_file.dotted(at)}"
        msg = f"{where}: expected a value, found nothing; give one, or leave the key out"
        raise ConfigError(msg)


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name, value in own.items():
        before = shared.get(name)
        if name not in WHOLE and isinstance(before, dict) and isinstance(value, dict):
            merged[name] = {**before, **value}
        else:
            merged[name] = value
    return merged


def _folder_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".") or "evaluation"


def _refuse_equal_names(steps: Sequence[Step], lines: Lines, path: Path) -> None:
    seen: dict[str, int] = {}
    for number, step in enumerate(steps):
        first = seen.setdefault(_folder_name(step.name).lower(), number)
        if first != number:
            at = ("evaluations", number, "name")
            where = f"{path}, line {yaml_file.line_of(at, lines)}, {yaml_file.dotted(at)}"
            msg = f"{where}: expected a name of its own for each evaluation, found {step.name!r} again"
            raise ConfigError(msg)


def _validated(kind: type[Kind], value: Any, data: Any, lines: Lines, path: Path, within: KeyPath) -> Kind:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ConfigError(told(error, kind, value, (path, lines, data, within))) from error


def _set(data: dict[str, Any], lines: Lines, text: str) -> None:
    """Put a value of the command line where it says, in the shared part and in every evaluation that has its own.

    Raises:
        ConfigError: It is no ``KEY.PATH=VALUE``, or the path goes through
            something that is no mapping.
    """
    name, equals, given = text.partition("=")
    at: KeyPath = tuple(int(part) if part.isdigit() else part for part in name.strip().split("."))
    if not equals or not all(str(part) for part in at):
        msg = f"--set {text[:60]}: expected KEY.PATH=VALUE, as in checks.require=identity"
        raise ConfigError(msg)
    try:
        value = yaml_file.parse_value(given)
    except ConfigError as error:
        msg = f"--set {text[:60]}: {error}"
        raise ConfigError(msg) from error
    evaluations = data.get("evaluations")
    own = [
        number
        for number, entry in enumerate(evaluations if isinstance(evaluations, list) else ())
        if at[0] != "evaluations" and isinstance(entry, dict) and at[0] in entry
    ]
    for number in own:
        _put(data, lines, ("evaluations", number, *at), copy.deepcopy(value), text)
    if at[0] in data or not own:
        _put(data, lines, at, value, text)


def _put(data: Any, lines: Lines, at: KeyPath, value: Any, text: str) -> None:
    target = data
    for depth, part in enumerate(at[:-1]):
        if isinstance(target, dict):
            if target.get(str(part)) is None:
                target[str(part)] = {}
            target = target[str(part)]
        elif isinstance(target, list) and isinstance(part, int) and part < len(target):
            target = target[part]
        else:
            target = None
        if not isinstance(target, (dict, list)):
            msg = f"--set {text[:60]}: expected a mapping at {yaml_file.dotted(at[: depth + 1])}, found none"
            raise ConfigError(msg)
    last = at[-1]
    if isinstance(target, list):
        if not isinstance(last, int) or last >= len(target):
            msg = f"--set {text[:60]}: expected a number below {len(target)} at its end, found {last!r}"
            raise ConfigError(msg)
        target[last] = value
    else:
        target[str(last)] = value
    lines[at] = yaml_file.COMMAND_LINE
