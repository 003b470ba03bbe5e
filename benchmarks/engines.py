"""What guarding costs elsewhere than in Keras 3's ``predict``: its ``evaluate``, and ``predict`` of tf_keras."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tf_keras

import evalguard
from benchmarks.overhead import BATCH, Batches, Subject, source_of
from benchmarks.pairs import Ratio, compare

EVALUATE_BUDGET = 1.05
TF_KERAS_BUDGET = 1.15
KINDS = ("pydataset", "generator", "arrays", "tf.data")

Row = tuple[str, str, Ratio, float]


def figures(subject: Subject, pairs: int) -> Iterator[Row]:
    """What was called, kind of source, ratio and budget; the no-op model in each."""
    subject.model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    for kind in KINDS:
        yield "evaluate", kind, evaluate(subject, kind, pairs), EVALUATE_BUDGET
    model = no_op_model()
    for kind in KINDS:
        yield "tf_keras", kind, predict(model, subject, kind, pairs), TF_KERAS_BUDGET


def evaluate(subject: Subject, kind: str, pairs: int) -> Ratio:
    """``evaluate`` with a loss and a compiled metric; the stream's targets are compared with the labels."""
    fresh = source_of(kind, subject.x, None if kind == "arrays" else subject.y)
    arguments: dict[str, Any] = {"verbose": 0, **({"y": subject.y, "batch_size": BATCH} if kind == "arrays" else {})}
    if kind == "generator":
        arguments["steps"] = -(-len(subject.x) // BATCH)
    return guarded_over_bare(lambda: subject.model.evaluate(fresh(), **arguments), subject, pairs)


def predict(model: Any, subject: Subject, kind: str, pairs: int) -> Ratio:
    """``predict`` of tf_keras, where tags alone are the proof."""
    fresh = source_of(kind, subject.x, None) if kind != "pydataset" else lambda: Items(subject.x, None)
    batch_size = BATCH if kind == "arrays" else None
    steps = -(-len(subject.x) // BATCH) if kind == "generator" else None
    return guarded_over_bare(
        lambda: model.predict(fresh(), batch_size=batch_size, steps=steps, verbose=0), subject, pairs
    )


def guarded_over_bare(call: Callable[[], object], subject: Subject, pairs: int) -> Ratio:
    """One call with a guard around it over the same without."""
    guard = evalguard.guard(
        labels=subject.y, mlflow=False, on_failure="record", on_unproven="record", equal_samples="allow"
    )

    def guarded() -> None:
        with guard:
            call()

    ratio = compare(call, guarded, pairs=pairs)
    assert guard.report.verdict is not evalguard.Verdict.FAIL, guard.report.headline
    assert guard.report.proof not in {"none", "count"}, guard.report.headline
    return ratio


def no_op_model() -> Any:
    """A model of tf_keras that does almost nothing."""
    layers = [tf_keras.Input((32,)), tf_keras.layers.Dense(64, activation="relu"), tf_keras.layers.Dense(10)]
    return tf_keras.Sequential(layers)


class Items(tf_keras.utils.Sequence):
    """The arrays as a Sequence: the same items as of the PyDataset."""

    def __init__(self, x: Any, y: Any | None) -> None:
        self.batches = Batches(x, y)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]
