"""Arrays at chosen addresses: TensorFlow takes over what lies at a multiple of 64 bytes, and copies the rest."""

from typing import Any

import numpy as np

from evalguard.capture.batch_digests import TF_ALIGNMENT


def aligned(shape: Any, beyond: int = 0) -> Any:
    """An array of float32 at an address that TensorFlow takes over as it is.

    Args:
        shape: Shape of the array.
        beyond: Bytes that its address is beyond such a one: then it is copied.
    """
    size = int(np.prod(shape)) * 4
    raw = np.zeros(size + 2 * TF_ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % TF_ALIGNMENT + beyond
    return raw[start : start + size].view("float32").reshape(shape)


def aligned_copy(x: Any, beyond: int = 0) -> Any:
    """The same numbers at such an address."""
    array = aligned(x.shape, beyond)
    array[:] = x
    return array
