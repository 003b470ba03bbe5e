"""What the installed Keras is, for tests of things that older releases do otherwise; and its float type."""

from contextlib import contextmanager

import keras

KERAS = tuple(int(part) for part in keras.__version__.split(".")[:2])


@contextmanager
def floatx(framework, name):
    """Keras or tf_keras, with another float type for all that is made in the block."""
    # Keras 3 reads `floatx` once, for the first layer of the process (3.15, dtype_policies/dtype_policy.py:371);
    # tf_keras only as long as nobody set a policy.
    is_keras_3 = framework is keras
    set_policy = framework.config.set_dtype_policy if is_keras_3 else framework.mixed_precision.set_global_policy
    framework.backend.set_floatx(name)
    set_policy(name)
    try:
        yield
    finally:
        framework.backend.set_floatx("float32")
        set_policy("float32")
