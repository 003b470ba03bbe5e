"""What probes and engines agree on: how a delivered batch is taken apart, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from evalguard.capture.tags import Unwrap, untagged
from evalguard.core.columns.storage import TRACE_MEMORY
from evalguard.core.sampling import Sampling

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

    def without_tag(self, data: Any) -> Any:
        """The caller's batch within one that Keras read but does not feed to the model; it is not counted."""

    def intact(self) -> list[bool]:
        """For each batch of the last execution, whether it is still what it was when it was taken apart."""


class Untagged:
    """A stream of batches without tags."""

    # Not a plain function: as a class attribute that would become a method and receive `self`.
    unwrap: Unwrap = staticmethod(untagged)
    tag_from_rows = False

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
        memory: How many bytes of tags, samples and fingerprints one call keeps
            in memory; the rest goes to disk.
        sampling: Which rows are fingerprinted; None: all.
    """

    content: str = "targets"
    key: str | Callable[[Any], Any] | None = None
    drop_key: bool = False
    fingerprint: Callable[[Any], Any] | None = None
    pad_value: Any = None
    memory: int = TRACE_MEMORY
    sampling: Sampling | None = None
