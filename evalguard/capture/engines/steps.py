"""A tap for functions that pull inside their graph: it pulls instead, and runs a compiled step on each batch.

The compiled step is stored on the function that the tap stands before. So
``compile()`` or ``force=True`` discards it, and it is freed with the model; a
global table would keep the model alive, because the step refers to it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from evalguard.capture.engines.taps import Tap
from evalguard.capture.recording.batches import capture_batches
from evalguard.capture.recording.recorder import Recorder
from evalguard.data import tree

COMPILED = "_evalguard_step"


class StepTap(Tap):
    """Runs one step of the model on each batch pulled.

    Attributes:
        step: Name of the model's method that is the step.
    """

    step = "predict_step"

    def feed(self, recorder: Recorder, data: Any) -> tuple[list[Any], Any]:
        """Pull, record, compute; the batches, and the outputs of one execution together."""
        run = self._run()
        batches = capture_batches(recorder, data, self.batches())
        return batches, self.joined([run(batch) for batch in batches])

    def batches(self) -> int:
        """How many batches one execution computes on."""
        return int(self.model.steps_per_execution)

    def counted(self) -> None:
        """Called in the graph, after each step."""

    def joined(self, outputs: list[Any]) -> Any:
        """Outputs of several steps as one."""
        if len(outputs) == 1:
            return outputs[0]
        tf = sys.modules["tensorflow"]
        # As `predict_function` does in its graph (tf_keras 2.21, engine/training.py:2458).
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *outputs)

    def reduced(self, outputs: Any) -> Any:
        """Rows of all replicas, in their order."""
        # What `reduce_per_replica`, which is private, does in one process (tf_keras 2.21, engine/training.py:2422).
        # `several_workers` excludes other strategies.
        tf, strategy = sys.modules["tensorflow"], self.model.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return outputs
        return tree.map_leaves(lambda leaf: tf.concat(strategy.experimental_local_results(leaf), axis=0), outputs)

    def _run(self) -> Callable[[Any], Any]:
        run = getattr(self.function, COMPILED, None)
        if run is None:
            run = self._compile()
            setattr(self.function, COMPILED, run)
        return run

    def _compile(self) -> Callable[[Any], Any]:
        tf, model = sys.modules["tensorflow"], self.model
        # Bound once, as Keras binds it when it makes the function; replacing the step later needs a new compile() there
        # as here.
        step = getattr(model, self.step)

        def run_step(data: Any) -> Any:
            outputs = step(data)
            self.counted()
            return outputs

        # XLA compiles the step only, not what joins the replicas (tf_keras 2.21, engine/training.py:2415).
        if model.jit_compile:
            run_step = tf.function(run_step, jit_compile=True, reduce_retracing=True)

        def on_data(data: Any) -> Any:
            return self.reduced(model.distribute_strategy.run(run_step, args=(data,)))

        # reduce_retracing as in Keras: batches of different lengths share one trace.
        return on_data if model.run_eagerly else tf.function(on_data, reduce_retracing=True)


class TestStepTap(StepTap):
    """A tap before ``test_function``: the metrics of the last step are those of the execution."""

    step = "test_step"

    def joined(self, outputs: list[Any]) -> Any:
        """The metrics after the last step: their variables accumulate, so earlier results are contained in it."""
        return outputs[-1]

    def reduced(self, outputs: Any) -> Any:
        """The metrics of the first replica: they are equal on every one, because their variables are aggregated."""
        strategy = self.model.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return outputs
        return tree.map_leaves(lambda leaf: strategy.experimental_local_results(leaf)[0], outputs)
