"""Run evaluations of one kind in a guard, and count which causes are named."""

from __future__ import annotations

import os
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.diagnosis.data import FEATURES, Data, Evaluation, Unsuitable, drawn
from benchmarks.diagnosis.kinds import ANY, RIGHT, Kind
from evalguard.core.own_errors import STRICT

# Times that random sizes are drawn for one instance.
MOST_DRAWS = 500


@dataclass(slots=True)
class Row:
    """What became of one kind.

    Attributes:
        kind: It.
        instances: Evaluations that ran.
        right: Those in which the first cause was right.
        certain: Those in which it was certain, too.
        certain_wrong: Causes that were certain and wrong.
        instead: What was named first instead, how often.
        examples: The first wrong instances, to run again alone.
    """

    kind: Kind
    instances: int = 0
    right: int = 0
    certain: int = 0
    certain_wrong: int = 0
    instead: Counter[str] = field(default_factory=Counter)
    examples: list[int] = field(default_factory=list)


def models() -> Mapping[str, Any]:
    """The models that evaluations use, by name; rows of different inputs have different outputs."""
    import keras
    import tf_keras

    keras.utils.set_random_seed(1)
    numbers = keras.Input((FEATURES,), name="x")
    pixels, tokens = keras.Input((FEATURES, 1, 3), name="x"), keras.Input((None,), dtype="int32", name="x")
    embedded = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(100, 8, mask_zero=True)(tokens))
    steps = keras.Input((None, FEATURES), name="x")
    trained = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
    trained.compile(optimizer="sgd", loss="mse")
    moving = {"sorting": keras.ops.sort, "rolling": partial(keras.ops.roll, shift=1), "reversing": keras.ops.flip}
    scored = keras.layers.Dense(3)(numbers)
    returned: dict[str, Callable[[Any], Any]] = {
        "returns sorted": lambda rows: rows[np.argsort(rows[:, 0])],
        "returns backwards": np.flipud,
        "returns late": partial(np.roll, shift=1, axis=0),
        "returns as computed": lambda rows: rows,
    }
    return {
        "": keras.Model(numbers, scored),
        **{name: keras.Model(numbers, moved(scored, axis=0)) for name, moved in moving.items()},
        **{name: overriding(change)(numbers, scored) for name, change in returned.items()},
        "images": keras.Model(pixels, keras.layers.Dense(3)(keras.layers.Flatten()(pixels))),
        "tokens": keras.Model(tokens, keras.layers.Dense(3)(embedded)),
        "windows": keras.Model(steps, keras.layers.Dense(3)(keras.layers.Flatten()(keras.ops.mean(steps, axis=1)))),
        "trained": trained,
        "tf_keras": tf_keras.Sequential([tf_keras.Input((FEATURES,)), tf_keras.layers.Dense(3)]),
    }


def overriding(change: Callable[[Any], Any]) -> Any:
    """A class of models whose ``predict`` changes what it returns."""
    import keras

    class Overriding(keras.Model):
        def predict(self, *given: Any, **options: Any) -> Any:
            return change(super().predict(*given, **options))

    return Overriding


def instance(kind: Kind, number: int, folder: Path) -> tuple[Data, Evaluation]:
    """Instance ``number`` of a kind: the same one each time."""
    for draw in range(MOST_DRAWS):
        rng = np.random.default_rng([zlib.crc32(kind.name.encode()), number, draw])
        data = drawn(rng, folder)
        try:
            return data, kind.make(data)
        except Unsuitable:
            continue
    msg = f"{kind.name}: no suitable sizes among {MOST_DRAWS} draws"
    raise RuntimeError(msg)


def report_of(evaluation: Evaluation, known: Mapping[str, Any]) -> Any:
    """The report of one guarded evaluation."""
    import evalguard

    # A recogniser that fails is a fault here, not a cause that was not named.
    os.environ[STRICT] = "1"
    model = known[evaluation.model]
    options: dict[str, Any] = {"on_failure": "record", "on_unproven": "record", "mlflow": False}
    options |= evaluation.labels | evaluation.options
    if options.get("model") == "given":
        options["model"] = model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guard: Any = evalguard.ValidationGuard if evaluation.validates else evalguard.guard
        with guard(**options) as g:
            rows = evaluation.call(model)
            if evaluation.confirmed:
                g.confirm(rows, evaluation.y_true)
    return g.report


def measure(kind: Kind, instances: int, known: Mapping[str, Any]) -> Row:
    """Run instances of one kind."""
    row = Row(kind)
    for number in range(instances):
        with tempfile.TemporaryDirectory() as folder:
            _, evaluation = instance(kind, number, Path(folder))
            report = report_of(evaluation, known)
        count(row, number, report)
    return row


def count(row: Row, number: int, report: Any) -> None:
    """Count one report."""
    causes, kind = report.diagnosis, row.kind
    first = causes[0].cause if causes else f"({report.verdict} without a cause)"
    if kind.causes == (RIGHT,):
        right = report.verdict != "FAIL" and not causes
    else:
        right = bool(causes) and (kind.causes == (ANY,) or first.startswith(kind.causes))
    wrong = [cause for cause in causes if cause.certain and (kind.negative or not cause.cause.startswith(kind.causes))]
    row.instances += 1
    row.right += right
    row.certain += right and bool(causes) and causes[0].certain
    row.certain_wrong += len(wrong)
    for cause in wrong:
        row.instead[f"CERTAIN {cause.cause}"] += 1
    if not right:
        row.instead[first] += 1
    if wrong or not right:
        row.examples.append(number)
