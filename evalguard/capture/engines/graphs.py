"""Find operations in the graph of a traced function that keep state, draw random numbers or have side effects."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

# Operations that TensorFlow marks as stateful although they only read state or call other functions.
HARMLESS = frozenset(
    {
        "Assert",
        "Case",
        "HashTableV2",
        "If",
        "LookupTableFindV2",
        "LookupTableSizeV2",
        "PartitionedCall",
        "ReadVariableOp",
        "ResourceGather",
        "ResourceGatherNd",
        "StatefulPartitionedCall",
        "VarHandleOp",
        "VarIsInitializedOp",
        "VariableShape",
        "While",
    }
)


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield the operations of a ``GraphDef`` and of the functions that it calls."""
    library = {function.signature.name: function for function in graph.library.function}
    waiting = [graph.node]
    while waiting:
        for node in waiting.pop():
            yield node
            called = {node.op}
            for value in node.attr.values():
                called |= {value.func.name, *(function.name for function in value.list.func)}
            # A library also holds functions that are not called, such as the cuDNN form of a recurrent layer.
            waiting += [library.pop(name).node_def for name in called & library.keys()]


def is_stateful(operation: str) -> bool:
    """Whether an operation may keep state, draw random numbers or have other side effects."""
    # No public module has the definitions of operations (tensorflow 2.21, python/framework/op_def_registry.py);
    # tests/capture/engines/test_graphs.py fails if this one is removed.
    known = sys.modules["tensorflow.python.framework.op_def_registry"].get(operation)
    return known is not None and known.is_stateful and operation not in HARMLESS


def draws_at_random(concrete: Any) -> bool:
    """Whether a ``ConcreteFunction`` draws random numbers from a state of its graph."""
    # All such operations have the attributes `seed` and `seed2`; stateless ones get their seed as an input.
    return any(is_stateful(node.op) and "seed2" in node.attr for node in nodes_of(concrete.graph.as_graph_def()))
