"""Set-ups drawn at random, some with classes that mean others: no FAIL, PASS or hazard is false."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict
from evalguard.core.class_names import ClassNames
from evalguard.core.label_table import LabelTable
from evalguard.guards.predicted_classes import SEEM

POOL = ["ape", "bee", "cow", "dog", "emu", "fox", "gnu"]


@cache
def echo(columns: int) -> Any:
    inputs = keras.Input((columns,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@dataclass
class Drawn:
    """A set-up.

    Attributes:
        names: Names of the classes, in the model's order.
        x: Scores that the model returns.
        text: The class of each row.
        labelled: The class that its label says: two rows may have each other's.
        other: Number of each class in another numbering, of the classes that are there.
    """

    names: list[str]
    x: Any
    text: Any
    labelled: Any
    other: dict[str, int]

    @classmethod
    def of(cls, rng: np.random.Generator) -> "Drawn":
        classes, rows = int(rng.integers(2, 7)), int(rng.integers(30, 250))
        names = [str(name) for name in rng.permutation(POOL)[:classes]]
        numbers = rng.integers(0, classes, rows)
        if classes > 2 and rng.random() < 0.4:
            numbers[numbers == rng.integers(0, classes)] = rng.integers(0, classes)
        predicted = np.where(rng.random(rows) < rng.choice([0.3, 0.6, 0.9, 1]), numbers, rng.integers(0, classes, rows))
        x = (np.eye(classes)[predicted] + rng.random((rows, classes)) * 0.4).astype("float32")
        text = np.asarray(names)[numbers]
        labelled = text.copy()
        first = int(rng.integers(0, rows))
        others = np.flatnonzero(text != text[first])
        if len(others) and rng.random() < 0.25:
            second = rng.choice(others)
            labelled[[first, second]] = labelled[[second, first]]
        present = sorted(set(text)) if rng.random() < 0.5 else rng.permutation(sorted(set(text)))
        return cls(names, x, text, labelled, {str(name): number for number, name in enumerate(present)})

    def numbers(self, text: Any, *, other: bool) -> Any:
        return np.asarray([self.other[name] if other else self.names.index(name) for name in text])

    def labels(self, kind: str) -> Any:
        if kind == "names":
            return self.labelled
        values = self.numbers(self.labelled, other=kind != "model")
        return (
            LabelTable(values=values, classes=ClassNames(tuple(self.other), "a folder")) if kind == "named" else values
        )

    def stream(self, kind: str, *, one_hot: bool) -> Any:
        if kind == "none":
            return self.x
        y = self.numbers(self.text, other=kind != "model")
        classes = len(self.names) if kind == "model" else len(self.other)
        dataset = tf.data.Dataset.from_tensor_slices((self.x, np.eye(classes, dtype="float32")[y] if one_hot else y))
        dataset = dataset.batch(32)
        if kind == "named":
            dataset.class_names = list(self.other)
        return dataset


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["names", "model", "other", "named"])
@pytest.mark.parametrize("stream", ["none", "model", "other", "named"])
@pytest.mark.parametrize("given", [True, False], ids=["classes", "no-classes"])
def test_labels_are_right_or_wrong_as_the_numbers_say(labels, stream, given):
    for seed in range(12):
        rng = np.random.default_rng([seed, *map(ord, labels[0] + stream[0]), given])
        drawn = Drawn.of(rng)
        options: dict[str, Any] = {"classes": drawn.names} if given else {}
        if rng.random() < 0.4:
            options["reference"] = drawn.x
        quiet: dict[str, Any] = {"on_failure": "record", "on_unproven": "record", "mlflow": False}
        with evalguard.guard(labels=drawn.labels(labels), duplicate_inputs="allow", **quiet, **options) as g:
            echo(len(drawn.names)).predict(drawn.stream(stream, one_hot=rng.random() < 0.3), verbose=0)
        report = g.report
        alike = all(drawn.names.index(name) == number for name, number in drawn.other.items())
        rows_right = bool((drawn.text == drawn.labelled).all())
        numbers_right = labels in {"names", "model"} or alike
        # Nothing says that the stream's numbers mean others: they contradict the labels.
        said = stream in {"none", "model"} or alike or (stream == "named" and (given or labels == "names"))
        if rows_right and numbers_right and said:
            assert report.verdict is not Verdict.FAIL, (seed, report.headline)
        if given and labels == "named" and not alike:
            assert report.verdict is Verdict.FAIL, seed
        if not rows_right:
            assert (report.verdict, report.proof) != (Verdict.PASS, "labels"), seed
        if numbers_right and (given or labels != "names"):
            assert not any(hazard.startswith(SEEM) for hazard in report.hazards), (seed, report.hazards)
