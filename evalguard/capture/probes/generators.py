"""Generators: each batch is tagged as it is pulled; the generator's state before the call is recorded."""

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
    """Wraps a generator. Each ``next`` of the wrapper is one ``next`` of the caller's generator."""

    kind = "generator"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        # Read before Keras pulls: its adapter takes two batches as soon as it is made (keras 3.15,
        # generator_data_adapter.py:89, peek_and_restore), and more in advance of the model (:74, prefetch).
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
        # Several threads may pull: tf_keras with `workers` > 1 (2.21, engine/data_adapter.py:965).
        with self._lock:
            pull = self._pulled
            self._pulled += 1
            self._history.pulled += 1
        if not isinstance(batch, tuple):
            return self.tagged_non_tuple(batch, pull)
        return self.with_tag_or_digest(batch, pull)

    def with_tag_or_digest(self, batch: tuple[Any, ...], pull: int) -> Any:
        """The batch: unchanged where it can be digested, otherwise with a tag. The first batch decides for all."""
        # For all, because Keras makes one output_signature of the first two batches (keras 3.15,
        # generator_data_adapter.py:67); a later batch of another structure is an error in from_generator.
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
        """Digested batches are delivered as the caller's source made them. Not if it overwrites them."""
        return self._digests is not None and not self._digests.mutable

    def without_tag(self, data: Any) -> Any:
        """The batch without its tag, if batches carry one."""
        return data if self._digests is not None else self.unwrap(data)[0]

    def intact(self) -> list[bool]:
        """See ``BatchDigests.intact``."""
        return [] if self._digests is None else self._digests.intact()

    @property
    def in_one_process(self) -> bool:
        """Whether the source runs in this process only."""
        # Digests are stored in a dict of this process; a worker's would stay there.
        return not (self.call.get("workers") and self.call.get("use_multiprocessing"))

    def tagged_non_tuple(self, batch: Any, pull: int) -> Any:
        """The batch unchanged: Keras 3 rejects anything but a tuple (keras 3.15, generator_data_adapter.py:22)."""
        del pull
        return batch

    def mark_exhausted(self) -> None:
        """Record that the source has no more batches."""
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
    """A real generator, because Keras 3 accepts no other iterator (keras 3.15, data_adapters/__init__.py:151)."""
    for batch in probe.original:
        yield probe.tagged(batch)
    probe.mark_exhausted()


class IteratorProbe(GeneratorProbe):
    """For tf_keras, which accepts any iterator and may pull from several threads or processes."""

    def _stream(self) -> Any:
        return _TaggedIterator(self)

    def tagged_non_tuple(self, batch: Any, pull: int) -> Any:
        """The batch with tag or digest: tf_keras reads a list as a tuple and accepts a bare ``x``."""
        # tf_keras 2.21, engine/data_adapter.py:938, GeneratorDataAdapter._standardize_batch.
        return self.with_tag_or_digest(tuple(batch) if isinstance(batch, list) else batch, pull)

    def facts(self) -> dict[str, Any]:
        """Adds the call's options for workers and queue."""
        names = ("workers", "use_multiprocessing", "max_queue_size")
        return {**super().facts(), **{name: self.call[name] for name in names if name in self.call}}


class _TaggedIterator:
    """An iterator that is not a generator: a generator would raise as soon as two threads pull at the same time.

    Whether two threads may pull depends on the caller's iterator, as without a guard.
    """

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
