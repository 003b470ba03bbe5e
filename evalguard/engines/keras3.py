"""Keras 3 on the TensorFlow backend: a tap just before the compiled function.

Keras' loop (keras 3.15, ``keras/src/backend/tensorflow/trainer.py``) calls
``make_predict_function()`` and then, for each execution,
``self.predict_function(data)`` with a list of ``steps_per_execution`` eager
batches; ``evaluate`` does the like with ``test_function`` and an iterator.
These are public attributes of a model, documented for overriding. While a
guarded call runs, ``make_predict_function`` and ``make_test_function`` of that
one model put a ``Tap`` before the function they make.
``tests/engines/test_keras3_contract.py`` notices if Keras changes this.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evalguard import nests
from evalguard.engines.recorder import Recorder

# What is guarded, and what is run without being judged: validation in fit is not the user's evaluation.
GUARDED = ("predict", "evaluate", "predict_on_batch", "test_on_batch")
PASSED = ("fit",)
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
        """Feed what was asked for, without its tags."""
        stack = self._recorders.get(threading.get_ident())
        return self.function(data) if not stack else self.feed(stack[-1], data)

    def feed(self, recorder: Recorder, data: Any) -> Any:
        """``predict_function`` is given the batches of one execution."""
        return self.function([take(recorder, item) for item in data])


class TestTap(Tap):
    """``test_function`` is given an iterator and pulls the batches of one execution itself.

    From any iterator but its own, Keras 3 runs the compiled one-step function
    batch by batch (keras 3.15, trainer.py, ``_make_function``).
    """

    def __init__(self, function: Callable[[Any], Any], recorders: dict[int, list[Recorder]], steps: int) -> None:
        super().__init__(function, recorders)
        self._steps = steps

    def feed(self, recorder: Recorder, data: Any) -> Any:
        """Pull, note, and hand on what was pulled."""
        batches = []
        for _ in range(self._steps):
            try:
                batches.append(take(recorder, next(data)))
            except StopIteration:
                if not batches:
                    raise
                break
        return self.function(iter(batches))


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


class _Hook:
    """Puts a tap before one function of one model, each time the model makes it."""

    def __init__(self, model: Any, what: str, recorders: dict[int, list[Recorder]]) -> None:
        self.model, self.recorders = model, recorders
        self._made, self._maker = f"{what}_function", f"make_{what}_function"
        self._had = self._maker in vars(model)
        self._make = getattr(model, self._maker)
        setattr(model, self._maker, self._make_tapped)

    def _make_tapped(self, force: bool = False) -> Any:
        with _lock:
            self._untap()
            self._make(force=force) if force else self._make()
            function = getattr(self.model, self._made)
            if self._made == "test_function":
                tap: Tap = TestTap(function, self.recorders, self.model.steps_per_execution)
            else:
                tap = Tap(function, self.recorders)
            setattr(self.model, self._made, tap)
            return tap

    def _untap(self) -> None:
        present = getattr(self.model, self._made, None)
        if isinstance(present, Tap):
            setattr(self.model, self._made, present.function)

    def remove(self) -> None:
        """Leave the model as an unguarded call would have left it."""
        if self._had:
            setattr(self.model, self._maker, self._make)
        else:
            delattr(self.model, self._maker)
        self._untap()


class _ModelTaps:
    """The taps of one model: installed once, shared by the threads that guard it."""

    def __init__(self, model: Any) -> None:
        self.recorders: dict[int, list[Recorder]] = {}
        self.users = 0
        self._hooks = [_Hook(model, what, self.recorders) for what in ("predict", "test")]

    def remove(self) -> None:
        """Take both taps away."""
        for hook in self._hooks:
            hook.remove()


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
