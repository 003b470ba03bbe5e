"""``keras.utils.PyDataset`` and tf_keras' ``Sequence``: each item is tagged or digested in the worker that makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evalguard.capture.probes.base import Probe
from evalguard.core.trace import SourceState


class PyDatasetProbe(Probe):
    """Wraps the dataset in one that tags its items."""

    kind = "pydataset"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        self.source = self.wrapped(source)
        self.stream = self.source.batches

    def wrapped(self, source: Any) -> Any:
        """The dataset that Keras receives instead of the caller's."""
        # Imported here: the module imports Keras, which a tf_keras user need not have loaded.
        from evalguard.capture.probes.tagged_pydataset import TaggedPyDataset

        # Without workers `use_multiprocessing` has no effect (keras 3.15, py_dataset_adapter.py:216).
        in_process = not (source.workers and source.use_multiprocessing)
        may_digest = in_process and not self.replicated
        return TaggedPyDataset(source, may_digest=may_digest, indices=self.indices_of(source))

    def indices_of(self, source: Any) -> Callable[[int], Any] | None:
        """A function from an item number to the samples of the item; None if the dataset does not state them."""
        indices = getattr(source, "sample_indices", None)
        return indices if callable(indices) else None

    def settings(self) -> dict[str, Any]:
        """Options for workers and queue, and the number of batches."""
        source = self.source
        names = ("workers", "use_multiprocessing", "max_queue_size", "num_batches")
        return {name: getattr(source, name) for name in names}

    def state(self, delivered: int) -> SourceState:
        """The state of the source, with the number of items requested if this process can count them."""
        settings = self.settings()
        in_process = not (settings["workers"] and settings["use_multiprocessing"])
        return SourceState(
            kind=self.kind,
            type_name=type(self.original).__name__,
            # A set: Keras requests the first items twice (PEEKED).
            pulled=len(set(self.source.requested)) if in_process else None,
            delivered=delivered,
            facts=self.facts(),
        )

    def facts(self) -> dict[str, Any]:
        """Add whether the source shuffles, and whether an item differed on a second call of ``__getitem__``."""
        shuffle = getattr(self.original, "shuffle", None)
        return {
            **super().facts(),
            **self.settings(),
            "stateful_getitem": self.source.item_changed,
            **({"shuffle": bool(shuffle)} if isinstance(shuffle, (bool, int)) else {}),
        }


class SequenceProbe(PyDatasetProbe):
    """For tf_keras, where workers and queue are arguments of the call."""

    def wrapped(self, source: Any) -> Any:
        """The sequence that tf_keras receives instead of the caller's."""
        from evalguard.capture.probes.tagged_sequence import TaggedSequence

        in_process = not (self.call.get("workers") and self.call.get("use_multiprocessing"))
        may_digest = in_process and not self.replicated
        return TaggedSequence(source, may_digest=may_digest, indices=self.indices_of(source))

    def settings(self) -> dict[str, Any]:
        """Options for workers and queue, and the number of batches."""
        call = self.call
        return {
            "workers": int(call.get("workers", 1)),
            "use_multiprocessing": bool(call.get("use_multiprocessing", False)),
            "max_queue_size": int(call.get("max_queue_size", 10)),
            "num_batches": len(self.original),
        }
