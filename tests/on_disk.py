"""Whether a column is in a file."""

import mmap
from typing import Any


def on_disk(array: Any) -> bool:
    """Whether an array is a memory-mapped file."""
    base = array
    while hasattr(base, "base"):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)
