"""Which calls ``model(x)`` are the user's own: eager, on data, not in training, not inside another layer."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evalguard.capture.engines import keras3
from evalguard.data import tree

KERAS = ("keras", "tf_keras")


def is_user_call(model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the user's code calls the model on data."""
    owner = keras3.model_class()
    if owner is not None and isinstance(model, owner) and keras3.unsupported(model, "__call__"):
        return False
    # Cheapest first: a model with submodels comes here once for each of them, and walking the stack costs most.
    return not _is_training(args, kwargs) and _is_data(inputs(args, kwargs)) and not _inside_a_layer()


def inputs(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """``x`` of a call: the first argument, whatever its name."""
    if args:
        return args[0]
    return next((value for name, value in kwargs.items() if name not in {"training", "mask"}), None)


def _is_training(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    # Any positional True: a subclassed model may take `training` at any position (`call(self, x, mask, training)`).
    if kwargs.get("training") or any(argument is True for argument in args[1:]):
        return True
    # Not eager: Keras traces its own step, with symbolic tensors; there are no rows to record.
    tf = sys.modules.get("tensorflow")
    return tf is not None and (not tf.executing_eagerly() or _under_gradient_tape())


def _under_gradient_tape() -> bool:
    """Whether a gradient tape records in this thread; there is no public way to ask.

    tensorflow 2.21, ``python/eager/record.py``; ``tests/capture/engines/test_direct.py`` notices if it goes away.
    """
    record = sys.modules.get("tensorflow.python.eager.record")
    return bool(record.could_possibly_record()) if hasattr(record, "could_possibly_record") and record else False


def _is_data(x: Any) -> bool:
    """Whether all leaves have values: arrays and eager tensors do, ``KerasTensor`` and traced tensors do not."""
    found = tree.leaves(x)
    return bool(found) and all(
        isinstance(leaf, (np.ndarray, np.generic, list, tuple, int, float))
        or hasattr(leaf, "numpy")
        or hasattr(leaf, "dense_shape")
        for leaf in found
    )


def _inside_a_layer() -> bool:
    """Whether another layer is being called and calls this model as a part of itself."""
    # By the stack: Keras 3's record of the running call, `CallContext`, is private (keras 3.15, layers/layer.py:2050),
    # and tf_keras has another.
    frame = inspect.currentframe()
    while frame is not None:
        # `Layer.__call__` runs under Keras' traceback filter, which is another frame with another name; so every frame.
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_code.co_name == "__call__" and package in KERAS:
            return True
        frame = frame.f_back
    return False
