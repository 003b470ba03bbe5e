"""Generators: each batch is tagged as it is pulled; the generator's state on entry is noted."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterator
from typing import Any

from evalguard.core.trace import SourceState
from evalguard.probes.base import Probe, history_of
from evalguard.tagging import unwrap_like, wrap_batch


class GeneratorProbe(Probe):
    """One ``next`` of ours is one ``next`` of the caller's generator."""

    kind = "generator"

    def __init__(self, source: Generator[Any, Any, Any], call: dict[str, Any]) -> None:
        super().__init__(source, call)
        self._entry = inspect.getgeneratorstate(source)
        self._history = history_of(source)
        self._before = (self._history.calls, self._history.pulled)
        self._history.calls += 1
        self._pulled = 0
        self._exhausted = self._entry == inspect.GEN_CLOSED
        self.source = self._stream()

    def _stream(self) -> Iterator[Any]:
        for pull, batch in enumerate(self.original):
            self._pulled += 1
            self._history.pulled += 1
            if not isinstance(batch, tuple):
                yield batch  # refused by Keras 3, in its own words
                continue
            if pull == 0:
                self.unwrap = unwrap_like(batch)
            yield wrap_batch(batch, pull)
        self._exhausted = True

    def state(self, delivered: int) -> SourceState:
        """Whether the generator was at its start, and how far ahead it is now."""
        calls, pulled = self._before
        return SourceState(
            kind=self.kind,
            type_name=getattr(self.original, "__name__", type(self.original).__name__),
            started=self._entry != inspect.GEN_CREATED,
            handed_before=calls,
            pulled_before=pulled,
            pulled=self._pulled,
            delivered=delivered,
            exhausted=self._exhausted,
            facts=self.facts(),
        )
