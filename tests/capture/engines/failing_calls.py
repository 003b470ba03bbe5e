"""Calls that fail, bare and guarded, in a separate process: python failing_calls.py ENGINE FOLDER.

Ctrl-C while the source is at work, and a worker process that dies. Each worker
process writes a file named after it into FOLDER; ``results.json`` there holds
the outcome of each call.
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import evalguard
from evalguard import testing
from tests.capture.engines import patching

ENGINE, FOLDER = sys.argv[1], Path(sys.argv[2])
MAIN = os.getpid()
# A shell that starts this in the background lets it ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
N, BATCH, BAD = 40, 4, 5
X = np.arange(N, dtype="float32")[:, None]
WORKERS: dict[str, dict[str, Any]] = {"serial": {}, "processes": {"workers": 2, "use_multiprocessing": True}}
PATIENCE = 60

library: Any = importlib.import_module("keras" if ENGINE == "keras3" else "tf_keras")
Base: Any = library.utils.PyDataset if ENGINE == "keras3" else library.utils.Sequence


class Failing(Base):
    """Batches of ``X``, one of which is asked for in vain."""

    def __init__(self, fault, options):
        # tf_keras takes workers as arguments of the call instead.
        super().__init__(**(options if ENGINE == "keras3" else {}))
        self.fault = fault

    def __len__(self):
        return N // BATCH

    def __getitem__(self, index):
        if os.getpid() != MAIN:
            (FOLDER / f"worker-{os.getpid()}").touch()
        if index == BAD:
            (FOLDER / "now").touch()
            if self.fault == "death":
                os._exit(3)
        time.sleep(0.05)
        return (X[index * BATCH : (index + 1) * BATCH],)


def call(fault, workers, *, guarded):
    """What became of one call."""
    inputs = library.Input((1,))
    model = library.Model(inputs, library.layers.Identity()(inputs))
    arguments = {} if ENGINE == "keras3" else WORKERS[workers]
    sink = testing.MemorySink()

    def predict():
        return len(model.predict(Failing(fault, WORKERS[workers]), verbose=0, **arguments))

    try:
        if guarded:
            with evalguard.guard(labels=X, reference=X, mlflow=False, sinks=(sink,)):
                outcome = f"{predict()} rows"
        else:
            outcome = f"{predict()} rows"
    except BaseException as error:  # noqa: BLE001 - an interrupt is what is looked for
        outcome = repr(error)
    told = [repr(error) for error in sink.errors] + [report.verdict.value for report in sink.reports]
    patched = patching.active() or "make_predict_function" in vars(model)
    return {"outcome": outcome, "patched": patched, "told": told}


def interrupted(workers, *, guarded):
    """Ctrl-C, while the source is at work.

    Sent to this process only: workers that get it as well die, and then the call hangs, bare or guarded.
    """
    now = FOLDER / "now"
    now.unlink(missing_ok=True)

    def press():
        while not now.exists():
            time.sleep(0.01)
        os.kill(MAIN, signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    return call("interrupt", workers, guarded=guarded)


def main():
    """Both, one behind the other."""
    warnings.simplefilter("ignore")
    results = {
        f"{workers}-{'guarded' if guarded else 'bare'}": interrupted(workers, guarded=guarded)
        for workers in WORKERS
        for guarded in (False, True)
    }
    (FOLDER / "results.json").write_text(json.dumps(results))
    # A pool does not miss a worker that dies, so the call waits for ever, bare or guarded (Python 3.11, pool.py).
    # It is left behind in its thread: what counts is that the process can end, and its workers with it.
    (FOLDER / "now").unlink()
    threading.Thread(target=lambda: call("death", "processes", guarded=True), daemon=True).start()
    deadline = time.monotonic() + PATIENCE
    while not (FOLDER / "now").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)


if __name__ == "__main__":
    main()
