"""What guarding costs: guarded over bare ``predict``, for each kind of source and two models.

The no-op model does almost nothing (MLP 32→64→10, batch 32, 50,000 rows), so
what is left is the price of the loop; the conv net (64×64×3, batch 32) is small
as conv nets go.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import evalguard
from benchmarks.pairs import Ratio, compare, ratio_of

BATCH = 32
MLP_ROWS = 50_000
CONV_ROWS = 1_920
STRETCHES = 6


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with its data.

    Attributes:
        name: For the table.
        model: Built and ready.
        x: Inputs, float32.
        y: Targets, int64.
        budgets: Highest ratio allowed, by kind of source, for transport alone.
        content_budget: Highest ratio allowed for fingerprints alone.
    """

    name: str
    model: Any
    x: Any
    y: Any
    budgets: dict[str, float]
    content_budget: float


def mlp() -> Subject:
    """A model that does almost nothing."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((32,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(MLP_ROWS, 32)).astype("float32")
    budgets = {"pydataset": 1.10, "generator": 1.10, "arrays": 1.15, "tf.data": 1.15}
    return Subject("no-op MLP", keras.Sequential(layers), x, rng.integers(0, 10, MLP_ROWS), budgets, 1.03)


def conv() -> Subject:
    """Keras' own small conv net, that of its example *Simple MNIST convnet*, for images of 64×64×3."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((64, 64, 3)),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(10, activation="softmax"),
    ]
    rng = np.random.default_rng(0)
    x = rng.random(size=(CONV_ROWS, 64, 64, 3), dtype="float32")
    budgets = dict.fromkeys(("pydataset", "generator", "arrays", "tf.data"), 1.02)
    return Subject("conv net", keras.Sequential(layers), x, rng.integers(0, 10, CONV_ROWS), budgets, 1.01)


class Batches(keras.utils.PyDataset):
    """The arrays as a PyDataset."""

    def __init__(self, x: Any, y: Any | None) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return -(-len(self.x) // BATCH)

    def __getitem__(self, index: int) -> Any:
        rows = slice(index * BATCH, (index + 1) * BATCH)
        return (self.x[rows],) if self.y is None else (self.x[rows], self.y[rows])


def generator(x: Any, y: Any | None) -> Iterator[Any]:
    """The arrays as a generator."""
    for start in range(0, len(x), BATCH):
        rows = slice(start, start + BATCH)
        yield (x[rows],) if y is None else (x[rows], y[rows])


def source_of(kind: str, x: Any, y: Any | None) -> Callable[[], Any]:
    """A function that gives a fresh source of this kind."""
    if kind == "tf.data":
        dataset = tf.data.Dataset.from_tensor_slices(x if y is None else (x, y)).batch(BATCH)
        return lambda: dataset
    kinds: dict[str, Callable[[], Any]] = {
        "arrays": lambda: x,
        "pydataset": lambda: Batches(x, y),
        "generator": lambda: generator(x, y),
    }
    return kinds[kind]


def measure(subject: Subject, kind: str, proof: str, pairs: int) -> Ratio:
    """Guarded over bare.

    Args:
        subject: Model and data.
        kind: Kind of source.
        proof: ``transport``: tags alone; ``content``: tags and fingerprints
            of every row against a reference; ``labels``: the stream's targets.
        pairs: Alternating pairs.
    """
    y = subject.y if proof == "labels" and kind != "arrays" else None
    fresh = source_of(kind, subject.x, y)
    # Arrays and datasets know where they end; a generator's user says how many steps to take.
    steps = -(-len(subject.x) // BATCH) if kind == "generator" else None
    options: dict[str, Any] = {"labels": subject.y, "mlflow": False, "on_unproven": "record"}
    if proof == "content":
        options["reference"] = subject.x
    guard = evalguard.guard(**options)

    def bare() -> None:
        subject.model.predict(fresh(), batch_size=BATCH if kind == "arrays" else None, steps=steps, verbose=0)

    def guarded() -> None:
        with guard:
            bare()

    ratio = compare(bare, guarded, pairs=pairs)
    expected = {"transport": {"transport", "identity"}, "content": {"identity"}, "labels": {"labels", "identity"}}
    assert guard.report.proof in expected[proof], guard.report.headline
    return ratio


def fingerprints_alone(subject: Subject, pairs: int) -> Ratio:
    """The compiled function on ready batches, with and without the fingerprints of what it is fed.

    A few microseconds in a thousand: calls of seconds differ by more than that,
    so stretches of one call take turns, sixth by sixth, ``2 * pairs`` calls of them.
    """
    from evalguard.engines.batches import take
    from evalguard.engines.recorder import Recorder, Wanted

    dataset = tf.data.Dataset.from_tensor_slices(subject.x).batch(BATCH)
    model = subject.model
    stretch = len(subject.x) // BATCH // STRETCHES
    times: tuple[list[float], list[float]] = ([], [])

    def call(first: int) -> None:
        function, number, started = model.predict_function, 0, 0.0
        recorder = Recorder(Wanted("always"))

        def tap(data: list[Any]) -> Any:
            nonlocal number, started, recorder
            part, place = divmod(number, stretch)
            hashed = (part + first) % 2 == 1
            if place == 0:
                if number:
                    times[1 - hashed].append(time.perf_counter() - started)
                recorder, started = Recorder(Wanted("always")), time.perf_counter()
            number += 1
            if not hashed:
                return function(data)
            rows = function([take(recorder, batch) for batch in data])
            if place == stretch - 1:
                recorder.settle()
            return rows

        model.predict_function = tap
        try:
            model.predict(dataset, verbose=0)
        finally:
            model.predict_function = function

    model.predict(subject.x[:BATCH], verbose=0)
    call(0)
    for way in times:
        way.clear()
    for number in range(2 * pairs):
        gc.collect()
        call(number % 2)
    return ratio_of(*times)
