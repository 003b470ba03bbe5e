"""tf_keras (Keras 2): a tap that pulls the batches itself and runs a compiled step on them.

``Model.predict`` calls ``predict_function(iterator)``, which pulls inside the
graph (tf_keras 2.21, ``src/engine/training.py``). The tap pulls instead, takes
the tag off, and runs ``predict_step`` (or ``test_step``) on the batch in a
``tf.function`` of its own, made once for each function that the model makes.
``tests/engines/test_tf_keras.py`` notices if tf_keras changes this.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evalguard import nests
from evalguard.engines.batches import pulled
from evalguard.engines.recorder import Recorder
from evalguard.engines.taps import Tap, tapped

# By the function it stands in for, so that compile() or force=True makes another.
_compiled: weakref.WeakKeyDictionary[Any, Callable[[Any], Any]] = weakref.WeakKeyDictionary()


def model_class() -> type | None:
    """``tf_keras.Model`` if tf_keras has been imported."""
    tf_keras = sys.modules.get("tf_keras")
    return getattr(tf_keras, "Model", None)


def unsupported(model: Any, method: str) -> str:
    """Why this engine cannot observe rows of this method of this model; empty if it can."""
    what = "test" if method in {"evaluate", "test_on_batch"} else "predict"
    if not _overrides(model, what):
        return ""
    why = "which pulls its batches where they cannot be observed"
    return f"{type(model).__name__} overrides make_{what}_function, {why}"


def _overrides(model: Any, what: str) -> bool:
    maker = f"make_{what}_function"
    return getattr(type(model), maker) is not getattr(model_class(), maker)


class _StepTap(Tap):
    """Runs one step of the model on each batch pulled."""

    step = "predict_step"
    counter = "_predict_counter"

    def feed(self, recorder: Recorder, data: Any) -> Any:
        """Pull, note, compute; the outputs of one execution together."""
        if recorder.stopped:
            raise StopIteration
        steps = getattr(self.model, "_steps_per_execution", None)
        count = 1 if steps is None else int(steps.numpy())
        run = self._run()
        return self.joined([run(batch) for batch in pulled(recorder, data, count)])

    def stop(self) -> None:
        """tf_keras asks nobody whether to stop: to the next execution the source has ended."""

    def joined(self, outputs: list[Any]) -> Any:
        """Outputs of several steps as one."""
        if len(outputs) == 1:
            return outputs[0]
        tf = sys.modules["tensorflow"]
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *outputs)

    def _run(self) -> Callable[[Any], Any]:
        run = _compiled.get(self.function)
        if run is None:
            run = _compiled[self.function] = self._compile()
        return run

    def _compile(self) -> Callable[[Any], Any]:
        tf, model = sys.modules["tensorflow"], self.model
        step, counter = getattr(model, self.step), getattr(model, self.counter)

        def run_step(data: Any) -> Any:
            outputs = step(data)
            counter.assign_add(1)
            return outputs

        if model.jit_compile:
            run_step = tf.function(run_step, jit_compile=True, reduce_retracing=True)

        def on_data(data: Any) -> Any:
            return self.reduced(model.distribute_strategy.run(run_step, args=(data,)))

        return on_data if model.run_eagerly else tf.function(on_data, reduce_retracing=True)

    def reduced(self, outputs: Any) -> Any:
        """Rows of all replicas, in their order."""
        tf, strategy = sys.modules["tensorflow"], self.model.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return outputs
        return nests.map_leaves(lambda leaf: tf.concat(strategy.experimental_local_results(leaf), axis=0), outputs)


class PredictTap(_StepTap):
    """Stands before ``predict_function``."""


class TestTap(_StepTap):
    """Stands before ``test_function``; the last step's figures are the execution's."""

    step = "test_step"
    counter = "_test_counter"

    def joined(self, outputs: list[Any]) -> Any:
        """The figures after the last step."""
        return outputs[-1]

    def reduced(self, outputs: Any) -> Any:
        """The figures are the same on every replica."""
        strategy = self.model.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return outputs
        return nests.map_leaves(lambda leaf: strategy.experimental_local_results(leaf)[0], outputs)


@contextmanager
def tap(model: Any, recorder: Recorder) -> Iterator[None]:
    """Observe this model's executions in this thread for the length of the block."""
    taps: dict[str, type[Tap]] = {"predict": PredictTap, "test": TestTap}
    with tapped(model, recorder, {what: each for what, each in taps.items() if not _overrides(model, what)}):
        yield
