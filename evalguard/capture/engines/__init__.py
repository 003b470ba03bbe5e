"""One engine for Keras 3 and one for tf_keras: it removes the tags just before the model and records what arrives."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from evalguard.capture.engines import keras3, tf_keras
from evalguard.core.own_errors import swallow
from evalguard.data import tree

ENGINES: tuple[ModuleType, ...] = (keras3, tf_keras)


def engine_of(model: Any) -> ModuleType:
    """The engine of a model, by the class it descends from.

    Raises:
        TypeError: The object is not a model of Keras 3 or tf_keras.
    """
    # At most one matches: since TensorFlow 2.16 `tf.keras` is Keras 3, and tf_keras.Model is an unrelated class.
    for engine in ENGINES:
        owner = engine.model_class()
        if owner is not None and isinstance(model, owner):
            return engine
    msg = f"expected a keras.Model or tf_keras.Model, found {type(model).__qualname__}"
    raise TypeError(msg)


def computes_in_float64(model: Any) -> bool:
    """Whether float64 inputs stay float64 in a model; other models cast them before they compute.

    The dtype of the batch does not show it: Keras casts arrays to ``floatx``, but
    passes on what generators and datasets yield (keras 3.15,
    data_adapters/array_slicing.py:418).
    """
    try:
        return _computes_in_float64(model)
    except Exception as error:  # noqa: BLE001 - attributes of the user's model must not stop the call
        swallow(error)
        return False


def _computes_in_float64(model: Any) -> bool:
    inputs = _input_dtypes(model)
    if inputs and "float64" not in inputs:
        return False
    layers = list(getattr(model, "layers", ()))
    # tf_keras gives the inputs of an unbuilt Sequential the dtype of its first batch (2.21, engine/sequential.py:405).
    if layers and any(base.__name__ == "Sequential" for base in type(model).__mro__):
        return _computes_in_float64(layers[0])
    # A functional model casts to the dtype of each input (keras 3.15, models/functional.py:261). Other models and
    # layers cast to their compute dtype; without autocast, the layers inside do.
    if inputs:
        return True
    casts = getattr(model, "autocast", getattr(model, "_autocast", True))
    return any(part.compute_dtype == "float64" for part in ([model] if casts else [model, *layers]))


def _input_dtypes(model: Any) -> list[str]:
    try:
        return [str(getattr(leaf.dtype, "name", leaf.dtype)) for leaf in tree.leaves(model.inputs)]
    except (AttributeError, ValueError):  # subclassed, or not built yet
        return []
