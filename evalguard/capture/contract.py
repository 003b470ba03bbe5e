"""The interface between probes and engines: the tag of a batch, how it is read, and what is recorded of the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evalguard.core.trace import ALTERED, UNKNOWN, row_tag


# Not frozen, because one is created for each batch, and that takes four times as long if it is frozen. Tags are never
# changed.
@dataclass(slots=True, eq=False)
class BatchTag:
    """Which batch of the source was delivered, and which samples its rows are.

    Attributes:
        number: Number of the batch at the source; None if it was not observed.
        samples: int64, shape ``(n,)``: the label row that the source states for
            each row, or ``UNKNOWN``; None if it states none.
        keys: Shape ``(n,)``: the key that the source states for each row; None
            if it states none.
        first_row: Row of that batch at which the delivered rows begin: a
            replica gets a part of a batch, and arrays count as one batch, of
            which Keras delivers slices.
        altered: Whether these rows are not what the source emitted.
    """

    number: int | None = None
    samples: NDArray[np.int64] | None = None
    keys: NDArray[Any] | None = None
    first_row: int = 0
    altered: bool = False

    @property
    def first_tag(self) -> int:
        """The tag of the first row, encoded as in a trace."""
        if self.altered:
            return ALTERED
        return UNKNOWN if self.number is None else row_tag(self.number, self.first_row)

    @property
    def states_samples(self) -> bool:
        """Whether the source states the sample of every row."""
        return self.samples is not None and bool((self.samples != UNKNOWN).all())


# The tag of a batch that nothing identifies.
NOT_OBSERVED = BatchTag()


class Stream(Protocol):
    """The way in which the batches of one call are identified."""

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return a delivered batch as the model must receive it, and its tag; called once for each batch, in order."""

    def without_tag(self, data: Any) -> Any:
        """Return the caller's batch from one that Keras read but does not feed to the model; it is not counted."""

    def hold(self, data: Any) -> Any:
        """Return a delivered batch in memory that does not change, to be identified later; None if it cannot wait."""

    def intact(self) -> list[bool]:
        """For each batch of the last execution, whether it is unchanged since it was delivered."""


class Untagged:
    """A stream of batches without tags; other streams inherit from it and override what differs."""

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return the batch unchanged, and an unknown tag."""
        return data, NOT_OBSERVED

    def without_tag(self, data: Any) -> Any:
        """Return the batch unchanged."""
        return data

    def hold(self, data: Any) -> Any:
        """Return None: the batch carries a tag, or its memory may change."""
        del data

    def intact(self) -> list[bool]:
        """Return an empty list: batches are not compared."""
        return []


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """What is recorded of each batch.

    Attributes:
        content: ``always`` to fingerprint each row; ``targets`` to do so only
            if the stream carries targets and neither an index nor keys, to find
            repeated rows.
        key: Entry of ``x`` that holds the keys, or a callable that takes the
            batch (as NumPy) and returns one key for each row.
        drop_key: Remove that entry from ``x`` before the model receives it.
        fingerprint: Callable that takes ``x`` (as NumPy) and returns the part
            that identifies a row.
        pad_value: See ``fingerprint.row_fingerprints``.
    """

    content: str = "targets"
    key: str | Callable[[Any], Any] | None = None
    drop_key: bool = False
    fingerprint: Callable[[Any], Any] | None = None
    pad_value: Any = None
