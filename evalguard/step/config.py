"""What a step file may say. Strict: an unknown key is an error with the nearest valid name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evalguard.core.policy import EqualSamples, OnFailure, OnUnproven, Padding, Require, Scope
from evalguard.errors import ConfigError
from evalguard.step.load import KeyPath, Lines, dotted, line_of, load

Callable_ = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$", description="module:function")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Call(_Strict):
    """A function to call: ``module:function`` with keyword arguments."""

    call: Callable_
    args: dict[str, Any] = {}


class Model(_Strict):
    """The model: a ``.keras`` file, or a function that gives a Keras model."""

    path: str | None = None
    call: Callable_ | None = None
    args: dict[str, Any] = {}

    @model_validator(mode="after")
    def _one_of(self) -> Model:
        if (self.path is None) == (self.call is None):
            msg = "expected one of path and call"
            raise ValueError(msg)
        return self


class LabelFile(_Strict):
    """The labels: a CSV or Parquet file (or manifest), its rows being the label order."""

    path: str
    label: str | None = None
    key: str | None = None


class Predict(_Strict):
    """Arguments of ``Model.predict``."""

    batch_size: int | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)
    verbose: Literal["auto", 0, 1, 2] = 0


class Checks(_Strict):
    """What is demanded; the options of ``evalguard.guard``."""

    require: Require = "labels"
    on_failure: OnFailure = "record"
    on_unproven: OnUnproven = "record"
    padding: Padding = "forbid"
    scope: Scope = "call"
    equal_samples: EqualSamples = "forbid"
    key: str | None = None
    strip_key: bool = False
    pad_value: float | int | str | None = None
    reference: Call | str | None = None


class Outputs(_Strict):
    """Where files go."""

    directory: str | None = None


class MlflowSection(_Strict):
    """Whether and where the verdict is recorded in MLflow."""

    enabled: bool = True
    experiment: str | None = None
    run_id: str | None = None
    required: bool = False


class Step(_Strict):
    """One evaluation."""

    version: Literal[1]
    name: str = Field(default="evaluation", min_length=1, max_length=100)
    model: Model
    data: Call
    labels: LabelFile
    predict: Predict = Predict()
    checks: Checks = Checks()
    outputs: Outputs = Outputs()
    mlflow: MlflowSection = MlflowSection()


def read(path: Path) -> Step:
    """The step in a file.

    Raises:
        ConfigError: Something in it is not allowed; each error is named with
            file, line and key path.
    """
    data, lines = load(path)
    try:
        return Step.model_validate(data)
    except ValidationError as error:
        told = "\n".join(_told(item, lines, path) for item in error.errors())
        raise ConfigError(told) from error


def _told(item: Any, lines: Lines, path: Path) -> str:
    at: KeyPath = tuple(part for part in item["loc"] if not _is_branch(part))
    where = f"{path}, line {line_of(at, lines)}, {dotted(at)}"
    kind, found = item["type"], item.get("input")
    if kind == "extra_forbidden":
        names = _allowed(at[:-1])
        near = difflib.get_close_matches(str(at[-1]), names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{where}: unknown key.{hint} Known here: {', '.join(names)}."
    if kind == "missing":
        return f"{where}: this key is needed"
    if kind == "literal_error":
        expected = item["ctx"]["expected"]
        words = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
        near = difflib.get_close_matches(str(found), words, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{where}: expected {expected}; found {str(found)[:60]!r}.{hint}"
    shown = f"; found {str(found)[:60]!r}" if not isinstance(found, dict) else ""
    return f"{where}: {item['msg'].removeprefix('Value error, ')}{shown}"


def _is_branch(part: object) -> bool:
    """Pydantic names the branch of a union in its path; the file has no such key."""
    return part in {"Call", "str", "int", "float"} or (
        isinstance(part, str) and part.startswith(("function-", "constrained"))
    )


def _allowed(at: KeyPath) -> list[str]:
    model: Any = Step
    for part in at:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        if field is None:
            return []
        options = getattr(field.annotation, "__args__", (field.annotation,))
        model = next((kind for kind in options if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if model is None:
            return []
    return list(model.model_fields)
