"""Every option of a guard, in one place: its name, default, allowed words and meaning.

``guard``, ``wrap`` and the step file take these names. What judging needs of
them is a ``Policy``, what recording needs a ``CaptureOptions``: two views of
the same values. Longer than 300 lines because each option has its documentation here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, TypedDict

from evalguard.capture.contract import CaptureOptions
from evalguard.core.class_names import ClassNames, names_by_output
from evalguard.core.policy import (
    DuplicateInputs,
    OnFailure,
    OnUnproven,
    Padding,
    Policy,
    Require,
    Returns,
    Scope,
    check_choice,
    nearest,
)
from evalguard.errors import ArgumentError, ConfigError
from evalguard.guards.dropped_options import DROPPED
from evalguard.guards.metrics import Metric, metrics_of
from evalguard.reporting.sink import Sink

# Accepted until 0.2: old name → new name. ``mlflow_model`` became a part of ``mlflow``, see ``current_names``.
RENAMED = {
    "label": "label_column",
    "labels_from": "labels_argument",
    "strip_key": "drop_key",
    "equal_samples": "duplicate_inputs",
    "files": "attest_files",
}
# Words that stand for an option elsewhere, in Keras, scikit-learn and pandas → the option that is meant.
MEANT = {
    **dict.fromkeys(("y", "y_true", "y_test", "target", "targets", "ground_truth", "dataset", "data"), "labels"),
    **dict.fromkeys(("key_column", "label_key", "keys", "id", "ids", "id_column", "index_column"), "labels_key"),
    **dict.fromkeys(("target_column", "y_column", "column"), "label_column"),
    **dict.fromkeys(("x", "x_test", "x_true", "inputs", "samples"), "reference"),
    **dict.fromkeys(("class_names", "class_indices", "label_names", "names"), "classes"),
    **dict.fromkeys(("output_dir", "directory", "folder", "path"), "output"),
    **dict.fromkeys(("run", "run_id", "tracking_uri", "experiment"), "mlflow"),
    **dict.fromkeys(("weight", "weights", "sample_weights"), "sample_weight"),
    **dict.fromkeys(("on_error", "on_mismatch", "action"), "on_failure"),
    **dict.fromkeys(("proof", "level"), "require"),
}
# Options that name a column or an argument.
NAMES = ("label_column", "labels_key", "labels_argument")
# Options that decide what labels and reference are, and how their rows are fingerprinted.
OF_INPUTS = frozenset(
    {"labels", "label_column", "labels_argument", "labels_key", "reference", "key", "fingerprint", "pad_value"}
    | {"sample_weight", "classes"}
)


@dataclass(frozen=True, slots=True)
class MlflowTarget:
    """Where a verdict is recorded in MLflow, and which model it is about.

    Attributes:
        run: ``auto`` (the active run, or ``MLFLOW_RUN_ID``) or a run id.
        model: The model that is evaluated, as MLflow keeps it: ``m-…`` or
            ``models:/NAME/VERSION``. Its page shows the verdict, and a gate on
            the version finds it. None: ``MLFLOW_ACTIVE_MODEL_ID``.
        signing_key: File of the private key that signs the record, as
            ``evalguard keygen`` writes it. None: ``EVALGUARD_SIGNING_KEY``.
    """

    run: str = "auto"
    model: str | None = None
    signing_key: str | None = None


MlflowOption = str | Literal[False] | MlflowTarget


# `Unpack` needs a TypedDict, which cannot be derived from a dataclass; tests/guards/test_options.py compares the two.
class WrapKeywords(TypedDict, total=False):
    """The options of ``GuardOptions`` but ``model``, as keyword arguments: for type checkers and editors."""

    labels: Any
    label_column: str | Mapping[str, str] | None
    labels_argument: str | None
    labels_key: str | None
    reference: Any
    key: str | Callable[[Any], Any] | None
    drop_key: bool
    fingerprint: Callable[[Any], Any] | None
    pad_value: Any
    classes: Any
    require: Require
    on_failure: OnFailure
    on_unproven: OnUnproven
    padding: Padding
    scope: Scope
    duplicate_inputs: DuplicateInputs
    fail_fast: bool
    returns: Returns
    verify_model: bool
    metrics: Any
    sample_weight: Any
    name: str | None
    mlflow: MlflowOption
    output: str | Path | None
    attest_files: Sequence[str | Path]
    show_keys: bool
    sinks: Sequence[Sink]


class GuardKeywords(WrapKeywords, total=False):
    """The options of ``GuardOptions`` as keyword arguments: for type checkers and editors."""

    model: Any


# `eq=False`: labels and reference may be arrays, whose `==` is an array.
@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class GuardOptions:
    """The options of a guard.

    Args:
        labels: External labels in label order: array, list, pandas object,
            ``Labels``, path of a CSV, Parquet, JSONL or ``.npy`` file or of a
            manifest, an image iterator, ``evalguard.collecting(source)``, or a
            callable that is called when the guard ends. For several outputs, a
            mapping from output name to array, or a list or tuple of arrays in
            the order of the outputs. Labels may also be set as ``g.labels``
            before the guard ends. If omitted, the labels of the
            image iterator passed to ``predict`` are used, in the iterator's
            file order.
        label_column: Column of the labels, if ``labels`` is a table.
        labels_argument: Name of the decorated function's argument that holds
            the labels.
        labels_key: Column of the keys, if ``labels`` is a table. Default:
            ``key``, if it is a name.
        reference: Inputs in label order, to recognise each row by its content:
            arrays or trees of them, a callable from sample index to sample, a
            function that returns a new generator of batches, a dataset read
            once in order, or the path of a manifest.
        key: Entry of a dict ``x`` that names each sample, or a callable that
            takes the batch and returns one key per row.
        drop_key: Remove the key from ``x`` before the model sees it. The
            remaining entries are still passed as a dict, so every ``Input``
            needs a matching name.
        fingerprint: Callable that takes ``x`` and returns the part that
            identifies a row. It does not identify samples with different
            inputs for which it is equal.
        pad_value: Value that pads rows (they are compared without it) and
            fills dummy rows.
        classes: Names of the classes in the order of the output columns, or of
            the class numbers that the model returns (for one output between 0
            and 1: the names of 0 and 1). A list, or a mapping from name to
            number as ``class_indices``; for several outputs, a mapping from
            output name to such a list. Labels that are names are converted to
            numbers by it. Default: the names of the labels or the source
            (``class_indices``, ``class_names``); else the names in the labels, sorted.
        require: Weakest proof that is a PASS.
        on_failure: What a FAIL does. ``repair`` returns the rows in label
            order if that is unambiguous.
        on_unproven: What an UNPROVEN does.
        padding: ``trim`` removes known rows and declared dummies after the
            last label.
        scope: ``call``: each call answers all labels. ``session``: all calls
            of the guard answer them together, in order. ``parts``: the calls
            of any models answer them together, in any order, and
            ``Guard.confirm`` shows what is scored; with ``model``, calls in
            other threads are parts as well.
        duplicate_inputs: ``allow`` if the data is known to contain samples
            with equal inputs.
        fail_fast: Stop ``predict`` and ``evaluate`` at the first batch that
            proves a fault: a sample out of position or repeated, a row too
            many, or a target that differs from the label. The report covers
            the rows up to that batch. Needs labels before the call.
        returns: ``predictions``: confirm the result of the decorated function,
            as ``Guard.confirm`` does.
        verify_model: After ``predict``, compute one delivered batch again in
            another order, to test that the model returns each row where it
            received it.
        model: Guard this model only.
        metrics: Metrics for which the report shows the effect of a
            misalignment: a name of ``keras.metrics`` (``accuracy``, ``auc``,
            ``mse``) or of scikit-learn (``sklearn:f1_macro``,
            ``roc_auc_ovr``), a callable ``(y_true, y_pred) -> number``, a list
            of them, a mapping from a name to one of them, or a mapping from
            each output to its metric or a list. After ``predict`` only.
        sample_weight: Sample weight of each label, in label order; or their
            column, if ``labels`` is a table. ``g.sample_weight`` returns them
            in the order of the rows returned. Default: the weights in the
            labels, as from ``Labels.collect``. The ``metrics`` use them, except
            callables without a parameter ``sample_weight``.
        name: Name of the evaluation in reports and records. Default: the
            decorated function's.
        mlflow: ``auto`` (the active run, or ``MLFLOW_RUN_ID``), a run id,
            False, or an ``MlflowTarget``, which also names the model.
        output: Directory for the report's files.
        attest_files: Further files or folders, such as the model, that
            ``attestation.json`` names by SHA-256, besides a labels file.
        show_keys: False keeps keys and the names of samples' files out of
            reports, records and messages, which show row numbers and the
            ``key_digest`` of each key instead. ``g.keys`` and
            ``g.to_frame()`` still contain the keys.
        sinks: Further destinations of reports.

    Attributes:
        policy: The options that the verdict depends on.
        metric_functions: The functions of ``metrics``.
        class_names: ``classes`` by output name; ``""`` if there is one output.

    Raises:
        ConfigError: An option has a value that is not allowed, or two of them
            contradict each other.
    """

    labels: Any = None
    label_column: str | Mapping[str, str] | None = None
    labels_argument: str | None = None
    labels_key: str | None = None
    reference: Any = None
    key: str | Callable[[Any], Any] | None = None
    drop_key: bool = False
    fingerprint: Callable[[Any], Any] | None = None
    pad_value: Any = None
    classes: Any = None
    require: Require = "declared"
    on_failure: OnFailure = "raise"
    on_unproven: OnUnproven = "warn"
    padding: Padding = "forbid"
    scope: Scope = "call"
    duplicate_inputs: DuplicateInputs = "forbid"
    fail_fast: bool = False
    returns: Returns = None
    verify_model: bool = False
    model: Any = None
    metrics: Any = None
    sample_weight: Any = None
    name: str | None = None
    mlflow: MlflowOption = "auto"
    output: str | Path | None = None
    attest_files: Sequence[str | Path] = ()
    show_keys: bool = True
    sinks: Sequence[Sink] = ()
    policy: Policy = field(init=False)
    metric_functions: tuple[Metric, ...] = field(init=False)
    class_names: Mapping[str, ClassNames] = field(init=False)

    def __post_init__(self) -> None:
        if self.labels is not None and self.labels_argument is not None:
            msg = "labels and labels_argument: expected one of them, found both"
            raise ConfigError(msg)
        for name in NAMES:
            refuse_data(name, getattr(self, name))
        if self.drop_key and not isinstance(self.key, str):
            msg = "drop_key: expected key='name of an entry of x' beside it, found no such key"
            raise ConfigError(msg)
        if self.returns is not None:
            check_choice("returns", self.returns, ("predictions",))
        if not isinstance(self.verify_model, bool):
            msg = f"verify_model: expected True or False; found {str(self.verify_model)[:60]!r}."
            raise ConfigError(msg)
        for name, value in (
            ("policy", Policy(**{item.name: getattr(self, item.name) for item in fields(Policy)})),
            ("metric_functions", metrics_of(self.metrics)),
            ("class_names", names_by_output(self.classes)),
        ):
            # The dataclass is frozen, and these are computed from its fields.
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, given: Mapping[str, Any], *, without: frozenset[str] = frozenset()) -> Self:
        """Options from keyword arguments, with current or old names.

        Args:
            given: Option name → value.
            without: Options that the caller does not offer.

        Raises:
            ArgumentError: A name is not an option; the message has the nearest.
            ConfigError: As for the class.
        """
        names = tuple(name for name in option_names() if name not in without)
        given = current_names(given)
        for name in given:
            if name not in names:
                meant = nearest(name, names, {**RENAMED, **MEANT})
                msg = f"unknown option {name!r}.{meant} help(evalguard.guard) shows all {len(names):,} options."
                raise ArgumentError(msg)
        return cls(**given)

    def given(self) -> dict[str, Any]:
        """The options by name, without those that have their default."""
        # By identity: comparing an array with `==` gives no truth value.
        defaults = {item.name: item.default for item in fields(self) if item.init}
        return {name: getattr(self, name) for name in defaults if getattr(self, name) is not defaults[name]}

    def capture(self, content: Literal["always", "targets"]) -> CaptureOptions:
        """What is recorded of each batch; for ``content`` see ``CaptureOptions``."""
        return CaptureOptions(content, self.key, self.drop_key, self.fingerprint, self.pad_value)

    @property
    def key_column(self) -> str | None:
        """Column of the labels with the keys; None if there is none."""
        return self.labels_key if self.labels_key is not None else self.key if isinstance(self.key, str) else None

    def __repr__(self) -> str:
        return f"GuardOptions({', '.join(f'{name}={_short(value)}' for name, value in self.given().items())})"


def option_names() -> tuple[str, ...]:
    """The names of all options, in the order of their documentation."""
    return tuple(item.name for item in fields(GuardOptions) if item.init)


def current_names(given: Mapping[str, Any], stacklevel: int = 4) -> dict[str, Any]:
    """Options under today's names; an old name warns with the new one, and an option without effect is left out.

    Args:
        given: Option name → value.
        stacklevel: Frames up to the caller's line.

    Raises:
        ConfigError: An option is given under both names, or an option without effect has a wrong value.
    """
    found = dict(given)
    for old in [name for name in RENAMED if name in found]:
        new = RENAMED[old]
        if new in found:
            msg = f"{old} and {new}: expected one of them, found both; {old} is the old name"
            raise ConfigError(msg)
        if new in NAMES:
            refuse_data(old, found[old])
        _warn(old, f"write {new}=", stacklevel)
        found[new] = found.pop(old)
    for option in DROPPED.keys() & found.keys():
        del found[option]
        _warn(option, DROPPED[option], stacklevel)
    if "mlflow_model" in found:
        _warn("mlflow_model", "write mlflow=evalguard.MlflowTarget(model=...)", stacklevel)
        model, run = found.pop("mlflow_model"), found.get("mlflow", "auto")
        # `mlflow=False` records nothing, so there is no page of a model to name either.
        if model is not None and isinstance(run, str):
            found["mlflow"] = MlflowTarget(run, model)
    return found


def refuse_data(option: str, value: Any) -> None:
    """Refuse labels or keys themselves where their column or argument is named.

    Raises:
        ConfigError: ``value`` is an array, a list, or any other data.
    """
    # A tuple names a column of a data frame that has several levels of them.
    data = not isinstance(value, (str, tuple, Mapping)) and hasattr(value, "__iter__")
    if data and getattr(value, "shape", None) != ():
        what = "an argument" if option in {"labels_argument", "labels_from"} else "a column"
        msg = f"{option}: expected the name of {what}, found {type(value).__name__}; write labels= for the labels"
        raise ConfigError(msg)


def refuse_positional(function: str, positional: tuple[Any, ...], instead: str) -> None:
    """Refuse arguments without a name, and say what to write.

    Args:
        function: Name of the function.
        positional: What was passed to it.
        instead: The call to write.

    Raises:
        ArgumentError: There is one.
    """
    if positional:
        found = ", ".join(type(value).__name__ for value in positional)
        msg = f"{function}: expected options with their names, found {found} without one; write {instead}"
        raise ArgumentError(msg)


def _warn(old: str, instead: str, stacklevel: int) -> None:
    message = f"the option {old!r} is deprecated and goes away in 0.2: {instead}"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel + 1)


def _short(value: Any) -> str:
    """A value for ``repr``: words and numbers as they are, data as its type and shape."""
    if value is None or isinstance(value, (bool, int, float, str, Path, MlflowTarget)):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"<{type(value).__name__} {shape}>"
    return f"<{getattr(value, '__name__', type(value).__name__)}>"
