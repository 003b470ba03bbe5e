"""`evaluate` with sample weights, beside a guard that has them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import evalguard
from evalguard import Verdict

N = 64
RNG = np.random.default_rng(24)
X, Y = RNG.random((N, 3), np.float32), RNG.integers(0, 2, N)
W = RNG.random(N).astype(np.float32) + 0.1
SHUFFLED = RNG.permutation(N)


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(loss="binary_crossentropy", weighted_metrics=["accuracy"])
    return model


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, w):
        super().__init__()
        self.parts = (x, y, w)

    def __len__(self):
        return N // 8

    def __getitem__(self, index):
        rows = slice(8 * index, 8 * index + 8)
        return tuple(part[rows] for part in self.parts)


SOURCES = {
    "arrays": lambda x, y, w: ((x, y), {"sample_weight": w}),
    "dataset": lambda x, y, w: ((tf.data.Dataset.from_tensor_slices((x, y, w)).batch(8),), {}),
    "pydataset": lambda x, y, w: ((Batches(x, y, w),), {}),
    "generator": lambda x, y, w: (((Batches(x, y, w)[i] for i in range(N // 8)),), {"steps": N // 8}),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("order", [np.arange(N), SHUFFLED], ids=["in order", "shuffled"])
def test_weights_belong_to_their_rows(model, kind, order):
    for weights, verdict in ((W[order], Verdict.PASS), (W[order][::-1].copy(), Verdict.FAIL)):
        args, options = SOURCES[kind](X[order], Y[order], weights)
        bare = model.evaluate(*args, verbose=0, **options) if kind != "generator" else None
        args, options = SOURCES[kind](X[order], Y[order], weights)
        with evalguard.guard(labels=Y, reference=X, sample_weight=W, mlflow=False, on_failure="record") as g:
            guarded = model.evaluate(*args, verbose=0, **options)
        assert g.verdict is verdict, g.report
        assert bare is None or guarded == bare


def test_large_batches_and_other_methods(model):
    with evalguard.guard(labels=Y, reference=X, sample_weight=W, mlflow=False, on_failure="record") as g:
        model.test_on_batch(X, Y, sample_weight=W[::-1])
    assert g.verdict is Verdict.FAIL
    with evalguard.guard(labels=Y, reference=X, sample_weight=W, mlflow=False) as g:
        model.predict(tf.data.Dataset.from_tensor_slices((X, Y, W[::-1])).batch(16), verbose=0)
    # `predict` reads no weights.
    assert g.verdict is Verdict.PASS


def test_weights_that_the_call_lacks_are_declared(model):
    with evalguard.guard(labels=Y, reference=X, sample_weight=W, mlflow=False) as g:
        model.evaluate(X, Y, verbose=0)
    assert g.verdict is Verdict.PASS
    assert "not among what was scored" in g.report.chain[-1].basis
