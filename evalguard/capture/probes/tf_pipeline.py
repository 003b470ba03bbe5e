"""Read the transformations of a ``tf.data`` pipeline: evidence for causes, and what allocated the batches' memory.

A dataset has no public attribute for its transformations. Class names and
attributes below are those of tensorflow 2.21 (python/data/ops/*_op.py). A
transformation that is not recognised adds no fact.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# A pipeline that is built in a loop can be long, and one that joins itself repeatedly has exponentially many paths.
MAX_NODES = 2000
# python/data/ops/batch_op.py:50, :89. Not `PaddedBatchDataset`, whose batches differ in shape.
BATCHES = frozenset({"BatchDataset", "ParallelBatchDataset"})
IGNORE_ERRORS = "IgnoreErrorsDataset"  # python/data/ops/ignore_errors_op.py
# A snapshot emits in later passes what it wrote in the first one, like a cache (python/data/ops/snapshot_op.py).
FIXED_AFTER = frozenset({"CacheDataset", "SnapshotDataset"})
INTERLEAVES = frozenset({"InterleaveDataset", "ParallelInterleaveDataset"})
# These emit what they receive in the order in which they receive it. Not `FlatMapDataset`, which `from_generator` also
# returns: the generator may shuffle.
KEEP_ORDER = BATCHES | {
    *("TensorSliceDataset", "TensorDataset", "RangeDataset", "VariantDataset", "MapDataset", "ParallelMapDataset"),
    *("PaddedBatchDataset", "PrefetchDataset", "OptionsDataset", "CacheDataset", "SnapshotDataset", "ZipDataset"),
    *("TakeDataset", "SkipDataset", "ShardDataset", "RepeatDataset", "FilterDataset", "ConcatenateDataset"),
    IGNORE_ERRORS,
}
# These read files one after the other, unless they interleave them.
READERS = frozenset({"TFRecordDatasetV2", "TextLineDatasetV2", "FixedLengthRecordDatasetV2"})
LEAVES_OUT = {"FilterDataset": "`filter`", IGNORE_ERRORS: "`ignore_errors`"}
# Transformations that emit a part of the samples, or all of them several times: word and attribute of the number.
PARTS = {"SkipDataset": ("skip", "_count"), "TakeDataset": ("take", "_count"), "RepeatDataset": ("repeat", "_count")}
# These emit the tensors that they receive. Any other transformation may be a function that returns the user's memory.
PASS_THROUGH = frozenset({"PrefetchDataset", "OptionsDataset", "TakeDataset", "SkipDataset"})


@dataclass(frozen=True, slots=True)
class Node:
    """One transformation, as found on one path from the end of the pipeline to the beginning.

    Attributes:
        dataset: The dataset that this transformation returns.
        cached: Whether a cache or a snapshot follows it, so that its effect is the same in each pass.
        branch: Number of the input of the nearest join to which it belongs; 0 without a join.
    """

    dataset: Any
    cached: bool
    branch: int

    @property
    def name(self) -> str:
        """Class name without the leading underscore, which most classes have."""
        return type(self.dataset).__name__.lstrip("_")


def pipeline_facts(dataset: Any) -> dict[str, Any]:
    """Facts about a pipeline: how it shuffles, what it leaves out or repeats, whether its order is fixed.

    ``keeps_order`` is set if every transformation is known to keep the order of what it reads.
    """
    nodes = list(_nodes(dataset))
    facts: dict[str, Any] = _shuffles(nodes)
    batches = [node for node in nodes if node.name in BATCHES]
    if batches and _number(batches[0].dataset, "_drop_remainder"):
        facts["drop_remainder"] = True
    names = [node.name for node in nodes]
    # `names` runs from the last transformation to the first.
    if IGNORE_ERRORS in names and any(name in BATCHES for name in names[names.index(IGNORE_ERRORS) :]):
        facts["ignores_batches"] = True
    leaves_out = [word for name, word in LEAVES_OUT.items() if name in names]
    if leaves_out:
        facts["leaves_out"] = " and ".join(leaves_out)
    facts |= _parts(nodes)
    # A string: "default", "true" or "false" (python/data/ops/map_op.py:208).
    if any(str(getattr(node.dataset, "_deterministic", None)).lower() == "false" for node in nodes):
        facts["unordered"] = True
    if INTERLEAVES & set(names):
        facts["interleaves"] = True
    if names and "shuffle_buffer" not in facts and "unordered" not in facts and _keep_order(nodes):
        facts["keeps_order"] = True
    return facts


def _shuffles(nodes: list[Node]) -> dict[str, Any]:
    shuffles = [node for node in nodes if _can_shuffle(node)]
    if not shuffles:
        return {}
    buffers = [_number(node.dataset, "_buffer_size") for node in shuffles]
    again = any(_reshuffles(node) for node in shuffles)
    facts: dict[str, Any] = {"shuffled_once": True} if not again and not any(node.cached for node in shuffles) else {}
    first = nodes.index(shuffles[0])
    if any(node.name in BATCHES for node in nodes[first:]):
        facts["shuffles_batches"] = True
    if any(_zips_a_shuffle(node) for node in nodes):
        facts["zips_a_shuffle"] = True
    return facts | {
        "reshuffled_each_pass": again,
        "shuffled_branches": len({node.branch for node in shuffles}),
        "shuffle_buffer": max((size for size in buffers if size is not None), default=0),
    }


def _can_shuffle(node: Node) -> bool:
    # A buffer of one row cannot change the order.
    return node.name == "ShuffleDataset" and _number(node.dataset, "_buffer_size") != 1


def _zips_a_shuffle(node: Node) -> bool:
    """Whether it pairs rows that are shuffled with others that are not."""
    if node.name != "ZipDataset":
        return False
    shuffled = {any(map(_can_shuffle, _nodes(branch))) for branch in _inputs(node.dataset)}
    return len(shuffled) > 1


def _parts(nodes: list[Node]) -> dict[str, Any]:
    """The numbers of ``skip``, ``take``, ``repeat`` and ``shard`` after the last join; of two alike, the later one."""
    facts: dict[str, Any] = {}
    for node in nodes:
        if node.branch:
            break
        word, attribute = PARTS.get(node.name, ("", ""))
        count = _number(node.dataset, attribute) if word else None
        # -1 means all samples in `take(-1)`, and an endless `repeat()`.
        if count is not None and count >= 0 and (word != "repeat" or count > 1):
            facts.setdefault(word, count)
        if node.name == "ShardDataset" and (shards := _number(node.dataset, "_num_shards")) is not None:
            facts.setdefault("shards", shards)
    return facts


def _keep_order(nodes: list[Node]) -> bool:
    for node in nodes:
        if node.name in READERS:
            # With `num_parallel_reads` several files are read by an `interleave` (python/data/ops/readers.py).
            if "Interleave" in type(getattr(node.dataset, "_impl", None)).__name__:
                return False
        # A shuffle has a buffer of one row here: with a larger one, this function is not called.
        elif node.name not in KEEP_ORDER and node.name != "ShuffleDataset":
            return False
    options = getattr(nodes[0].dataset, "options", None)
    return callable(options) and options().deterministic is not False


def allocates_batches(dataset: Any) -> bool:
    """Whether ``batch`` allocated the delivered tensors, so that no other code can write to them.

    False also if rows differ in shape. Tensors that come from Python unchanged may lie in a buffer that the source
    reuses (``buffer_reuse``).
    """
    for node in _nodes(dataset):
        if node.name not in PASS_THROUGH:
            return node.name in BATCHES and _rows_have_one_shape(dataset.element_spec)
    return False


def ends_in_prefetch(dataset: Any) -> bool:
    """Whether the last transformation is a prefetch. If it is not, TensorFlow adds one."""
    last = next((node.name for node in _nodes(dataset) if node.name != "OptionsDataset"), "")
    return last == "PrefetchDataset"


def _rows_have_one_shape(spec: Any) -> bool:
    tf = sys.modules["tensorflow"]
    # `batch` is known to copy only dense rows of numbers of one shape.
    return all(
        isinstance(leaf, tf.TensorSpec)
        and (leaf.dtype.is_floating or leaf.dtype.is_integer or leaf.dtype.is_bool)
        and leaf.shape.rank
        and leaf.shape[1:].is_fully_defined()
        for leaf in tf.nest.flatten(spec)
    )


def _nodes(dataset: Any) -> Iterator[Node]:
    """Yield all transformations, the last one first; a transformation in two branches is yielded twice."""
    waiting, branches = [Node(dataset, cached=False, branch=0)], 0
    for _ in range(MAX_NODES):
        if not waiting:
            return
        node = waiting.pop(0)
        yield node
        inputs = _inputs(node.dataset)
        cached = node.cached or node.name in FIXED_AFTER
        for source in inputs:
            branches += len(inputs) > 1
            waiting.append(Node(source, cached, branches if len(inputs) > 1 else node.branch))


def _inputs(dataset: Any) -> list[Any]:
    # Private, but abstract on DatasetV2, so every dataset has it (tensorflow 2.21, python/data/ops/dataset_ops.py:415).
    inputs = getattr(dataset, "_inputs", None)
    try:
        return list(inputs()) if callable(inputs) else []
    except Exception:  # noqa: BLE001 - only evidence for a cause is lost
        return []


def _reshuffles(node: Node) -> bool:
    return not node.cached and getattr(node.dataset, "_reshuffle_each_iteration", True) is not False


def _number(dataset: Any, name: str) -> int | None:
    value = getattr(dataset, name, None)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None
