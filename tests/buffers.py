"""Arrays at chosen addresses: TensorFlow uses memory at a multiple of 64 bytes in place, and copies any other."""

from typing import Any

import numpy as np

# TensorFlow uses memory in place where its address is a multiple of this, and copies it otherwise (tensorflow 2.21,
# `py_func.cc`; the number is in python/platform/sysconfig.py:86, `tf.sysconfig.get_compile_flags()`).
TF_ALIGNMENT = 64


def aligned(shape: Any, beyond: int = 0, dtype: str = "float32") -> Any:
    """An array at an address that TensorFlow uses in place.

    Args:
        shape: Shape of the array.
        beyond: How many bytes the address lies after an aligned one: above 0, TensorFlow copies the array.
        dtype: Dtype of the array.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 2 * TF_ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % TF_ALIGNMENT + beyond
    return raw[start : start + size].view(dtype).reshape(shape)


def aligned_copy(x: Any, beyond: int = 0) -> Any:
    """A copy of an array at such an address."""
    array = aligned(x.shape, beyond)
    array[:] = x
    return array
