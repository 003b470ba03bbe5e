"""Generators: each batch is tagged as it is pulled; the generator's state on entry is noted."""

from __future__ import annotations

import inspect
import threading
import types
from collections.abc import Iterator
from typing import Any

from evalguard.capture.batch_digests import BatchDigests, can_digest
from evalguard.capture.probes.base import Probe, history_of
from evalguard.capture.tags import unwrap_like, wrap_batch
from evalguard.core.trace import SourceState


class GeneratorProbe(Probe):
    """One ``next`` of ours is one ``next`` of the caller's generator."""

    kind = "generator"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        self._entry_state = inspect.getgeneratorstate(source) if isinstance(source, types.GeneratorType) else None
        self._history = history_of(source)
        self._before = (self._history.calls, self._history.pulled)
        self._history.calls += 1
        self._pulled = 0
        self._exhausted = self._entry_state == inspect.GEN_CLOSED
        self._digests: BatchDigests | None = None
        self._lock = threading.Lock()
        self.source = self._stream()

    def tagged(self, batch: Any) -> Any:
        """The batch just pulled, with its tag."""
        with self._lock:
            pull = self._pulled
            self._pulled += 1
            self._history.pulled += 1
        if not isinstance(batch, tuple):
            return self.tagged_non_tuple(batch, pull)
        return self.with_tag_or_digest(batch, pull)

    def with_tag_or_digest(self, batch: tuple[Any, ...], pull: int) -> Any:
        """The batch sealed and as it is where that can be, else with a tag; the first one decides."""
        if pull == 0 and self.in_one_process and not self.replicated and can_digest(batch):
            self._digests = BatchDigests()
            self.unwrap = self._digests.identify
        elif pull == 0:
            self.unwrap = unwrap_like(batch)
        if self._digests is None:
            return wrap_batch(batch, pull)
        self._digests.put(batch, pull, getattr(batch, "sample_index", None))
        return batch

    @property
    def tag_from_rows(self) -> bool:  # type: ignore[override]
        """Sealed batches are as the caller's source made them."""
        return self._digests is not None and not self._digests.mutable

    @property
    def mutable(self) -> bool:  # type: ignore[override]
        """As long as its memory is filled anew and handed out again."""
        return self._digests is not None and self._digests.mutable

    @property
    def safe_batches(self) -> int:  # type: ignore[override]
        """Of sealed batches, once some have come and no memory twice."""
        return 0 if self._digests is None else self._digests.safe_batches

    def without_tag(self, data: Any) -> Any:
        """Without the tag, where batches carry one."""
        return data if self._digests is not None else self.unwrap(data)[0]

    def intact(self) -> list[bool]:
        """Asked of the seals."""
        return [] if self._digests is None else self._digests.intact()

    @property
    def in_one_process(self) -> bool:
        """Whether the source is asked in this process only."""
        return not (self.call.get("workers") and self.call.get("use_multiprocessing"))

    def tagged_non_tuple(self, batch: Any, pull: int) -> Any:
        """Anything but a tuple is refused by Keras 3, in its own words."""
        del pull
        return batch

    def mark_exhausted(self) -> None:
        """The source has no more batches."""
        self._exhausted = True

    def _stream(self) -> Any:
        return _stream(self)

    def state(self, delivered: int) -> SourceState:
        """Whether the generator was at its start, and how far ahead it is now."""
        calls, pulled = self._before
        return SourceState(
            kind=self.kind,
            type_name=getattr(self.original, "__name__", type(self.original).__name__),
            started=self._entry_state not in {None, inspect.GEN_CREATED},
            calls_before=calls,
            pulled_before=pulled,
            pulled=self._pulled,
            delivered=delivered,
            exhausted=self._exhausted,
            facts=self.facts(),
        )


def _stream(probe: GeneratorProbe) -> Iterator[Any]:
    """A real generator: Keras 3 takes no other iterator."""
    for batch in probe.original:
        yield probe.tagged(batch)
    probe.mark_exhausted()


class IteratorProbe(GeneratorProbe):
    """tf_keras takes any iterator, and may ask it from several threads or processes."""

    def _stream(self) -> Any:
        return _TaggedIterator(self)

    def tagged_non_tuple(self, batch: Any, pull: int) -> Any:
        """A list is a tuple to tf_keras, and ``x`` may stand alone."""
        return self.with_tag_or_digest(tuple(batch) if isinstance(batch, list) else batch, pull)

    def facts(self) -> dict[str, Any]:
        """Adds workers and queue of the call."""
        names = ("workers", "use_multiprocessing", "max_queue_size")
        return {**super().facts(), **{name: self.call[name] for name in names if name in self.call}}


class _TaggedIterator:
    """Not a generator, which two threads cannot ask at once: whether that works is up to the caller's own."""

    def __init__(self, probe: GeneratorProbe) -> None:
        self._probe = probe

    def __iter__(self) -> _TaggedIterator:
        return self

    def __next__(self) -> Any:
        try:
            batch = next(self._probe.original)
        except StopIteration:
            self._probe.mark_exhausted()
            raise
        return self._probe.tagged(batch)
