"""Fingerprints of the rows that a model is fed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard import nests
from evalguard.core.spill import Memory, Pile
from evalguard.fingerprint import LeafSpec, is_padding, row_fingerprints


@dataclass(slots=True)
class Contents:
    """Collects fingerprints, batch by batch.

    Attributes:
        pad_value: See ``fingerprint.row_fingerprints``.
        memory: Shared with other columns of the call.
        parts: uint64 of each row.
        padding: bool of each row: a declared dummy.
        specs: How the inputs looked.
        first: The first row, to explain a reference that matches nothing.
    """

    pad_value: Any = None
    memory: Memory = field(default_factory=Memory)
    parts: Pile = field(init=False)
    padding: Pile = field(init=False)
    specs: tuple[LeafSpec, ...] = ()
    first: Any = None

    def __post_init__(self) -> None:
        self.parts, self.padding = Pile(np.uint64, self.memory), Pile(np.bool_, self.memory)

    def add(self, batches: Sequence[Any], to_numpy: Callable[[Any], Any]) -> None:
        """Note the rows of some batches of inputs."""
        if not self.specs:
            _, self.specs = row_fingerprints(batches[0], pad_value=self.pad_value)
            self.first = nests.map_leaves(lambda leaf: np.array(to_numpy(leaf)[:1]), batches[0])
        for x in _together(batches):
            rows, _ = row_fingerprints(x, pad_value=self.pad_value)
            self.parts.append(rows)
            if self.pad_value is not None:
                self.padding.append(is_padding(x, self.pad_value))


def _together(batches: Sequence[Any]) -> Iterator[Any]:
    """Batches that follow each other as one, where they are arrays of one type and row shape."""
    alike: list[list[NDArray[Any]]] = []
    form: Any = None
    for batch in batches:
        parts = nests.leaves(batch)
        arrays = all(type(part) is np.ndarray for part in parts)
        found = [(part.dtype, part.shape[1:]) for part in parts] if arrays else None
        if alike and (found is None or found != form):
            yield _joined(alike)
            alike = []
        if found is None:
            yield batch
        else:
            alike.append(parts)
            form = found
    if alike:
        yield _joined(alike)


def _joined(alike: list[list[NDArray[Any]]]) -> list[NDArray[Any]]:
    return [np.concatenate(parts) for parts in zip(*alike, strict=True)]
