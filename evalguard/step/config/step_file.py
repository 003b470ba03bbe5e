"""The pydantic model of a step file. It is strict: an unknown key is an error with the nearest valid name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from evalguard.core.policy import DuplicateInputs, OnFailure, OnUnproven, Padding, Require
from evalguard.guards.dropped_options import DROPPED
from evalguard.step.config.sections import Call, Function, Name, Positive, Strict, Text
from evalguard.step.config.unions import Data, LabelSource, Model, ReferenceSource

# Old key under `checks` → current key; the old ones are accepted until 0.2.
OLD_NAMES = {"strip_key": "drop_key", "equal_samples": "duplicate_inputs"}


class Predict(Strict):
    """Arguments of `Model.predict`; the last three are settings of a PyDataset or Sequence."""

    batch_size: Positive | None = None
    steps: Positive | None = None
    verbose: Literal["auto", 0, 1, 2] = 0
    workers: Positive | None = None
    use_multiprocessing: bool | None = None
    max_queue_size: Positive | None = None


class Checks(Strict):
    """Requirements on the evaluation; the options of `evalguard.guard`."""

    require: Require = Field(default="declared", description="Weakest proof that gives a PASS.")
    on_failure: OnFailure = Field(
        default="record",
        description="`repair` reorders the rows into label order if that is unambiguous; other failures exit with 1.",
    )
    on_unproven: OnUnproven = "record"
    padding: Padding = Field(default="forbid", description="`trim` removes known samples after the last label.")
    # Not `parts`: a step predicts with one call.
    scope: Literal["call", "session"] = "call"
    duplicate_inputs: DuplicateInputs = Field(
        default="forbid", description="`allow` if some samples are known to have equal inputs."
    )
    fail_fast: bool = Field(default=False, description="Stop at the first batch that proves a fault.")
    verify_model: bool = Field(
        default=True,
        description="Compute one batch again in another order, to test that the model keeps rows in place.",
    )
    key: Text | None = Field(default=None, description="Entry of a dict x with the key of each sample.")
    drop_key: bool = Field(default=False, description="Remove that entry from x before the model receives it.")
    pad_value: float | int | str | None = None
    classes: list[Text] | dict[str, list[Text] | int] | None = Field(
        default=None,
        description="Names of the classes in the order of the output columns, or a list for each output. It converts "
        "labels that are names to numbers.",
    )
    fingerprint: Function | None = Field(default=None, description="Takes x, returns what identifies each row.")
    reference: ReferenceSource | None = Field(
        default=None, description="Inputs in label order: a `.npy`, `.npz` or manifest file, or as under `data`."
    )

    @model_validator(mode="before")
    @classmethod
    def _current_names(cls, given: Any) -> Any:
        """The options under their current names, without those that no longer have an effect; both cause a warning."""
        if not isinstance(given, Mapping):
            return given
        for old in OLD_NAMES.keys() & given.keys():
            new = OLD_NAMES[old]
            if new in given:
                msg = f"{old} and {new}: expected one of them, found both; {old} is the old name"
                raise ValueError(msg)
            message = f"checks.{old} is deprecated and goes away in 0.2: write checks.{new}"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        for old in DROPPED.keys() & given.keys():
            message = f"checks.{old} is deprecated and goes away in 0.2: {DROPPED[old]}"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        return {OLD_NAMES.get(name, name): value for name, value in given.items() if name not in DROPPED}


class Outputs(Strict):
    """Where reports and predictions are written."""

    directory: Text | None = Field(
        default=None, description="Folder for reports; several evaluations get a separate subfolder each."
    )
    predictions: bool = Field(default=True, description="Write predictions.parquet, which holds keys, to that folder.")
    show_keys: bool = Field(
        default=True,
        description="`false` keeps keys and the names of samples' files out of reports, MLflow and messages.",
    )


class MlflowSection(Strict):
    """Whether and where the verdict is recorded in MLflow."""

    enabled: bool = True
    tracking_uri: Annotated[str, Field(pattern=r"^(databricks|[a-z][a-z0-9+.-]*:/.*)$")] | None = Field(
        default=None,
        description="Store of this step's verdict and of `model.uri`; default: that of the environment. "
        "`sqlite:///mlflow.db` is relative to this file.",
    )
    experiment: Text | None = None
    run_id: Text | None = Field(
        default=None, description="Id of a run to write to; default: the run of `mlflow run`, or a new one."
    )
    required: bool = Field(default=False, description="Exit with 4 if the verdict could not be recorded.")
    signing_key: Text | None = Field(
        default=None,
        description="File of the private key that signs the record, relative to this file; default: "
        "`EVALGUARD_SIGNING_KEY`.",
    )


SeveralMetrics = Annotated[list[Text | Call], Field(min_length=1)]
Metrics = Annotated[
    Text | SeveralMetrics | dict[str, Text | Call | SeveralMetrics],
    Field(
        description="Metrics to report as scored and after realignment: names of `keras.metrics` (`accuracy`), of "
        "scikit-learn (`sklearn:f1_macro`, `roc_auc_ovr`), or functions of y_true and y_pred; a list, a mapping to "
        "name them, or a mapping from each output to its metric or a list."
    ),
]


Confirm = Annotated[
    Call,
    Field(
        description="Your own function between `predict` and the score. It takes the predictions, and `args` as "
        "keyword arguments. It returns what is scored, in label order: `y_pred`, or a mapping of the arguments of "
        "`Guard.confirm` (`y_pred`, `y_true`, `sample_weight`). Each row must be one that `predict` returned."
    ),
]


def _no_bool(version: Any) -> Any:
    # `true` equals 1 in Python.
    if isinstance(version, bool):
        msg = f"expected 1, found {str(version).lower()}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic reports it
    return version


Version = Annotated[Literal[1], BeforeValidator(_no_bool)]


class Step(Strict):
    """One evaluation."""

    version: Version
    name: Name = "evaluation"
    model: Model
    data: Data
    labels: LabelSource
    predict: Predict = Predict()
    checks: Checks = Checks()
    metrics: Metrics | None = None
    confirm: Confirm | None = None
    outputs: Outputs = Outputs()
    mlflow: MlflowSection = MlflowSection()
    _places: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def places(self) -> dict[str, str]:
        """File and line of each section: ``step.yaml:12``; without those of the command line."""
        return self._places

    def placed(self, places: Mapping[str, str]) -> Step:
        """The same evaluation, whose sections stand in these places."""
        self._places = dict(places)
        return self

    @model_validator(mode="after")
    def _fits(self) -> Step:
        if self.checks.drop_key and self.checks.key is None:
            msg = "drop_key: expected `key: NAME` beside it, found no key"
            raise ValueError(msg)
        if self.mlflow.required and not self.mlflow.enabled:
            msg = "mlflow.required: expected `enabled: true` beside it, found `enabled: false`"
            raise ValueError(msg)
        return self


class Sections(Strict):
    """The sections of an evaluation; a missing one is taken from the top level of the file."""

    name: Name | None = None
    model: Model | None = None
    data: Data | None = None
    labels: LabelSource | None = None
    predict: Predict | None = None
    checks: Checks | None = None
    metrics: Metrics | None = None
    confirm: Confirm | None = None
    outputs: Outputs | None = None
    mlflow: MlflowSection | None = None


class StepFile(Sections):
    """A step file: one evaluation, or several that share the sections at the top level."""

    version: Version
    evaluations: Annotated[list[Sections], Field(min_length=1, max_length=1000)] | None = None


# `metrics: null` means no metrics, even if the shared part has some. Any other empty section is an error.
MAY_BE_EMPTY = ("metrics",)
