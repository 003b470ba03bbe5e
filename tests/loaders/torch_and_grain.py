"""torch DataLoaders and grain datasets as sources of Keras 3: ``make test-loaders`` runs it in its own environment.

They carry no tags; rows are known by content, or by the stream's own targets.
"""

import importlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import evalguard

N, BATCH = 50, 8
X = np.random.default_rng(0).normal(size=(N, 3)).astype("float32")
Y = np.arange(N) * 29 % 7 % 3
torch: Any = importlib.import_module("torch")
grain: Any = importlib.import_module("grain")
TorchDataset: Any = torch.utils.data.Dataset


class Rows(TorchDataset):
    """Sample by sample; the first ones load slowly if told so."""

    def __init__(self, order=None, slow=0.0):
        self.order, self.slow = np.arange(N) if order is None else order, slow

    def __len__(self):
        return len(self.order)

    def __getitem__(self, at):
        if at < BATCH:
            time.sleep(self.slow)
        return X[self.order[at]], Y[self.order[at]]


def of_torch(order=None, **options):
    return torch.utils.data.DataLoader(Rows(order), batch_size=BATCH, **options)


def of_grain(order=None):
    order = np.arange(N) if order is None else order
    return grain.MapDataset.source(order.tolist()).map(lambda i: (X[i], Y[i])).batch(BATCH)


def of_grain_iterated(order=None):
    return of_grain(order).to_iter_dataset()


@pytest.fixture(scope="module")
def model():
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    made.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


def judged(model, source, told, method="predict"):
    given = {"reference": X} if told == "content" else {}
    with evalguard.guard(labels=Y, mlflow=False, on_failure="record", on_unproven="record", **given) as g:
        result = getattr(model, method)(source, verbose=0)
    return result, g.report


@pytest.mark.parametrize("make", [of_torch, of_grain, of_grain_iterated])
@pytest.mark.parametrize("method", ["predict", "evaluate"])
@pytest.mark.parametrize(("told", "proof"), [("content", "identity"), ("targets", "labels")])
def test_what_is_in_order_passes_and_gives_the_same_bits(model, make, method, told, proof):
    bare = getattr(model, method)(make(), verbose=0)
    result, report = judged(model, make(), told, method)
    assert np.array_equal(result, bare)
    assert (report.verdict, report.proof) == ("PASS", proof)


@pytest.mark.parametrize("make", [of_torch, of_grain, of_grain_iterated])
@pytest.mark.parametrize("told", ["content", "targets"])
def test_another_order_fails(model, make, told):
    _, report = judged(model, make(np.random.default_rng(1).permutation(N)), told)
    assert report.verdict == "FAIL"


def test_workers_in_order_pass(model):
    _, report = judged(model, of_torch(num_workers=2), "content")
    assert report.verdict == "PASS"


def overtaking():
    """A DataLoader that emits the batch that is ready first, while the first one is slow."""
    inputs = keras.Input((3,))
    loader = torch.utils.data.DataLoader(Rows(slow=0.1), batch_size=BATCH, num_workers=2, in_order=False)
    _, report = judged(keras.Model(inputs, keras.layers.Identity()(inputs)), loader, "content")
    sys.stdout.write(f"{report.verdict.value} {report.counts['misaligned']} {report.diagnosis[0].cause}\n")


def test_workers_out_of_order_fail():
    # In a separate process: worker processes are forked, and TensorFlow's threads are not.
    script = Path(__file__)
    code = f"import sys; sys.path.insert(0, {str(script.parent)!r}); import torch_and_grain as t; t.overtaking()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("FAIL "), done.stderr[-2000:]
