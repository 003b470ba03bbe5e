"""Scenarios in which the source does not start at the first sample."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.testing.scenarios.data import Scenario, ScenarioData


def inspected(data: ScenarioData) -> Scenario:
    """A batch was taken from the generator before the call, to inspect it."""

    def predict(model: Any) -> Any:
        stream = data.endless()
        next(stream)
        return model.predict(stream, steps=data.steps, verbose=0)

    return Scenario(predict, "iterator not at its start", True, data.y)


def two_calls(data: ScenarioData) -> Scenario:
    """One generator for two calls, of which the first reads ahead of its ``steps``."""
    first = data.steps // 2

    def predict(model: Any) -> Any:
        stream = data.endless()
        return [model.predict(stream, steps=steps, verbose=0) for steps in (first, data.steps - first)]

    return Scenario(predict, "source ahead of the first call", True, data.y, {"scope": "session"})


def left_in_the_queue(data: ScenarioData) -> Scenario:
    """``workers=2`` and ``validation_steps``: a validation begins with batches left in the queue of the last one."""

    def train(model: Any) -> Any:
        import keras

        # A copy, so that the caller's model keeps its weights and how it was compiled.
        copied = keras.models.clone_model(model)
        copied.compile(loss=lambda _, predicted: keras.ops.mean(predicted, axis=-1))
        options = {"validation_data": data.pydataset()(workers=2), "validation_steps": data.steps // 2 + 1}
        return copied.fit(*data.rows(range(data.batch_size)), epochs=2, verbose=0, **options)

    return Scenario(train, "leftover queue, `workers > 1`", False, data.y, training=True)


def reads_on(data: ScenarioData) -> Scenario:
    """``__getitem__`` returns the next batch for any index."""
    stream = data.endless()
    made = type("ReadsOn", (data.pydataset(),), {"__getitem__": lambda self, index: next(stream)})
    return data.predict_scenario(made, "`__getitem__` depends on more than its index", certain=True)


def one_buffer(data: ScenarioData) -> Scenario:
    """One array is overwritten for each batch."""
    buffer = aligned((data.batch_size, *data.x.shape[1:]), data.x.dtype)

    def stream() -> Iterator[Any]:
        for ids in data.cut(np.arange(data.n)):
            part = buffer[: len(ids)]
            part[:] = data.x[ids]
            yield part, data.y[ids]

    given = {"reference": None}
    cause = "the source fills its array again"
    return Scenario(lambda model: model.predict(stream(), steps=data.steps, verbose=0), cause, True, data.y, given)


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array of zeros at an address that TensorFlow uses without a copy."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    view: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return view
