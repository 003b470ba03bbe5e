"""What probes and engines agree on: how a delivered batch is taken apart, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from evalguard.capture.tags import Unwrap, untagged

# Stands for a tag until the batch is taken apart. Not None: that is the tag of a batch that nobody can identify.
TAG_PENDING = object()


class Stream(Protocol):
    """What a probe knows of the batches that are delivered."""

    @property
    def unwrap(self) -> Unwrap:
        """Takes a delivered batch apart: the batch, and its tag or None."""

    @property
    def tag_from_rows(self) -> bool:
        """The tag follows from the rows, with nothing attached to the batch: a copy may be taken apart later."""

    @property
    def mutable(self) -> bool:
        """Rows may change after they were fed: each batch is hashed when it is fed, and again after the model ran."""

    @property
    def safe_batches(self) -> int:
        """How many more batches may be delivered before the first of them must be hashed; 0: none."""

    def without_tag(self, data: Any) -> Any:
        """The caller's batch within one that Keras read but does not feed to the model; it is not counted."""

    def intact(self) -> list[bool]:
        """For each batch of the last execution, whether it is still what it was when it was taken apart."""


class Untagged:
    """A stream of batches without tags."""

    # Not a plain function: as a class attribute that would become a method and receive `self`.
    unwrap: Unwrap = staticmethod(untagged)
    tag_from_rows = mutable = False
    safe_batches = 0

    def without_tag(self, data: Any) -> Any:
        """The batch unchanged."""
        return data

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
