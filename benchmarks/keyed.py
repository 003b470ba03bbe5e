"""A keyed ``predict`` of rows in random order, repaired, with two metrics: guarded and bare, in a process each."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

BATCH = 8192
FEATURES = 8
TIMES = 1.3


def beyond(rows: int, pairs: int = 3) -> tuple[float, float]:
    """Seconds that the guarded call takes beyond 1.3 times the bare one, and megabytes that it takes more; medians."""
    found: dict[str, list[tuple[float, float]]] = {"bare": [], "guarded": []}
    for _ in range(pairs):
        for way, runs in found.items():
            code = f"from benchmarks.keyed import {way}; from benchmarks.core import peak; print({way}({rows}), peak())"
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            seconds, megabytes = map(float, done.stdout.split())
            runs.append((seconds, megabytes))
    (bare_s, bare_mb), (guarded_s, guarded_mb) = (
        tuple(statistics.median(part) for part in zip(*runs, strict=True)) for runs in found.values()
    )
    return guarded_s - TIMES * bare_s, guarded_mb - bare_mb


def bare(rows: int) -> float:
    """Seconds of the call without a guard."""
    model, source, _ = _evaluation(rows)
    start = time.perf_counter()
    model.predict(source, verbose=0)
    return time.perf_counter() - start


def guarded(rows: int) -> float:
    """Seconds of the same call under a guard, until the caller has the repaired rows."""
    import evalguard

    model, source, labels = _evaluation(rows)
    options: Any = {"on_failure": "repair", "metrics": ["accuracy", "auc"], "mlflow": False}
    start = time.perf_counter()
    with evalguard.guard(labels=labels, key="id", **options) as g:
        model.predict(source, verbose=0)
    seconds = time.perf_counter() - start
    assert g.report.verdict == "REPAIRED"
    return seconds


def _evaluation(rows: int) -> tuple[Any, Any, Any]:
    """A model of one output number, called once before, its source in random order, and labels with keys."""
    import keras

    import evalguard

    rng = np.random.default_rng(0)
    x, y = rng.random((rows, FEATURES), dtype=np.float32), rng.integers(0, 2, rows)
    keys, order = np.arange(rows) * 7 + 1000, rng.permutation(rows)

    class Shuffled(keras.utils.PyDataset):
        def __len__(self) -> int:
            return -(-rows // BATCH)

        def __getitem__(self, index: int) -> Any:
            part = order[index * BATCH : (index + 1) * BATCH]
            return ({"x": x[part], "id": keys[part]},)

    inputs = keras.Input((FEATURES,), name="x")
    outputs = keras.layers.Dense(1, activation="sigmoid")(inputs)
    model = keras.Model({"x": inputs, "id": keras.Input((), dtype="int64", name="id")}, outputs)
    model.predict({"x": x[:BATCH], "id": keys[:BATCH]}, verbose=0)
    return model, Shuffled(), evalguard.Labels(values=y, keys=keys, name="benchmark")
