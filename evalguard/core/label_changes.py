"""Whether the caller changed the arrays of the labels since they were read."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from evalguard.core.label_table import DIGEST_ROWS, LabelTable


def checksum(labels: LabelTable) -> int | None:
    """A checksum of labels and weights as they are now; None where a file holds them."""
    found = [
        array
        for part in (labels.values, labels.weights)
        for array in (part.values() if isinstance(part, Mapping) else () if part is None else (part,))
    ]
    if any(_is_mapped(array) for array in found):
        return None
    crc = 0
    for array in found:
        for start in range(0, len(array), DIGEST_ROWS):
            piece = np.ascontiguousarray(array[start : start + DIGEST_ROWS])
            numbers = not array.dtype.hasobject
            crc = zlib.crc32(piece.reshape(-1).view(np.uint8).data if numbers else repr(piece.tolist()).encode(), crc)
    return crc


def _is_mapped(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return array is not None and not isinstance(array, (bytes, bytearray))
