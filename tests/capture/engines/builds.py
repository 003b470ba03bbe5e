"""Evaluations of models that Keras still has to build: ``builds.py one|mirrored keras|tf_keras``; prints JSON.

Under a strategy Keras 3 builds a model, its metrics or its loss from a batch that it reads itself. Logical devices must
exist before TensorFlow starts, so this is a separate program.
"""

import importlib
import json
import os
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

import evalguard
from tests.capture.engines import patching

N, BATCH = 20, 8
X = np.linspace(1, 2, N, dtype="float32")[:, None]
Y = np.arange(N, dtype="float32")
WEIGHTS = np.linspace(0.5, 1, N, dtype="float32")


def strategy_of(name):
    if name == "one":
        return tf.distribute.OneDeviceStrategy("CPU:0").scope()
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()


def batches(x):
    """Copies: to build under ``MirroredStrategy`` Keras takes the mean over the replicas of the batch that it reads.

    TensorFlow 2.21 writes that into the memory of the first replica, which is the generator's own array where it is
    aligned: such a call, guarded or not, may change the arrays that a generator slices.
    """
    for start in range(0, N, BATCH):
        yield x[start : start + BATCH].copy(), Y[start : start + BATCH].copy()


class Forms:
    """Notes what the model and its metrics are called with until ``evaluate`` begins: what Keras builds them with."""

    def __init__(self, keras):
        self.seen, self.building = [], False
        self.callback = keras.callbacks.LambdaCallback(on_test_begin=self.end)

    def begin(self):
        self.seen, self.building = [], True

    def end(self, logs):
        self.building = False

    def note(self, *parts):
        if self.building:
            self.seen.append([type(part).__name__ + str(getattr(part, "shape", "")) for part in parts])


def models(keras, forms):
    def dense():
        return keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)

    base: Any = keras.Model

    class Unbuilt(base):
        def __init__(self):
            super().__init__()
            self.dense = dense()

        def call(self, x):
            forms.note(x)
            return self.dense(x)

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            forms.note(x, y, sample_weight)
            return super().compute_metrics(x, y, y_pred, sample_weight)

    def functional():
        inputs = keras.Input((1,))
        return keras.Model(inputs, dense()(inputs))

    return {"unbuilt": Unbuilt, "unbuilt metrics": functional}


def sources():
    fed = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
    unknown = fed.filter(lambda x, y: True)  # its batches are numbered inside the pipeline
    yield "arrays", lambda: X, {"y": Y, "batch_size": BATCH}
    yield "weighted arrays", lambda: X, {"y": Y, "sample_weight": WEIGHTS, "batch_size": BATCH}
    yield "tf.data", lambda: fed, {}
    yield "tf.data of unknown length", lambda: unknown, {}
    yield "tf.data, one step", lambda: fed, {"steps": 1}
    yield "generator", lambda: batches(X), {"steps": 2}


def evaluated(make, forms, source, options):
    model = make()
    model.compile(loss="mse", metrics=["mae"])
    forms.begin()
    try:
        figures = model.evaluate(source(), verbose=0, callbacks=[forms.callback], **options)
    except Exception as error:  # noqa: BLE001 - the same one is expected in a guard
        figures = f"{type(error).__name__}: {error}"[:200]
    left = [name for name in vars(model) if name.startswith(("make_", "_maybe_"))]
    return {"figures": figures, "forms": forms.seen, "left": left}


def main(strategy, kit):
    keras = importlib.import_module(kit)
    forms = Forms(keras)
    with strategy_of(strategy):
        for name, make in models(keras, forms).items():
            for kind, source, options in sources():
                bare = evaluated(make, forms, source, options)
                guard = evalguard.guard(labels=Y, reference=X, mlflow=False, on_failure="record", on_unproven="record")
                with guard as g:
                    guarded = evaluated(make, forms, source, options)
                told = {
                    "model": name,
                    "source": kind,
                    "bare": bare,
                    "guarded": guarded,
                    "patched": patching.active(),
                    "verdict": g.report.verdict.value,
                    "proof": g.report.proof,
                    "not_proven": g.report.not_proven,
                }
                sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
