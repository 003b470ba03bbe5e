"""Which calls ``model(x)`` come from the user's code: eager, on data, not in training, not inside another layer."""

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
    # Cheapest test first: this runs for each submodel of a model, and walking the stack takes longest.
    return not _is_training(args, kwargs) and _is_data(inputs(args, kwargs)) and not _inside_a_layer()


def inputs(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """``x`` of a call: the first argument, under any name; None without one."""
    if args:
        return args[0]
    return next((value for name, value in kwargs.items() if name not in {"training", "mask"}), None)


def _is_training(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    # Any positional True counts, because a subclassed model may take `training` at any position
    # (`call(self, x, mask, training)`).
    if kwargs.get("training") or any(argument is True for argument in args[1:]):
        return True
    # If not eager, Keras traces its step with symbolic tensors, and there are no rows to record.
    tf = sys.modules.get("tensorflow")
    return tf is not None and (not tf.executing_eagerly() or _under_gradient_tape())


def _under_gradient_tape() -> bool:
    """Whether a gradient tape records in this thread, by a private function, because no public one exists.

    tensorflow 2.21, ``python/eager/record.py``; ``tests/capture/engines/test_direct.py`` fails if it is removed.
    """
    record = sys.modules.get("tensorflow.python.eager.record")
    return bool(record.could_possibly_record()) if hasattr(record, "could_possibly_record") and record else False


def _is_data(x: Any) -> bool:
    """Whether all leaves have values, unlike a ``KerasTensor`` or a tensor that is being traced."""
    found = tree.leaves(x)
    return bool(found) and all(
        isinstance(leaf, (np.ndarray, np.generic, list, tuple, int, float))
        or hasattr(leaf, "numpy")
        or hasattr(leaf, "dense_shape")
        for leaf in found
    )


def _inside_a_layer() -> bool:
    """Whether this model is called as a part of another layer's call."""
    # Read from the stack, because `CallContext`, in which Keras 3 records the running call, is private (keras 3.15,
    # layers/layer.py:2050), and tf_keras has another one.
    frame = inspect.currentframe()
    while frame is not None:
        # Every frame is checked, because Keras' traceback filter adds frames of other names around `Layer.__call__`.
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_code.co_name == "__call__" and package in KERAS:
            return True
        frame = frame.f_back
    return False
