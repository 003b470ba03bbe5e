"""What goes wrong in the user's code goes wrong in the same way inside a guard, and nothing is left behind."""

import gc
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

import evalguard
from evalguard import Verdict, testing
from tests.capture.engines import patching

ENGINES = {"keras3": keras, "tf_keras": tf_keras}
N, BATCH, BAD = 40, 4, 5
X = np.arange(N, dtype="float32")[:, None]
OPTIONS: dict[str, dict[str, Any]] = {
    "serial": {},
    "threads": {"workers": 2},
    "processes": {"workers": 2, "use_multiprocessing": True},
}
# What Keras does not get over, bare: with several workers, Keras 3 waits for the batch that was None for ever.
FAULTS = [
    ("keras3", "raises", "serial"),
    ("keras3", "raises", "threads"),
    ("keras3", "raises", "processes"),
    ("keras3", "none", "serial"),
    ("tf_keras", "raises", "serial"),
    ("tf_keras", "raises", "processes"),
    ("tf_keras", "none", "serial"),
]


class BoomError(Exception):
    pass


def an_echo(library):
    inputs = library.Input((1,))
    model = library.Model(inputs, library.layers.Identity()(inputs))
    model.compile(loss="mse")
    return model


def predict(engine, model, fault, workers):
    options = OPTIONS[workers]

    def make(ids):
        if ids[0] == BAD * BATCH:
            if fault == "raises":
                raise BoomError
            if fault == "none":
                return None
        return (X[ids],)

    batches = testing.aligned_batches(N, BATCH)
    if engine == "keras3":
        return model.predict(testing.as_pydataset(batches, make, **options), verbose=0)
    return model.predict(testing.as_sequence(batches, make), verbose=0, **options)


def raised(call):
    """Kind of the exception, and what TensorFlow has it say of the one in the source; it leads in where it met it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except Exception as error:  # noqa: BLE001 - whatever Keras makes of it
        said = re.search(r"\w+Error: .*", str(error))
        return type(error), said and said[0]
    return None


@pytest.mark.parametrize(("engine", "fault", "workers"), FAULTS)
def test_a_source_that_fails_raises_what_it_raises_unguarded(engine, fault, workers):
    model, sink = an_echo(ENGINES[engine]), testing.MemorySink()
    # Another test of this process may have left workers: a pool lives until it is collected.
    others = set(multiprocessing.active_children())
    bare = raised(lambda: predict(engine, model, fault, workers))

    def guarded():
        with evalguard.guard(labels=X, reference=X, mlflow=False, sinks=(sink,)):
            predict(engine, model, fault, workers)

    assert raised(guarded) == bare
    assert bare is not None
    assert ("BoomError" if fault == "raises" else "element" if engine == "tf_keras" else "NoneType") in str(bare)
    assert [type(error) for error in sink.errors] == [bare[0]]
    assert not sink.reports
    assert not patching.active()
    assert "make_predict_function" not in vars(model)
    assert all_gone(lambda: set(multiprocessing.active_children()) - others)


def test_tf_keras_skips_a_batch_of_none_and_the_guard_reports_it():
    model = an_echo(tf_keras)
    bare = predict("tf_keras", model, "none", "threads")
    with evalguard.guard(labels=X, reference=X, mlflow=False, on_failure="record") as g:
        guarded = predict("tf_keras", model, "none", "threads")
    assert np.array_equal(bare, guarded)
    assert g.report.verdict is Verdict.FAIL
    assert (g.report.counts["missing"], g.report.counts["duplicate"]) == (BATCH, len(bare) - N + BATCH)


def all_gone(processes):
    """Whether the processes end; tf_keras takes five seconds to stop its own."""
    deadline = time.monotonic() + 60
    while processes() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.1)
    return not processes()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupt_comes_through_and_no_worker_is_orphaned(engine, tmp_path):
    script = Path(__file__).with_name("failing_calls.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), engine, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert not done.returncode, done.stderr[-2000:]
    results = json.loads((tmp_path / "results.json").read_text())
    for name, result in results.items():
        told = [] if name.endswith("bare") else ["KeyboardInterrupt()"]
        assert result == {"outcome": "KeyboardInterrupt()", "patched": False, "told": told}, name
    workers = [int(path.name.partition("-")[2]) for path in tmp_path.glob("worker-*")]
    assert len(workers) >= 6, "two for each call with processes"
    assert all_gone(lambda: [worker for worker in workers if _runs(worker)])


def _runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
