"""tf_keras (Keras 2): a tap that pulls the batches itself and runs a compiled step on them.

``Model.predict`` calls ``predict_function(iterator)``, which pulls inside the
graph (tf_keras 2.21, ``src/engine/training.py``). The tap pulls instead, removes
the tag, and has that function compute on the batch (``own_function.py``).
``tests/capture/engines/test_tf_keras.py`` fails if tf_keras changes this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evalguard.capture.engines.steps import StepTap, TestStepTap
from evalguard.capture.engines.taps import Tap, several_workers, tapped
from evalguard.capture.recording.recorder import Recorder


def model_class() -> type | None:
    """``tf_keras.Model`` if tf_keras has been imported."""
    tf_keras = sys.modules.get("tf_keras")
    return getattr(tf_keras, "Model", None)


def unsupported(model: Any, method: str) -> str:
    """Why this engine cannot observe rows of this method of this model; empty if it can."""
    what = "test" if method in {"evaluate", "test_on_batch"} else "predict"
    if not _overrides(model, what):
        return several_workers(model)
    why = "its function reads batches where they cannot be observed"
    return f"{type(model).__name__} overrides make_{what}_function: {why}"


def step_of(model: Any) -> Callable[[Any], Any]:
    """The Python function with which ``predict`` computes one batch."""
    return model.predict_step  # type: ignore[no-any-return]


def _overrides(model: Any, what: str) -> bool:
    # Such a maker builds a function that pulls and computes in one graph: there is no step left to run on a batch.
    maker = f"make_{what}_function"
    return getattr(type(model), maker) is not getattr(model_class(), maker)


class _Stepping(StepTap):
    """A step tap that keeps tf_keras' counter of steps.

    Attributes:
        counter: Name of the model's variable that counts steps.
    """

    counter = "_predict_counter"

    def feed(self, recorder: Recorder, data: Any) -> tuple[list[Any], Any]:
        """Pull and record batches and compute on them; if the call is stopped, raise StopIteration instead."""
        # tf_keras has no `stop_predicting`: its loop ends with the source only (2.21, engine/training.py:2647;
        # catch_stop_iteration, data_adapter.py:1388).
        if recorder.stopped:
            raise StopIteration
        return super().feed(recorder, data)

    def stop(self) -> None:
        """Nothing to do now: the next execution ends the call."""

    def batches(self) -> int:
        """How many batches one execution computes on; 1 before ``compile()``."""
        # Read at each execution: `steps_per_execution="auto"` changes it while a call runs (engine/training.py:804).
        steps = getattr(self.model, "_steps_per_execution", None)
        return 1 if steps is None else int(steps.numpy())

    def counted(self) -> None:
        """Add one to the model's counter of steps."""
        # The wrapped function does so in its graph (engine/training.py:2412), and user code may read the counter.
        getattr(self.model, self.counter).assign_add(1)


class PredictTap(_Stepping):
    """Wraps ``predict_function``."""


class TestTap(_Stepping, TestStepTap):
    """Wraps ``test_function``."""

    counter = "_test_counter"


@contextmanager
def tap(model: Any, recorder: Recorder) -> Iterator[None]:
    """Observe this model's executions in this thread during the block."""
    taps: dict[str, type[Tap]] = {"predict": PredictTap, "test": TestTap}
    alone = not several_workers(model)
    with tapped(model, recorder, {what: each for what, each in taps.items() if alone and not _overrides(model, what)}):
        yield
