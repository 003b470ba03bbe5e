"""Batches that a ``tf.distribute`` strategy splits over several replicas."""

from __future__ import annotations

import sys
from typing import Any

from evalguard.data import tree


def is_replicated(model: Any) -> bool:
    """Whether the model's strategy splits each batch over several replicas."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy is not None and strategy.num_replicas_in_sync > 1


def local_batches(data: Any) -> list[Any]:
    """The part of a distributed batch that each local replica gets, in replica order; one part if it is not split."""
    # Keras passes `PerReplica` leaves and concatenates the outputs in replica order (keras 3.15,
    # backend/tensorflow/trainer.py:851), so rows are recorded in that order.
    first = next((leaf for leaf in tree.leaves(data) if _is_split(leaf)), None)
    if first is None:
        return [data]

    def part(number: int) -> Any:
        return tree.map_leaves(lambda leaf: leaf.values[number] if _is_split(leaf) else leaf, data)

    return [part(number) for number in range(len(first.values))]


def _is_split(leaf: Any) -> bool:
    return isinstance(leaf, sys.modules["tensorflow"].distribute.DistributedValues)
