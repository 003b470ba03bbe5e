"""What a ``tf.data`` pipeline is made of: evidence for a cause, and whose memory its batches are in.

There is no public way to ask a dataset for its transformations. Class names and
attributes below are those of tensorflow 2.21 (python/data/ops/*_op.py); what is
not found is not claimed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# A pipeline that is built in a loop may be long; one that joins itself many times has many paths.
MAX_NODES = 2000
BATCHES = frozenset({"BatchDataset", "ParallelBatchDataset"})
# They hand on the tensors that they are given.
PASS_THROUGH = frozenset({"PrefetchDataset", "OptionsDataset", "TakeDataset", "SkipDataset"})


@dataclass(frozen=True, slots=True)
class Node:
    """One transformation, as met on one way from the end to the beginning.

    Attributes:
        dataset: The dataset that this transformation gives.
        cached: A cache stands between it and the end, so that what it does is
            the same at each pass.
        branch: Which input of the last join it belongs to, 0 where none is.
    """

    dataset: Any
    cached: bool
    branch: int

    @property
    def name(self) -> str:
        """Class name without the leading underscore."""
        return type(self.dataset).__name__.lstrip("_")


def pipeline_facts(dataset: Any) -> dict[str, Any]:
    """What is known of a pipeline: how it shuffles, whether it drops the remainder or repeats."""
    nodes = list(_nodes(dataset))
    facts: dict[str, Any] = {}
    shuffles = [node for node in nodes if node.name == "ShuffleDataset"]
    if shuffles:
        facts["reshuffled_each_pass"] = any(_reshuffles(node) for node in shuffles)
        facts["shuffled_branches"] = len({node.branch for node in shuffles})
        buffers = [_number(node.dataset, "_buffer_size") for node in shuffles]
        facts["shuffle_buffer"] = max((size for size in buffers if size is not None), default=0)
    batches = [node for node in nodes if node.name in BATCHES]
    if batches and _number(batches[0].dataset, "_drop_remainder"):
        facts["drop_remainder"] = True
    if any(str(getattr(node.dataset, "_deterministic", None)).lower() == "false" for node in nodes):
        facts["unordered"] = True
    return facts


def allocates_batches(dataset: Any) -> bool:
    """Whether ``batch`` made the tensors that are delivered, so that nobody else has their memory, all of one form.

    What comes from Python as it is may lie in an array that is filled anew (``seals``).
    """
    for node in _nodes(dataset):
        if node.name not in PASS_THROUGH:
            return node.name in BATCHES and _rows_have_one_shape(dataset.element_spec)
    return False


def _rows_have_one_shape(spec: Any) -> bool:
    tf = sys.modules["tensorflow"]
    return all(
        isinstance(leaf, tf.TensorSpec)
        and (leaf.dtype.is_floating or leaf.dtype.is_integer or leaf.dtype.is_bool)
        and leaf.shape.rank
        and leaf.shape[1:].is_fully_defined()
        for leaf in tf.nest.flatten(spec)
    )


def _nodes(dataset: Any) -> Iterator[Node]:
    """All transformations, the last one first; one in two branches is met twice."""
    waiting, branches = [Node(dataset, cached=False, branch=0)], 0
    for _ in range(MAX_NODES):
        if not waiting:
            return
        node = waiting.pop(0)
        yield node
        inputs = _inputs(node.dataset)
        cached = node.cached or node.name == "CacheDataset"
        for source in inputs:
            branches += len(inputs) > 1
            waiting.append(Node(source, cached, branches if len(inputs) > 1 else node.branch))


def _inputs(dataset: Any) -> list[Any]:
    ask = getattr(dataset, "_inputs", None)
    try:
        return list(ask()) if callable(ask) else []
    except Exception:  # noqa: BLE001 - evidence for a cause only
        return []


def _reshuffles(node: Node) -> bool:
    return not node.cached and getattr(node.dataset, "_reshuffle_each_iteration", True) is not False


def _number(dataset: Any, name: str) -> int | None:
    value = getattr(dataset, name, None)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None
