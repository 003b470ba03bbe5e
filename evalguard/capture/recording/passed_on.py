"""Inputs that a model returns as outputs: predictions then lie in memory that the source may overwrite.

``predict`` keeps the outputs of every execution until its end. If one of them is
an input (a model that returns the id beside the score), it shares that input's
memory, which TensorFlow took over from an aligned NumPy array (``py_func.cc``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evalguard.capture.hashing import digest, numbers_of
from evalguard.data import tree


class PassedOn:
    """The parts of each batch that are also outputs, with their digests.

    Attributes:
        compares: Whether inputs and outputs are still compared.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[list[Any], int]] = []
        # False after a first execution whose outputs share no memory with inputs: a compiled function always does the
        # same.
        self.compares = True

    def add(self, batches: list[Any], outputs: Any) -> None:
        """Record the inputs of one execution that share memory with its outputs; called after the step."""
        results = list(map(tree.as_array, numbers_of(outputs)))
        parts = [[leaf for leaf in numbers_of(batch) if _shares_memory(leaf, results)] for batch in batches]
        if any(parts) or self._batches:
            self._batches += [(shared, digest(shared, float64=True)) for shared in parts]
        self.compares = bool(self._batches)

    def intact(self) -> list[bool]:
        """For each batch, whether the inputs that were passed on are unchanged; called after the call."""
        return [digest(shared, float64=True) == before for shared, before in self._batches]


def _shares_memory(leaf: Any, results: list[Any]) -> bool:
    array = tree.as_array(leaf)
    return any(np.may_share_memory(array, result) for result in results)
