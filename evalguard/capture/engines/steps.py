"""A tap for functions that pull inside their graph: it pulls instead, and runs a compiled step on each batch.

What it compiles is kept on the function that it stands in for, so that
``compile()`` or ``force=True`` makes another, and so that it is freed with the
model: a table of ours would hold the model by way of its own step.
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

    def feed(self, recorder: Recorder, data: Any) -> Any:
        """Pull, note, compute; the outputs of one execution together."""
        run = self._run()
        return self.joined([run(batch) for batch in capture_batches(recorder, data, self.batches())])

    def batches(self) -> int:
        """How many batches one execution takes."""
        return int(self.model.steps_per_execution)

    def counted(self) -> None:
        """Called in the graph, after each step."""

    def joined(self, outputs: list[Any]) -> Any:
        """Outputs of several steps as one."""
        if len(outputs) == 1:
            return outputs[0]
        tf = sys.modules["tensorflow"]
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *outputs)

    def reduced(self, outputs: Any) -> Any:
        """Rows of all replicas, in their order."""
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
        step = getattr(model, self.step)

        def run_step(data: Any) -> Any:
            outputs = step(data)
            self.counted()
            return outputs

        if model.jit_compile:
            run_step = tf.function(run_step, jit_compile=True, reduce_retracing=True)

        def on_data(data: Any) -> Any:
            return self.reduced(model.distribute_strategy.run(run_step, args=(data,)))

        return on_data if model.run_eagerly else tf.function(on_data, reduce_retracing=True)


class TestStepTap(StepTap):
    """The last step's figures are the execution's."""

    step = "test_step"

    def joined(self, outputs: list[Any]) -> Any:
        """The figures after the last step."""
        return outputs[-1]

    def reduced(self, outputs: Any) -> Any:
        """The figures are the same on every replica."""
        strategy = self.model.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return outputs
        return tree.map_leaves(lambda leaf: strategy.experimental_local_results(leaf)[0], outputs)
