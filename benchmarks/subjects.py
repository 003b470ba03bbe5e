"""What is measured: two models of each engine, and their data as each kind of source.

The no-op model does almost nothing (MLP 32→64→10, batch 32), so what is left is
the price of the loop; the conv net (64×64×3, batch 32) is small as conv nets go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

BATCH = 32
MLP, CONV = "no-op MLP", "conv net"
KERAS_3, TF_KERAS = "Keras 3", "tf_keras"
KINDS = ("pydataset", "generator", "arrays", "tf.data")


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with its data.

    Attributes:
        engine: ``Keras 3`` or ``tf_keras``.
        name: For the table.
        model: Built and compiled.
        x: Inputs, float32.
        y: Targets, int64.
    """

    engine: str
    name: str
    model: Any
    x: Any
    y: Any

    @property
    def batches(self) -> int:
        """Batches in a pass."""
        return -(-len(self.x) // BATCH)

    def of_rows(self, rows: int) -> Subject:
        """The same model with the first of its rows."""
        return replace(self, x=self.x[:rows], y=self.y[:rows])


def subject(engine: str, name: str, rows: int) -> Subject:
    """A model of an engine with this many rows."""
    model, shape = _model(engine, name)
    rng = np.random.default_rng(0)
    return Subject(engine, name, model, rng.random(size=(rows, *shape), dtype="float32"), rng.integers(0, 10, rows))


def twin(subject: Subject) -> Subject:
    """The same data, and a separate copy of the model."""
    return replace(subject, model=_model(subject.engine, subject.name)[0])


def _model(engine: str, name: str) -> tuple[Any, tuple[int, ...]]:
    """Model, and the shape of a row."""
    library = {KERAS_3: keras, TF_KERAS: tf_keras}[engine]
    library.utils.set_random_seed(0)
    model, shape = {MLP: _mlp, CONV: _conv}[name](library)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, shape


def _mlp(library: Any) -> tuple[Any, tuple[int, ...]]:
    layers = library.layers
    parts = [library.Input((32,)), layers.Dense(64, activation="relu"), layers.Dense(10)]
    return library.Sequential(parts), (32,)


def _conv(library: Any) -> tuple[Any, tuple[int, ...]]:
    """Keras' own small conv net, that of its example *Simple MNIST convnet*, for images of 64×64×3."""
    layers, shape = library.layers, (64, 64, 3)
    parts = [
        library.Input(shape),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]
    return library.Sequential(parts), shape


class Batches(keras.utils.PyDataset):
    """The arrays as a PyDataset."""

    def __init__(self, x: Any, y: Any | None) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return -(-len(self.x) // BATCH)

    def __getitem__(self, index: int) -> Any:
        return _batch(self.x, self.y, index * BATCH)


class Items(tf_keras.utils.Sequence):
    """The arrays as a Sequence of tf_keras: the same items."""

    def __init__(self, x: Any, y: Any | None) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return -(-len(self.x) // BATCH)

    def __getitem__(self, index: int) -> Any:
        return _batch(self.x, self.y, index * BATCH)


def generator(x: Any, y: Any | None) -> Iterator[Any]:
    """The arrays as a generator."""
    for start in range(0, len(x), BATCH):
        yield _batch(x, y, start)


def _batch(x: Any, y: Any | None, start: int) -> Any:
    rows = slice(start, start + BATCH)
    return (x[rows],) if y is None else (x[rows], y[rows])


class Clock:
    """A callback that times calls of ``predict`` and ``evaluate`` without a wait that is not theirs.

    Where an iterator of ``tf.data`` is given up while its tuner sleeps (tensorflow
    2.21, ``core/framework/model.cc``, ``OptimizeLoop``: 10 ms, then twice as long
    each time), a call now and then returns only when that sleep is over, up to as
    late again as it took. So of what follows the last step, the judgement with it,
    the processor's time is taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ended = self._used = 0.0

    def on_predict_end(self, logs: Any = None) -> None:
        """Keras calls it after the last step."""
        del logs
        self._ended, self._used = time.perf_counter(), time.process_time()

    on_test_end = on_predict_end

    def since(self, start: float) -> float:
        """Seconds that the last call has taken, which began then (``time.perf_counter``)."""
        assert self._ended > start
        return self._ended - start + time.process_time() - self._used


class _Clock3(Clock, keras.callbacks.Callback):
    """For Keras 3."""


class _Clock2(Clock, tf_keras.callbacks.Callback):
    """For tf_keras."""


def clock_of(subject: Subject) -> Any:
    """A clock that the subject's engine takes as a callback."""
    return _Clock3() if subject.engine == KERAS_3 else _Clock2()


def call_of(subject: Subject, method: str, kind: str, *, targets: bool, clock: Any = None) -> Callable[[], Any]:
    """One ``predict`` or ``evaluate`` of all rows, from a fresh source of this kind.

    Args:
        subject: Model and data.
        method: ``predict`` or ``evaluate``.
        kind: One of ``KINDS``.
        targets: Whether the stream carries targets; ``evaluate`` needs them.
        clock: Callback of each call, or None.
    """
    x, y = subject.x, subject.y if targets else None
    arguments: dict[str, Any] = {"verbose": 0, "callbacks": [clock] if clock is not None else None}
    sequence = Batches if subject.engine == KERAS_3 else Items
    if kind == "arrays":
        arguments |= {"batch_size": BATCH, **({"y": y} if targets else {})}
    elif kind == "generator":
        # Arrays and datasets know where they end; a generator's user says how many steps to take.
        arguments["steps"] = subject.batches
    dataset = tf.data.Dataset.from_tensor_slices(x if y is None else (x, y)).batch(BATCH) if kind == "tf.data" else None
    fresh: dict[str, Callable[[], Any]] = {
        "arrays": lambda: x,
        "pydataset": lambda: sequence(x, y),
        "generator": lambda: generator(x, y),
        "tf.data": lambda: dataset,
    }
    source = fresh[kind]
    # A method that was looked up before the guard began is not guarded.
    return lambda: getattr(subject.model, method)(source(), **arguments)
