"""The base class of probes, which is their interface to the guard."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import Any

from evalguard.capture.buffer_reuse import RehashedBatches
from evalguard.capture.contract import Stream, Untagged
from evalguard.capture.replicas import is_replicated
from evalguard.core.trace import SourceState


@dataclass(slots=True)
class History:
    """Earlier guarded calls that received the same object.

    Attributes:
        calls: Number of these calls.
        pulled: Number of batches that they pulled.
    """

    calls: int = 0
    pulled: int = 0


# With weak keys, so that a history does not keep a dataset alive. Sources without weak references have no history.
_histories: weakref.WeakKeyDictionary[Any, History] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def history_of(source: Any) -> History:
    """The record of earlier calls with this same object."""
    with _lock:
        try:
            return _histories.setdefault(source, History())
        except TypeError:
            # The source has no weak references, or is not hashable.
            return History()


class Probe:
    """Tags one source for one call.

    Attributes:
        kind: Word for the kind of source, used in reports.
        index_source: What the index of a row is: ``stated``, the sample that
            the source states; ``position``, its position in an array;
            ``listed``, its number in the source's own list of keys.
        source: What is passed to Keras instead of the caller's object.
        stream: Identifies the batches that are delivered.
        replicated: Whether a strategy splits each batch over several replicas.
    """

    kind = "unknown"
    index_source = "stated"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        self.original = source
        self.call = call
        self.source: Any = source
        self.stream: Stream = Untagged()
        # `self` is the model: `call` holds the bound arguments of the guarded method.
        self.replicated = is_replicated(call.get("self"))

    def tags_complete(self, delivered: int) -> bool:
        """Whether the tags of the delivered batches can be trusted; called after the call."""
        del delivered
        return True

    def state(self, delivered: int) -> SourceState:
        """The state and history of the source; called after the call.

        Args:
            delivered: Number of batches that were delivered.
        """
        return SourceState(
            kind=self.kind,
            type_name=type(self.original).__name__,
            delivered=delivered,
            facts=self.facts(),
        )

    def facts(self) -> dict[str, Any]:
        """Plain values that help to find a cause."""
        given = {name: self.call.get(name) for name in ("batch_size", "steps")}
        return {name: int(value) for name, value in given.items() if value is not None}


class PassiveProbe(Probe):
    """For sources that cannot carry a tag: they are passed on unchanged."""

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        self.kind = type(source).__name__
        self.stream = RehashedBatches(self.stream)
