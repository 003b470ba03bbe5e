"""``keras.utils.PyDataset`` and tf_keras' ``Sequence``: items are tagged where they are made, in whatever worker."""

from __future__ import annotations

from typing import Any

from evalguard.capture.probes.base import Probe
from evalguard.capture.tags import untagged
from evalguard.core.trace import SourceState


class PyDatasetProbe(Probe):
    """Wraps the dataset in one that tags its items."""

    kind = "pydataset"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        self.source = self._wrapped(source)
        self.unwrap = self._unwrap

    def _wrapped(self, source: Any) -> Any:
        from evalguard.capture.probes.tagged_pydataset import TaggedPyDataset

        in_process = not (source.workers and source.use_multiprocessing)
        return TaggedPyDataset(source, may_digest=in_process and not self.replicated)

    def _unwrap(self, data: Any) -> tuple[Any, Any]:
        unwrap = self.source.unwrap or untagged
        return unwrap(data)

    @property
    def tag_from_rows(self) -> bool:  # type: ignore[override]
        """Sealed batches are as the caller's source made them."""
        digests = self.source.digests
        return digests is not None and not digests.mutable

    @property
    def mutable(self) -> bool:  # type: ignore[override]
        """As long as its memory is filled anew and handed out again."""
        return self.source.digests is not None and self.source.digests.mutable

    @property
    def safe_batches(self) -> int:  # type: ignore[override]
        """Of sealed batches, once some have come and no memory twice."""
        digests = self.source.digests
        return 0 if digests is None else digests.safe_batches

    def without_tag(self, data: Any) -> Any:
        """Without the tag, where items carry one."""
        return data if self.source.digests is not None else self._unwrap(data)[0]

    def intact(self) -> list[bool]:
        """Asked of the seals."""
        digests = self.source.digests
        return [] if digests is None else digests.intact()

    def settings(self) -> dict[str, Any]:
        """Workers, queue and length."""
        source = self.source
        names = ("workers", "use_multiprocessing", "max_queue_size", "num_batches")
        return {name: getattr(source, name) for name in names}

    def state(self, delivered: int) -> SourceState:
        """How many items were asked for, where this process can count them."""
        settings = self.settings()
        in_process = not (settings["workers"] and settings["use_multiprocessing"])
        return SourceState(
            kind=self.kind,
            type_name=type(self.original).__name__,
            pulled=len(set(self.source.requested)) if in_process else None,
            delivered=delivered,
            facts=self.facts(),
        )

    def facts(self) -> dict[str, Any]:
        """Adds whether it shuffles, and whether an item changed between two readings."""
        shuffle = getattr(self.original, "shuffle", None)
        return {
            **super().facts(),
            **self.settings(),
            "stateful_getitem": self.source.item_changed,
            **({"shuffle": bool(shuffle)} if isinstance(shuffle, (bool, int)) else {}),
        }


class SequenceProbe(PyDatasetProbe):
    """tf_keras: workers and queue are arguments of the call."""

    def _wrapped(self, source: Any) -> Any:
        from evalguard.capture.probes.tagged_sequence import TaggedSequence

        in_process = not (self.call.get("workers") and self.call.get("use_multiprocessing"))
        return TaggedSequence(source, may_digest=in_process and not self.replicated)

    def settings(self) -> dict[str, Any]:
        """Workers, queue and length."""
        call = self.call
        return {
            "workers": int(call.get("workers", 1)),
            "use_multiprocessing": bool(call.get("use_multiprocessing", False)),
            "max_queue_size": int(call.get("max_queue_size", 10)),
            "num_batches": len(self.original),
        }
