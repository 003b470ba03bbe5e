"""Generators: each batch is tagged when it is pulled, and the generator's state before the call is recorded."""

from __future__ import annotations

import inspect
import threading
import types
from collections.abc import Iterator
from typing import Any

from evalguard.capture.emitted_batches import EmittedBatches, as_tf_keras_packs
from evalguard.capture.probes.base import Probe, history_of
from evalguard.core.trace import SourceState


class GeneratorProbe(Probe):
    """Wraps a generator. Each ``next`` of the wrapper is one ``next`` of the caller's generator."""

    kind = "generator"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        # Read before Keras pulls: its adapter pulls two batches when it is created (keras 3.15,
        # generator_data_adapter.py:89, peek_and_restore), and reads ahead of the model (:74, prefetch).
        self._entry_state = inspect.getgeneratorstate(source) if isinstance(source, types.GeneratorType) else None
        self._history = history_of(source)
        self._before = (self._history.calls, self._history.pulled)
        self._history.calls += 1
        self._pulled = 0
        self._exhausted = self._entry_state == inspect.GEN_CLOSED
        # Digests are stored in this process, and those that a worker process takes would not reach it.
        in_one_process = not (call.get("workers") and call.get("use_multiprocessing"))
        self.stream = self.batches = EmittedBatches(may_digest=in_one_process and not self.replicated)
        self._lock = threading.Lock()
        self.source = self.wrapped()

    def tagged(self, batch: Any) -> Any:
        """Tag the batch that was just pulled."""
        # Several threads may pull: tf_keras with `workers` > 1 (2.21, engine/data_adapter.py:965).
        with self._lock:
            pull = self._pulled
            self._pulled += 1
            self._history.pulled += 1
        return self.emit(batch, pull)

    def emit(self, batch: Any, pull: int) -> Any:
        """Return what Keras receives instead of a batch."""
        # Anything but a tuple is passed on unchanged, so that Keras raises its own error (keras 3.15,
        # generator_data_adapter.py:22).
        return self.batches.emit(batch, pull) if isinstance(batch, tuple) else batch

    def mark_exhausted(self) -> None:
        """Record that the source has no more batches."""
        self._exhausted = True

    def wrapped(self) -> Any:
        """The iterator that Keras receives instead of the caller's."""
        return _stream(self)

    def state(self, delivered: int) -> SourceState:
        """The state and history of the source, such as whether it was started before the call."""
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

    def wrapped(self) -> Any:
        """An iterator that several threads may use."""
        return _TaggedIterator(self)

    def emit(self, batch: Any, pull: int) -> Any:
        """Return what tf_keras receives instead of a batch; it reads a list as a tuple and accepts a bare ``x``."""
        # tf_keras 2.21, engine/data_adapter.py:938, GeneratorDataAdapter._standardize_batch.
        return self.batches.emit(as_tf_keras_packs(batch), pull, getattr(batch, "sample_index", None))

    def facts(self) -> dict[str, Any]:
        """Add the call's options for workers and queue."""
        names = ("workers", "use_multiprocessing", "max_queue_size")
        return {**super().facts(), **{name: self.call[name] for name in names if name in self.call}}


class _TaggedIterator:
    """An iterator that is not a generator, because a generator raises if two threads pull at the same time.

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
