"""One engine per Keras flavour: it removes tags where the model receives its batches, and records what it receives."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from evalguard.capture.engines import keras3, tf_keras

ENGINES: tuple[ModuleType, ...] = (keras3, tf_keras)


def engine_of(model: Any) -> ModuleType:
    """The engine of a model, by the class it descends from.

    Raises:
        TypeError: It is no model of Keras 3 or tf_keras.
    """
    # At most one matches: since TensorFlow 2.16 `tf.keras` is Keras 3, and tf_keras.Model is an unrelated class.
    for engine in ENGINES:
        owner = engine.model_class()
        if owner is not None and isinstance(model, owner):
            return engine
    msg = f"expected a keras.Model or tf_keras.Model, found {type(model).__qualname__}"
    raise TypeError(msg)
