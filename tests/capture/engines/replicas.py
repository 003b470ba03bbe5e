"""Evaluations under a strategy: ``replicas.py one|mirrored keras|tf_keras``; prints JSON, a line for each.

Logical devices must exist before TensorFlow starts, so this is a separate program.
"""

import importlib
import json
import os
import sys
from functools import partial

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

import evalguard
from tests.capture.engines import patching

BATCH = 8
# A last batch of five rows, three and two; one of a single row, which leaves a replica with none.
SIZES = (37, 33)
FAULTS = {
    "none": lambda n: np.arange(n),
    "last row left out": lambda n: np.arange(n - 1),
    "another order": lambda n: np.random.default_rng(0).permutation(n),
}


def strategy_of(name):
    if name == "one":
        return tf.distribute.OneDeviceStrategy("CPU:0")
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def batches(x, y):
    for start in range(0, len(x), BATCH):
        yield x[start : start + BATCH], y[start : start + BATCH]


def sources(x, y):
    yield "tf.data", lambda: tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH), {}
    yield "generator", lambda: batches(x, y), {"steps": -(-len(x) // BATCH)}
    yield "arrays", lambda: x, {"batch_size": BATCH}


def judged(call, n, **options):
    """The same call bare and guarded."""
    bare = call()
    x = inputs(n)
    with evalguard.guard(
        labels=targets(n), reference=x, mlflow=False, on_failure="record", on_unproven="record", **options
    ) as g:
        guarded = call()
    return {
        "verdict": g.report.verdict.value,
        "proof": g.report.proof,
        "same": bool(np.array_equal(np.asarray(bare), np.asarray(guarded))),
        "patched": patching.active(),
        # Kernel one, so a row's loss is known: what all samples once are worth, in any order.
        "whole": bool(np.isclose(guarded, np.mean((x[:, 0] - targets(n)) ** 2), rtol=1e-4).all()),
    }


def inputs(n):
    return np.linspace(1, 2, n, dtype="float32")[:, None]


def targets(n):
    return np.arange(n, dtype="float32")


def main(strategy_name, kit):
    keras = importlib.import_module(kit)
    strategy = strategy_of(strategy_name)
    with strategy.scope():
        first = keras.Input((1,))
        model = keras.Model(first, keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)(first))
        model.compile(loss="mse")
    for n in SIZES:
        for fault, order in FAULTS.items():
            rows = order(n)
            x, y = inputs(n)[rows], targets(n)[rows]
            for kind, fresh, options in sources(x, y):
                for method in ("predict",) if kind == "arrays" else ("predict", "evaluate"):
                    call = partial(do, model, method, fresh, options)
                    show(method=method, n=n, fault=fault, kind=kind, **judged(call, n))
    with strategy.scope():
        first = keras.Input((1,))
        model = keras.Model(first, keras.layers.Lambda(lambda x: x + tf.random.uniform((1, 1)))(first))
    call = partial(do, model, "predict", lambda: inputs(SIZES[0]), {"batch_size": BATCH})
    show(method="random", fault="none", **judged(call, SIZES[0]))


def do(model, method, fresh, options):
    return getattr(model, method)(fresh(), verbose=0, **options)


def show(**line):
    sys.stdout.write(json.dumps(line) + "\n")


main(*sys.argv[1:])
