"""What every probe offers to the guard."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import Any

from evalguard.capture.tags import Unwrap, untagged
from evalguard.core.trace import SourceState


@dataclass(slots=True)
class History:
    """Earlier guarded calls that were given the same object."""

    calls: int = 0
    pulled: int = 0


# Sources are told apart by identity; those that allow no weak reference have no history.
_histories: weakref.WeakKeyDictionary[Any, History] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def history_of(source: Any) -> History:
    """The record of earlier calls with this very object."""
    with _lock:
        try:
            return _histories.setdefault(source, History())
        except TypeError:
            return History()


class Probe:
    """Tags one source for one call.

    Attributes:
        kind: Word for the kind of source, used in reports.
        index_source: ``stated`` where the source says which sample a row is,
            ``position`` where the row's place in an array says it.
        source: What Keras is given in place of the caller's object.
        unwrap: Takes a delivered batch apart: the caller's batch, and its tag
            or None.
        tag_from_rows: Whether a delivered batch has nothing beside it, and its rows
            tell the tag, so that ``unwrap`` may be given a copy later.
        mutable: Whether rows may change after they were fed.
        safe_batches: How many more batches may be delivered before one must have
            been looked at; 0: none, its memory may change.
    """

    kind = "unknown"
    index_source = "stated"
    tag_from_rows = mutable = False
    safe_batches = 0

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        self.original = source
        self.call = call
        self.source: Any = source
        self.unwrap: Unwrap = untagged

    @property
    def replicated(self) -> bool:
        """Whether a strategy splits each batch over several replicas."""
        strategy = getattr(self.call.get("self"), "distribute_strategy", None)
        return strategy is not None and strategy.num_replicas_in_sync > 1

    def without_tag(self, data: Any) -> Any:
        """The caller's batch in one that Keras read and does not feed to the model; it is not counted."""
        return data

    def intact(self) -> list[bool]:
        """For each batch of the last execution: is it still what it was when it was fed? Empty: it cannot change."""
        return []

    def tags_complete(self, delivered: int) -> bool:
        """Whether the tags of the delivered batches can be believed, asked once the call is over."""
        del delivered
        return True

    def state(self, delivered: int) -> SourceState:
        """The source's life, asked once the call is over.

        Args:
            delivered: Batches that were delivered.
        """
        return SourceState(
            kind=self.kind,
            type_name=type(self.original).__name__,
            delivered=delivered,
            facts=self.facts(),
        )

    def facts(self) -> dict[str, Any]:
        """Plain values that help to tell a cause."""
        given = {name: self.call.get(name) for name in ("batch_size", "steps")}
        return {name: int(value) for name, value in given.items() if value is not None}


class PassiveProbe(Probe):
    """For sources that cannot carry a tag: they are handed on as they are."""

    @property
    def kind(self) -> str:  # type: ignore[override]
        """The source's class name stands for its kind."""
        return type(self.original).__name__
