"""Keras 3 on the TensorFlow backend: a tap just before the compiled function.

Keras' loop (keras 3.15, ``keras/src/backend/tensorflow/trainer.py``) calls
``make_predict_function()`` and then, for each execution,
``self.predict_function(data)`` with a list of ``steps_per_execution`` eager
batches; ``evaluate`` calls ``test_function`` with an iterator. These are public
attributes of a model, documented for overriding. During a guarded call
``make_predict_function`` and ``make_test_function`` of that one model put a
``Tap`` before the function that they create.
``tests/capture/engines/test_keras3.py`` fails if Keras changes this.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evalguard.capture.engines.steps import TestStepTap
from evalguard.capture.engines.taps import Tap, several_workers, tapped
from evalguard.capture.recording.batches import capture_batch, capture_batches
from evalguard.capture.recording.recorder import Recorder

# The first release whose ``test_function`` runs step by step if its iterator is not TensorFlow's.
STEP_BY_STEP = (3, 7)
# Under a strategy, ``evaluate`` first reads one batch to build the model, its metrics or its loss (keras 3.5 to 3.15,
# backend/tensorflow/trainer.py:724; 3.4 reads none). There is no public method between the read and its use.
READERS = ("_maybe_symbolic_build",)


def model_class() -> type | None:
    """``keras.Model`` if Keras 3 has been imported."""
    keras = sys.modules.get("keras")
    return getattr(keras, "Model", None)


def unsupported(model: Any, method: str) -> str:
    """Why this engine cannot observe rows of this method of this model here; empty if it can."""
    del method
    backend = sys.modules["keras"].config.backend()
    if backend != "tensorflow":
        return f"Keras runs on the {backend} backend; rows are observed on tensorflow only"
    return several_workers(model)


def step_of(model: Any) -> Callable[[Any], Any]:
    """The Python function with which ``predict`` computes one batch."""
    function = model.predict_function
    # There is a tap if another thread guards this model.
    function = function.function if isinstance(function, Tap) else function
    # Without `python_function`, the model runs eagerly.
    step = getattr(function, "python_function", function)
    # Without AutoGraph, as Keras traces it (keras 3.15, backend/tensorflow/trainer.py:279).
    tf = sys.modules["tensorflow"]
    return tf.autograph.experimental.do_not_convert(lambda batch: step([batch]))  # type: ignore[no-any-return]


class PredictTap(Tap):
    """Stands before ``predict_function``, which receives the batches of one execution."""

    def feed(self, recorder: Recorder, data: Any) -> tuple[list[Any], Any]:
        """Record each batch and call the function without the tags."""
        # A list, as Keras passes it, because tf.function would trace another container again (keras 3.15,
        # backend/tensorflow/trainer.py:308). Keras has already pulled the batches (get_data, :561).
        batches = [capture_batch(recorder, item) for item in data]
        return batches, self.function(batches)

    def stop(self) -> None:
        """Set the flag that Keras reads after each execution (keras 3.15, trainer.py, ``predict``)."""
        # Set here and not before the call, because `predict` clears the flag after it has made the function (:580).
        self.model.stop_predicting = True


class TestTap(Tap):
    """Stands before ``test_function``, which receives an iterator and pulls the batches of one execution itself.

    Given any iterator but TensorFlow's, Keras 3 runs the compiled one-step
    function batch by batch (keras 3.15, trainer.py, ``_make_function``).
    """

    def feed(self, recorder: Recorder, data: Any) -> tuple[list[Any], Any]:
        """Pull and record the batches of one execution, and call the function on them."""
        # On an empty iterator, this pull must raise StopIteration: Keras' `else` branch (trainer.py:246) does not, and
        # fails with an unbound `outputs`.
        batches = capture_batches(recorder, data, self.model.steps_per_execution)
        return batches, self.function(iter(batches))

    def stop(self) -> None:
        """Set the flag that Keras reads after each execution (keras 3.15, trainer.py, ``evaluate``)."""
        self.model.stop_evaluating = True


class OldTestTap(TestStepTap, TestTap):
    """For Keras before 3.7, whose ``test_function`` pulls inside its graph from any iterator.

    ``test_on_batch`` passes a Python generator, which that graph captures.
    """

    automatic = "mean"

    def feed(self, recorder: Recorder, data: Any) -> tuple[list[Any], Any]:
        """Pull from a dataset and run the step on each batch; a generator is read as in ``TestTap``."""
        # A generator holds the one batch of `test_on_batch`; the compiled step takes batches of datasets only.
        if inspect.isgenerator(data):
            return TestTap.feed(self, recorder, data)
        return super().feed(recorder, data)


def _test_tap() -> type[Tap]:
    major, minor = sys.modules["keras"].__version__.split(".")[:2]
    return TestTap if (int(major), int(minor)) >= STEP_BY_STEP else OldTestTap


@contextmanager
def tap(model: Any, recorder: Recorder) -> Iterator[None]:
    """Observe this model's executions in this thread during the block."""
    # No tap, because on other backends `predict_function` has another signature (JAX: `(state, iterator)`).
    if unsupported(model, "predict"):
        yield
        return
    with tapped(model, recorder, {"predict": PredictTap, "test": _test_tap()}, readers=READERS):
        yield
