"""Taps that pull and run one step for each batch: what several steps give together."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from evalguard.capture.contract import CaptureOptions
from evalguard.capture.engines import steps
from evalguard.capture.recording.recorder import Recorder

# Not imported by name: pytest would take `TestStepTap` for tests.
STEP_TAPS = {"predict": steps.StepTap, "test": steps.TestStepTap}


def model(batches=2):
    """A model that is its steps; they double."""
    made = SimpleNamespace(steps_per_execution=batches, jit_compile=False, run_eagerly=False)
    made.distribute_strategy = tf.distribute.get_strategy()
    made.predict_step = made.test_step = lambda data: {"y": 2 * data[0]}
    return made


def tap(what, together=2):
    # A separate function object: the compiled step is stored on it.
    return STEP_TAPS[what](lambda data: data, {}, model(together))


def batches(count):
    return iter([(tf.fill((2, 1), float(number)),) for number in range(count)])


@pytest.mark.parametrize(("what", "expected"), [("predict", [0, 0, 2, 2]), ("test", [2, 2])])
def test_rows_of_several_steps_are_joined_and_metrics_are_those_of_the_last(what, expected):
    recorder = Recorder(CaptureOptions("always"))
    fed, outputs = tap(what).feed(recorder, batches(3))
    assert [float(x[0, 0]) for (x,) in fed] == [0, 1]
    assert outputs["y"].numpy().ravel().tolist() == expected
    recorder.end()
    assert recorder.tags.n_rows == 4


def test_a_source_that_ends_within_an_execution_gives_what_is_there():
    recorder = Recorder(CaptureOptions())
    given, pulled = tap("predict", together=5), batches(3)
    fed, outputs = given.feed(recorder, pulled)
    assert (len(fed), len(outputs["y"])) == (3, 6)
    with pytest.raises(StopIteration):
        given.feed(recorder, pulled)


def test_the_step_is_compiled_once_and_kept_with_the_function_before_which_the_tap_stands():
    given = tap("predict")
    given.feed(Recorder(CaptureOptions()), batches(2))
    compiled = getattr(given.function, steps.COMPILED)
    given.feed(Recorder(CaptureOptions()), batches(2))
    assert getattr(given.function, steps.COMPILED) is compiled
    assert compiled.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(("what", "expected"), [("predict", [1, 2, 3]), ("test", [1, 2])])
def test_rows_of_replicas_are_joined_and_metrics_are_those_of_the_first(what, expected):
    given = tap(what)
    given.model.distribute_strategy = SimpleNamespace(num_replicas_in_sync=2, experimental_local_results=list)
    parts = (np.array([1, 2]), np.array([3]))
    # An object array is one leaf that holds the results of both replicas.
    results = np.empty(2, dtype=object)
    results[:] = parts
    assert np.asarray(given.reduced({"y": results})["y"]).tolist() == expected
