"""The shortest way in: one right evaluation and one wrong one."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

import evalguard

x = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
y_true = (x.sum(axis=1) > 0).astype("int64")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])


def batches(order: Any) -> Iterator[tuple[Any]]:
    """A loader of the usual kind: it carries no ids."""
    for start in range(0, 100, 32):
        yield (x[order[start : start + 32]],)


with evalguard.guard(labels=y_true, reference=x) as g:
    model.predict(batches(np.arange(100)), steps=4, verbose=0)
print(g.report.headline)

with evalguard.guard(labels=y_true, reference=x, on_failure="record") as g:
    model.predict(batches(np.random.default_rng(1).permutation(100)), steps=4, verbose=0)
print(g.report.headline)
