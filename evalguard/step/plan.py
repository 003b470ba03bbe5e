"""Check a step as far as possible without predicting, and describe what it would do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalguard.core.plural import plural
from evalguard.core.policy import Proof
from evalguard.core.shown_keys import error_text, keys_shown, shown_key
from evalguard.data import kinds, tree
from evalguard.errors import ConfigError
from evalguard.step.config.read import Settings, read_all
from evalguard.step.config.step_file import Step
from evalguard.step.imports import importable
from evalguard.step.mlflow_run import key_of, shown, target_of
from evalguard.step.opened import Opened, is_tf_keras_model, open_step
from evalguard.tracking.could_record import ABSENT, is_absent, not_recordable
from evalguard.tracking.signing import signing_key
from evalguard.tracking.target import Target


@dataclass(frozen=True, slots=True)
class Plan:
    """What an evaluation would do.

    Attributes:
        text: The lines to print.
        problem: Why its verdict could not be recorded although the step requires that; else empty.
    """

    text: str
    problem: str


def plan_all(path: Path, settings: Settings | None = None) -> Iterator[Plan]:
    """Yield for each evaluation of a step file what it would do.

    Raises:
        ConfigError: The step file is wrong, or something that it names cannot be used.
        LabelsError: The labels cannot be used.
    """
    base = path.resolve().parent
    for step in read_all(path, settings):
        with importable(base), keys_shown(step.outputs.show_keys):
            plan = _plan(step, open_step(step, base))
        yield plan


def _plan(step: Step, opened: Opened) -> Plan:
    batch = _first_batch(opened)
    x, y, _ = tree.unpack(batch)
    _refuse_shape(opened, x)
    proof, reason = _expected_proof(opened, y)
    rows = "unknown" if opened.stream.n_rows is None else f"{opened.stream.n_rows:,}"
    first = None if opened.labels.keys is None else shown_key(opened.labels.keys[0], 60)
    keys = "" if first is None else f", each with a key (the first: {first!r})"
    required = Proof(step.checks.require)
    weak = proof < required and not reason.startswith("unknown")
    target = target_of(step, opened.base)
    # A key that cannot be read is the user's error.
    signing_key(key_of(step, opened.base))
    why = "" if target is None else not_recordable(target)
    lines = [
        f"{step.name}: the step file and its inputs are valid; nothing was predicted",
        f"  model    {type(opened.model).__name__}, {plural(opened.model.count_params(), 'parameter')}",
        f"  data     {type(opened.stream.source).__name__.lstrip('_')}, rows: {rows}, inputs {_shapes(x)}",
        f"  labels   {opened.labels.name}, {plural(len(opened.labels), 'row')}{keys}",
        f"  proof    {proof}: {reason}",
        f"  require  {step.checks.require}{'; this would be UNPROVEN' if weak else ''}",
        f"  record   {shown(target)}",
        *([] if target is None else [f"  server   {_answer(target, why)}"]),
        f"  reports  {opened.base / step.outputs.directory if step.outputs.directory else 'on the terminal only'}",
    ]
    problem = f"{step.name}: mlflow.required: expected a server that could record the verdict, found: {why}"
    return Plan("\n".join(lines), problem if why and step.mlflow.required else "")


def _answer(target: Target, why: str) -> str:
    if why:
        return f"{why}; the verdict would stay in the spool, for `evalguard replay`"
    return ABSENT if is_absent(target.tracking_uri) else "answers; nothing was written to it"


def _first_batch(opened: Opened) -> Any:
    """The first batch, or the first rows of arrays.

    Raises:
        ConfigError: There is no first batch, or making it failed.
    """
    source = opened.stream.source
    try:
        if kinds.is_arrays(source):
            return (tree.map_leaves(lambda leaf: (leaf.iloc if hasattr(leaf, "iloc") else leaf)[:1], source),)
        if kinds.is_pydataset(source) or kinds.is_sequence(source):
            return source[0]
        return next(iter(source))
    except Exception as error:
        msg = f"data: expected a first batch, found {error_text(error)}"
        raise ConfigError(msg) from error


def _refuse_shape(opened: Opened, x: Any) -> None:
    """Run the model's own check of its inputs, on symbolic tensors with shape and dtype of the first batch.

    Raises:
        ConfigError: The model does not accept such inputs.
    """
    if is_tf_keras_model(opened.model):
        return
    import keras

    def symbol(leaf: Any) -> Any:
        return keras.KerasTensor((None, *leaf.shape[1:]), dtype=keras.backend.standardize_dtype(leaf.dtype))

    try:
        opened.model(tree.map_leaves(symbol, x))
    except (ValueError, TypeError) as error:
        said = " ".join(str(error).split())
        msg = f"data: the model does not accept inputs {_shapes(x)}: {said}"
        raise ConfigError(msg) from error


def _shapes(x: Any) -> str:
    shapes = [f"{leaf.dtype if hasattr(leaf, 'dtype') else '?'} {tuple(leaf.shape[1:])}" for leaf in tree.leaves(x)]
    return ", ".join(str(shape).replace("<dtype: '", "").replace("'>", "") for shape in shapes)


def _expected_proof(opened: Opened, y: Any) -> tuple[Proof, str]:
    """The strongest proof that can be expected, and the reason."""
    source, labels = opened.stream.source, opened.labels
    if opened.reference is not None or labels.fingerprints is not None:
        return Proof.IDENTITY, "each row is recognised by its content"
    if labels.keys is not None and (opened.stream.key is not None or opened.step.checks.key is not None):
        return Proof.IDENTITY, "each row carries its key"
    if callable(getattr(source, "sample_indices", None)) or hasattr(source, "index_array"):
        return Proof.IDENTITY, "the data says which sample each row is"
    if kinds.is_arrays(source):
        return Proof.DECLARED, "a row's position in the arrays is assumed to be its sample"
    if y is not None:
        return Proof.LABELS, "the stream's own y is compared with the labels, if no two inputs are equal"
    if kinds.is_generator(source):
        return Proof.TRANSPORT, "unknown beforehand: identity if the generator yields evalguard.tagged batches"
    return Proof.TRANSPORT, "nothing shows which sample a row is; give data a key, or checks.reference"
