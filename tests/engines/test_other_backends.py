"""A Keras backend without a tap: predictions as ever, and never a PASS."""

import os
import subprocess
import sys

import pytest

CODE = """
import numpy as np, keras, evalguard
assert keras.config.backend() == "numpy"
inputs = keras.Input((2,))
model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
x = np.arange(20, dtype="float32").reshape(10, 2)
bare = model.predict(x, verbose=0)
with evalguard.guard(labels=range(10), reference=x, mlflow=False, on_unproven="record") as g:
    guarded = model.predict(x, verbose=0)
assert np.array_equal(bare, guarded)
assert g.report.verdict is evalguard.Verdict.UNPROVEN
assert "numpy backend" in " ".join(g.report.not_proven), g.report.not_proven
print("done")
"""


@pytest.mark.slow
def test_a_backend_that_cannot_be_observed_is_unproven_and_unharmed():
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "done", done.stderr[-2000:]
