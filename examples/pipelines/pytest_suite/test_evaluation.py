"""A team's own tests of its evaluation: it passes as it is, and it notices what it must notice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import evalguard
from evalguard.testing.memory_sink import MemorySink
from evalguard.testing.streams import FAULTS, as_pydataset, faulty_batches

STEP = Path(__file__).resolve().parents[1] / "step.yaml"
X = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int64")


def evaluate(model: keras.Model, data: object, sink: MemorySink) -> evalguard.Report:
    """The evaluation under test."""
    with evalguard.guard(labels=Y, reference=X, on_failure="record", mlflow=False, sinks=(sink,)) as g:
        model.predict(data, verbose=0)
    return g.report


@pytest.fixture
def model() -> keras.Model:
    """A model small enough for a unit test."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])


def test_the_step_passes(tmp_path: Path) -> None:
    """The real thing, as the pipeline runs it."""
    command = [sys.executable, "-m", "evalguard", "run", str(STEP)]
    environment = os.environ | {"OUT": str(tmp_path), "RECORD": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "report.json").read_text())["proof"] == "identity"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_loader_is_noticed(model: keras.Model, fault: str) -> None:
    """Each known fault of a loader is a FAIL, on record."""
    sink = MemorySink()
    batches = faulty_batches(fault, n=50, batch_size=8)
    report = evaluate(model, as_pydataset(batches, lambda ids: (X[ids % 50],)), sink)
    assert report.verdict is evalguard.Verdict.FAIL
    assert sink.reports == [report]
