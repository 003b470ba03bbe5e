"""``keras.utils.PyDataset``: items are tagged where they are made, in whatever worker that is."""

from __future__ import annotations

from typing import Any

from evalguard.core.trace import SourceState
from evalguard.probes.base import Probe
from evalguard.tagging import untagged


class PyDatasetProbe(Probe):
    """Wraps the dataset in one that tags its items."""

    kind = "pydataset"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        from evalguard.probes.tagged_pydataset import TaggedPyDataset

        self.source = TaggedPyDataset(source)
        self.unwrap = self._unwrap

    def _unwrap(self, data: Any) -> tuple[Any, Any]:
        unwrap = self.source.unwrap or untagged
        return unwrap(data)

    def state(self, delivered: int) -> SourceState:
        """How many items were asked for, where this process can count them."""
        in_process = not (self.source.workers > 0 and self.source.use_multiprocessing)
        return SourceState(
            kind=self.kind,
            type_name=type(self.original).__name__,
            pulled=len(set(self.source.asked)) if in_process else None,
            delivered=delivered,
            facts=self.facts(),
        )

    def facts(self) -> dict[str, Any]:
        """Workers, queue, length, whether it shuffles, and whether an item changed between two readings."""
        source = self.source
        shuffle = getattr(self.original, "shuffle", None)
        return {
            **super().facts(),
            "workers": source.workers,
            "use_multiprocessing": source.use_multiprocessing,
            "max_queue_size": source.max_queue_size,
            "num_batches": source.num_batches,
            "stateful_getitem": source.item_changed,
            **({"shuffle": bool(shuffle)} if isinstance(shuffle, (bool, int)) else {}),
        }
