"""A tap for functions that pull inside their graph: it pulls the batches, and the function computes on them."""

from __future__ import annotations

import sys
from typing import Any

from evalguard.capture.engines.graphs import draws_at_random
from evalguard.capture.engines.own_function import own_function
from evalguard.capture.engines.taps import Tap
from evalguard.capture.recording.batches import capture_batches
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.replicas import is_replicated
from evalguard.data import tree

# Attribute of a function that holds the step compiled for a strategy.
COMPILED = "_evalguard_step"
# Attribute of that step: whether it draws random numbers.
DRAWS = "_evalguard_draws"


class StepTap(Tap):
    """Runs the model's function on the batches that it has pulled.

    Under a strategy replicas read ahead, so a separately compiled step of the
    model computes on each batch. It is stored on the function before which the
    tap stands, so ``compile()`` or ``force=True`` discards it, and it is freed
    with the model.

    Attributes:
        step: Name of the model's method that is the step.
    """

    step = "predict_step"
    # The iterator that Keras created, and the `OwnFunction` for its batches.
    _own: tuple[Any, Any] = (None, None)

    def feed(self, recorder: Recorder, data: Any) -> tuple[list[Any], Any]:
        """Pull and record batches and compute on them; return the batches, and the joined outputs of one execution."""
        try:
            batches = capture_batches(recorder, data, self.batches())
        except StopIteration:
            if self._own[0] is data:
                self._own[1].end()
            raise
        tf = sys.modules["tensorflow"]
        if self.model.run_eagerly or tf.config.functions_run_eagerly():
            return batches, self.function(iter(batches))
        # A distributed iterator has another signature, even with one replica.
        if is_replicated(self.model) or not isinstance(data, tf.data.Iterator):
            run = self._run()
            outputs = self.joined([run(batch) for batch in batches])
            if not hasattr(run, DRAWS):
                setattr(run, DRAWS, draws_at_random(run.get_concrete_function(batches[0])))
            if getattr(run, DRAWS):
                recorder.problem = "the model draws random numbers, and under a strategy a guarded call draws others"
            return batches, outputs
        # Read and written as one tuple, because several threads may use this tap.
        source, own = self._own
        if source is not data:
            own = own_function(self.function, recorder.without_tag(data.element_spec))
            self._own = data, own
        return batches, own(batches)

    def batches(self) -> int:
        """How many batches one execution computes on."""
        return int(self.model.steps_per_execution)

    def counted(self) -> None:
        """Count a step; called in the graph, after each step."""

    def joined(self, outputs: list[Any]) -> Any:
        """Join the outputs of several steps."""
        if len(outputs) == 1:
            return outputs[0]
        tf = sys.modules["tensorflow"]
        # As `predict_function` does in its graph (tf_keras 2.21, engine/training.py:2458).
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *outputs)

    def reduced(self, replicas: Any) -> Any:
        """Join the results of several replicas, in replica order."""
        return sys.modules["tensorflow"].concat(replicas, axis=0)

    def _run(self) -> Any:
        run = getattr(self.function, COMPILED, None)
        if run is None:
            run = self._compile()
            setattr(self.function, COMPILED, run)
        return run

    def _compile(self) -> Any:
        tf, model = sys.modules["tensorflow"], self.model
        # Bound once, as Keras does when it makes the function. In both cases a step that is replaced later needs a new
        # compile().
        step = getattr(model, self.step)

        def run_step(data: Any) -> Any:
            outputs = step(data)
            self.counted()
            return outputs

        # XLA compiles the step only, not the reduction over replicas (tf_keras 2.21, engine/training.py:2415).
        if model.jit_compile:
            run_step = tf.function(run_step, jit_compile=True, reduce_retracing=True)

        def reduced(leaf: Any) -> Any:
            # A value that all replicas share has only one result.
            results = model.distribute_strategy.experimental_local_results(leaf)
            return self.reduced(results) if len(results) > 1 else leaf

        def on_data(data: Any) -> Any:
            return tree.map_leaves(reduced, model.distribute_strategy.run(run_step, args=(data,)))

        # reduce_retracing as in Keras: batches of different lengths share one trace.
        return tf.function(on_data, reduce_retracing=True)


class TestStepTap(StepTap):
    """A tap before ``test_function``: the metrics of the last step are those of the execution.

    Attributes:
        automatic: The reduction that Keras uses for ``distribute_reduction_method="auto"``.
    """

    step = "test_step"
    automatic = "sum"

    def joined(self, outputs: list[Any]) -> Any:
        """Return the metrics after the last step, whose variables accumulate those of all steps."""
        return outputs[-1]

    def reduced(self, replicas: Any) -> Any:
        """Reduce results that the step has not aggregated over replicas, as Keras does.

        The same as the private ``reduce_per_replica`` in one process (tf_keras
        2.21, engine/training.py:4126; keras 3.4,
        backend/tensorflow/trainer.py:687).
        """
        tf = sys.modules["tensorflow"]
        how = getattr(self.model, "distribute_reduction_method", "auto")
        how = self.automatic if how == "auto" else how
        if how == "first":
            return replicas[0]
        if how == "concat":
            return tf.concat(replicas, axis=0)
        return tf.reduce_mean(replicas) if how == "mean" else tf.reduce_sum(replicas)
