"""Which calls ``model(x)`` are the caller's own: eager, of data, not for training, not a part of another layer."""

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
    """Whether this call computes on data for the code that calls it."""
    owner = keras3.model_class()
    if owner is not None and isinstance(model, owner) and keras3.unsupported(model, "__call__"):
        return False
    return not _is_training(args, kwargs) and _is_data(inputs(args, kwargs)) and not _inside_a_layer()


def inputs(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """``x`` of a call: the first argument, however it is named."""
    if args:
        return args[0]
    return next((value for name, value in kwargs.items() if name not in {"training", "mask"}), None)


def _is_training(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    if kwargs.get("training") or any(argument is True for argument in args[1:]):
        return True
    tf = sys.modules.get("tensorflow")
    return tf is not None and (not tf.executing_eagerly() or _under_gradient_tape())


def _under_gradient_tape() -> bool:
    """Whether a gradient tape records in this thread; there is no public way to ask.

    tensorflow 2.21, ``python/eager/record.py``; ``tests/capture/engines/test_direct_calls.py`` notices if it goes away.
    """
    record = sys.modules.get("tensorflow.python.eager.record")
    return bool(record.could_possibly_record()) if hasattr(record, "could_possibly_record") and record else False


def _is_data(x: Any) -> bool:
    """Arrays and eager tensors have values; what a functional model is built of, and what is traced, has none."""
    found = tree.leaves(x)
    return bool(found) and all(
        isinstance(leaf, (np.ndarray, np.generic, list, tuple, int, float))
        or hasattr(leaf, "numpy")
        or hasattr(leaf, "dense_shape")
        for leaf in found
    )


def _inside_a_layer() -> bool:
    """Whether another layer is being called, which calls this model as a part of it."""
    frame = inspect.currentframe()
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_code.co_name == "__call__" and package in KERAS:
            return True
        frame = frame.f_back
    return False
