"""One of two processes that predict together: ``worker_of_two.py RANK PORT,PORT keras|tf_keras``; prints JSON."""

import json
import os
import sys

rank, ports, kit = int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3]
cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
os.environ |= {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": rank}}),
}

import importlib  # noqa: E402 - TensorFlow reads its cluster when it is imported

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import evalguard  # noqa: E402

N, BATCH = 21, 4


def main():
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    keras = importlib.import_module(kit)
    with strategy.scope():
        inputs = keras.Input((1,))
        model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)(inputs))
        model.compile(loss="mse")
    x = np.arange(N, dtype="float32")[:, None]
    dataset = tf.data.Dataset.from_tensor_slices((x, x)).batch(BATCH)
    bare = model.predict(dataset, verbose=0)
    options = {"on_failure": "record", "on_unproven": "record", "mlflow": False}
    with evalguard.guard(labels=x[:, 0], reference=x, **options) as g:
        guarded = model.predict(dataset, verbose=0)
    told = {
        "rows": guarded[:, 0].tolist(),
        "same": bool(np.array_equal(bare, guarded)),
        "verdict": str(g.report.verdict.value),
        "why": list(g.report.not_proven),
    }
    sys.stdout.write(json.dumps(told) + "\n")


main()
