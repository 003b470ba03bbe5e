"""The peak memory of a call, measured in a separate run, since tracing allocations takes time."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable


def peak_bytes(call: Callable[[], object]) -> int:
    """Most that Python and NumPy had allocated at once in this call, beyond what they had before it.

    What TensorFlow and Arrow allocate by themselves is not in it.
    """
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def added_bytes(bare: Callable[[], object], guarded: Callable[[], object]) -> int:
    """Peak of the second over that of the first."""
    return peak_bytes(guarded) - peak_bytes(bare)
