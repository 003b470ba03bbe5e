"""A Keras backend without a tap: predictions as ever, and never a PASS.

No other backend is installed with TensorFlow, so Keras is made to say that it runs on one.
"""

import keras
import numpy as np

import evalguard


def test_a_backend_that_cannot_be_observed_is_unproven_and_unharmed(monkeypatch):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    x = np.arange(20, dtype="float32").reshape(10, 2)
    bare = model.predict(x, verbose=0)
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with evalguard.guard(labels=range(10), reference=x, mlflow=False, on_unproven="record") as g:
        guarded = model.predict(x, verbose=0)
    assert np.array_equal(bare, guarded)
    assert g.report.verdict is evalguard.Verdict.UNPROVEN
    assert "Keras runs on the jax backend" in " ".join(g.report.not_proven)
