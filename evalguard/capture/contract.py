"""What probes and engines agree on: the tag of a batch, how it is read off, and what is recorded of the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evalguard.core.trace import ALTERED, UNKNOWN, row_tag


# Not frozen: one is made for each batch, and a frozen one takes four times as long to make. No one changes a tag.
@dataclass(slots=True, eq=False)
class BatchTag:
    """Which batch of the source was delivered, and which samples its rows are.

    Attributes:
        number: Number of the batch at the source; None: it was not observed.
        samples: int64, one per row: the label row that the source states, or
            ``UNKNOWN``; None if it states none.
        keys: One per row: the key that the source states; None if it states
            none.
        first_row: Where the delivered rows begin in that batch: a replica gets
            a part of a batch. Arrays are one batch, and Keras delivers slices
            of it.
        altered: These rows are not what the source emitted.
    """

    number: int | None = None
    samples: NDArray[np.int64] | None = None
    keys: NDArray[Any] | None = None
    first_row: int = 0
    altered: bool = False

    @property
    def first_tag(self) -> int:
        """The tag of the first row, as a trace has it."""
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
        """A delivered batch as the model must receive it, and its tag; called once for each batch, in order."""

    def without_tag(self, data: Any) -> Any:
        """The caller's batch within one that Keras read but does not feed to the model; it is not counted."""

    def hold(self, data: Any) -> Any:
        """A delivered batch in memory that does not change, to be identified later; None: it cannot wait."""

    def intact(self) -> list[bool]:
        """For each batch of the last execution, whether it is still what it was when it was delivered."""


class Untagged:
    """A stream of batches without tags; others override what they do in another way."""

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """The batch unchanged."""
        return data, NOT_OBSERVED

    def without_tag(self, data: Any) -> Any:
        """The batch unchanged."""
        return data

    def hold(self, data: Any) -> Any:
        """Nothing is known of its memory, or it carries a tag."""
        del data

    def intact(self) -> list[bool]:
        """Nothing to compare with."""
        return []


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """What is recorded of each batch.

    Attributes:
        content: ``always``: fingerprint each row. ``targets``: only where
            the stream carries targets and no index, to find repeated rows.
        key: Entry of ``x`` that holds the keys, or a callable that takes the
            batch (as NumPy) and returns one key per row.
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
