"""What the installed Keras is, for tests of things that older releases do otherwise; and its float type."""

from contextlib import contextmanager

import keras

KERAS = tuple(int(part) for part in keras.__version__.split(".")[:2])


@contextmanager
def floatx(framework, name):
    """Keras or tf_keras, with another float type for all that is made in the block."""
    framework.backend.set_floatx(name)
    if framework is keras:
        # Keras 3 reads `floatx` once, for the first layer of the process (3.15, dtype_policies/dtype_policy.py:371).
        keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        framework.backend.set_floatx("float32")
        if framework is keras:
            keras.config.set_dtype_policy("float32")
