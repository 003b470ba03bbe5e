"""One engine per Keras flavour: it takes tags off at the model's door and hands back a trace."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from evalguard.capture.engines import keras3, tf_keras

ENGINES: tuple[ModuleType, ...] = (keras3, tf_keras)


def engine_of(model: Any) -> ModuleType:
    """The engine of a model, told by the class it descends from."""
    for engine in ENGINES:
        owner = engine.model_class()
        if owner is not None and isinstance(model, owner):
            return engine
    msg = f"expected a keras.Model or tf_keras.Model, found {type(model).__qualname__}"
    raise TypeError(msg)
