"""Keras 3 on the TensorFlow backend: a tap just before the compiled function.

Keras' loop (keras 3.15, ``keras/src/backend/tensorflow/trainer.py``) calls
``make_predict_function()`` and then, for each execution,
``self.predict_function(data)`` with a list of ``steps_per_execution`` eager
batches. ``make_predict_function`` and ``predict_function`` are public
attributes of a model, documented for overriding. While a guarded call runs,
``make_predict_function`` of that one model puts a ``Tap`` before the function
it makes. ``tests/engines/test_keras3_contract.py`` notices if Keras changes this.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evalguard import nests
from evalguard.engines.recorder import Recorder

NAME = "keras3"
_lock = threading.RLock()
_taps: dict[int, _ModelTaps] = {}


def model_class() -> type | None:
    """``keras.Model`` if Keras 3 has been imported."""
    keras = sys.modules.get("keras")
    return getattr(keras, "Model", None)


def unsupported() -> str:
    """Why this engine cannot observe rows here; empty if it can."""
    backend = sys.modules["keras"].config.backend()
    return (
        "" if backend == "tensorflow" else f"Keras runs on the {backend} backend; rows are observed on tensorflow only"
    )


class Tap:
    """Stands in for a compiled function; takes tags off and notes what is fed.

    Calls from threads that do not guard this model pass straight through.
    """

    def __init__(self, function: Callable[[Any], Any], recorders: dict[int, list[Recorder]]) -> None:
        self.function = function
        self._recorders = recorders

    def __call__(self, data: Any) -> Any:
        """Feed the batches without their tags."""
        stack = self._recorders.get(threading.get_ident())
        if not stack:
            return self.function(data)
        return self.function([take(stack[-1], item) for item in data])


def take(recorder: Recorder, data: Any) -> Any:
    """Note one distributed batch; hand on what the model shall get."""
    batch, tag = recorder.unwrap(data)
    if tag is not None and not _per_replica(tag):
        return recorder.take(batch, tag)
    if tag is None:
        if any(_per_replica(leaf) for leaf in nests.leaves(batch)):
            for part in _local_batches(batch):
                recorder.take(part, None)
            return batch
        return recorder.take(batch, None)
    for part, rows in zip(_local_batches(batch), tag.values, strict=True):
        recorder.take(part, rows)
    return _stripped(recorder, batch)


def _stripped(recorder: Recorder, batch: Any) -> Any:
    return recorder.without_key(batch) if recorder.wanted.strip_key else batch


def _per_replica(leaf: Any) -> bool:
    """Whether a strategy split this leaf over replicas (``tf.distribute.DistributedValues``)."""
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(leaf, tf.distribute.DistributedValues)


def _local_batches(batch: Any) -> list[Any]:
    """The batch as each local replica sees it, in replica order."""
    first = next(leaf for leaf in nests.leaves(batch) if _per_replica(leaf))

    def part(number: int) -> Any:
        return nests.map_leaves(lambda leaf: leaf.values[number] if _per_replica(leaf) else leaf, batch)

    return [part(number) for number in range(len(first.values))]


class _ModelTaps:
    """The taps of one model: installed once, shared by the threads that guard it."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.recorders: dict[int, list[Recorder]] = {}
        self.users = 0
        self._had = "make_predict_function" in vars(model)
        self._make = model.make_predict_function
        model.make_predict_function = self._make_tapped

    def _make_tapped(self, force: bool = False) -> Any:
        model = self.model
        with _lock:
            if isinstance(model.predict_function, Tap):
                model.predict_function = model.predict_function.function
            self._make(force=force) if force else self._make()
            model.predict_function = Tap(model.predict_function, self.recorders)
            return model.predict_function

    def remove(self) -> None:
        """Leave the model as an unguarded call would have left it."""
        if self._had:
            self.model.make_predict_function = self._make
        else:
            del self.model.make_predict_function
        if isinstance(self.model.predict_function, Tap):
            self.model.predict_function = self.model.predict_function.function


@contextmanager
def tap(model: Any, recorder: Recorder) -> Iterator[None]:
    """Observe this model's executions in this thread for the length of the block."""
    thread = threading.get_ident()
    with _lock:
        taps = _taps.get(id(model))
        if taps is None:
            taps = _taps[id(model)] = _ModelTaps(model)
        taps.users += 1
        taps.recorders.setdefault(thread, []).append(recorder)
    try:
        yield
    finally:
        with _lock:
            stack = taps.recorders[thread]
            stack.remove(recorder)
            if not stack:
                del taps.recorders[thread]
            taps.users -= 1
            if taps.users == 0:
                del _taps[id(model)]
                taps.remove()
