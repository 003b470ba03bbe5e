"""Taps before functions that pull: what several steps, and several replicas, give together."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from evalguard.capture.contract import CaptureOptions
from evalguard.capture.engines import steps
from evalguard.capture.engines.keras3 import OldTestTap
from evalguard.capture.recording.recorder import Recorder

# Not imported by name: pytest would take `TestStepTap` for tests.
STEP_TAPS = {"predict": steps.StepTap, "test": steps.TestStepTap}

TAPS = {**STEP_TAPS, "keras 3.6": OldTestTap}


def tap(what, **model):
    strategy = tf.distribute.get_strategy()
    return TAPS[what](None, {}, SimpleNamespace(steps_per_execution=2, distribute_strategy=strategy, **model))


@pytest.mark.parametrize(("what", "expected"), [("predict", [0, 0, 1, 1]), ("test", [1, 1])])
def test_rows_of_several_steps_are_joined_and_metrics_are_those_of_the_last(what, expected):
    steps_of_one_execution = [{"y": tf.fill((2,), number)} for number in range(2)]
    assert tap(what).joined(steps_of_one_execution)["y"].numpy().tolist() == expected


@pytest.mark.parametrize(
    ("what", "method", "expected"),
    [
        ("predict", "auto", [1, 2, 3, 6]),
        ("test", "auto", 12),
        ("keras 3.6", "auto", 3),
        ("test", "first", [1, 2]),
        ("test", "concat", [1, 2, 3, 6]),
        ("test", "mean", 3),
    ],
)
def test_replicas_are_put_together_as_keras_does(what, method, expected):
    replicas = (tf.constant([1, 2]), tf.constant([3, 6]))
    assert tap(what, distribute_reduction_method=method).reduced(replicas).numpy().tolist() == expected


def test_an_eager_model_runs_its_function_on_the_batches_pulled():
    pulled = iter([(tf.fill((2, 1), float(number)),) for number in range(3)])
    given = tap("predict", run_eagerly=True)
    given.function = lambda iterator: tf.concat([2 * x for (x,) in iterator], axis=0)
    recorder = Recorder(CaptureOptions("always"))
    fed, outputs = given.feed(recorder, pulled)
    assert [float(x[0, 0]) for (x,) in fed] == [0, 1]
    assert outputs.numpy().ravel().tolist() == [0, 0, 2, 2]
    given.feed(recorder, pulled)
    with pytest.raises(StopIteration):
        given.feed(recorder, pulled)
    recorder.end()
    assert recorder.tags.n_rows == 6
