"""What a traced function does beyond computing: the operations in its graph."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

# Operations that TensorFlow counts as stateful and that only read, or only call other functions.
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
    """The operations of a ``GraphDef``, and of the functions that it calls."""
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
    """Whether an operation may keep state, draw at random or act outside."""
    # No public module has the definitions of operations (tensorflow 2.21, python/framework/op_def_registry.py);
    # tests/capture/engines/test_graphs.py notices if it goes away.
    known = sys.modules["tensorflow.python.framework.op_def_registry"].get(operation)
    return known is not None and known.is_stateful and operation not in HARMLESS


def draws_at_random(concrete: Any) -> bool:
    """Whether a ``ConcreteFunction`` draws numbers whose state lies in itself."""
    # All such operations have two seeds; stateless ones get their seed as an input.
    return any(is_stateful(node.op) and "seed2" in node.attr for node in nodes_of(concrete.graph.as_graph_def()))
