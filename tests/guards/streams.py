"""Samples, labels and a model that returns its input, shared by the tests of guards that run Keras."""

from functools import cache
from typing import Any

import numpy as np

import evalguard
from evalguard import testing

N, BATCH = 50, 8
X = np.arange(N, dtype="float32")[:, None]
Y = np.arange(N) * 37 % 101 % 4
ALIGNED = testing.aligned_batches(N, BATCH)


@cache
def identity_model() -> Any:
    import keras

    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def dataset(batches: Any = ALIGNED, targets: bool = False) -> Any:
    """``tf.data`` of these sample indices; those from ``N`` on are samples that no label is for."""
    return testing.as_tf_dataset(batches, lambda ids: (X[ids % N] + ids[:, None] // N * N, Y[ids % N])[: 1 + targets])


def faulty(fault: str = "swapped_batches") -> Any:
    return dataset(testing.faulty_batches(fault, n=N, batch_size=BATCH))


def guard(**options: Any) -> evalguard.Guard:
    return evalguard.guard(**{"labels": Y, "mlflow": False, **options})


def verdict(guard: evalguard.Guard) -> evalguard.Verdict:
    """That of the latest entry; by a function, as mypy takes an attribute to be what it was compared with before."""
    return guard.verdict
