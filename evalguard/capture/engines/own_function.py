"""Run a model's own compiled function on batches that a tap has pulled.

A function that pulls inside its graph holds more than the model's arithmetic:
``tf.random`` keeps its state in it, and a number that was drawn during tracing is
a constant there. A new trace of the model would compute other values, so this
function itself computes. It pulls from an iterator with the same signature as
Keras' own, which costs some 300 us per batch. If the graph keeps no such state, a
copy of it without the pull is called with the batch instead.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from evalguard.capture.engines.graphs import is_stateful, nodes_of
from evalguard.core.own_errors import swallow

# Attribute of a function that holds its `OwnFunction`s.
WAYS = "_evalguard_ways"
# The operation that pulls from an iterator.
PULL = "IteratorGetNext"
# Stateful operations on variables, which all functions of a model share.
ON_VARIABLES = frozenset({"AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp"})
# Executions of the function itself before a copy is made. With fewer, TensorFlow warns about retracing if five models
# are guarded.
BEFORE_A_COPY = 4
# `OwnFunction`s of one function, at most; there is one for each thread and each specification.
MAX_WAYS = 64


class OwnFunction:
    """A model's own function, and its copy, for batches of one specification.

    One thread uses it at a time.
    """

    def __init__(self, function: Any, spec: Any) -> None:
        self._function, self._spec = function, spec
        self._batches: deque[Any] = deque()
        self._iterator: Any = None
        self._copy: Copy | None = None
        self._executions = 0

    def __call__(self, batches: list[Any]) -> Any:
        """Return the outputs of one execution on these batches."""
        if self._copy is not None and len(batches) == 1:
            return self._copy(batches[0])
        if self._iterator is None:
            self._iterator = _iterator(self._batches, self._spec)
        # An execution that failed may have left batches.
        self._batches.clear()
        self._batches.extend(batches)
        try:
            outputs = self._function(self._iterator)
        except BaseException:
            # The error may have ended the iterator, so the next execution gets a new one.
            self._iterator = None
            raise
        self._executions += 1
        if self._executions == BEFORE_A_COPY and len(batches) == 1:
            self._copy = self._make_copy()
        return outputs

    def end(self) -> None:
        """Pull once more, as Keras does to learn that the source has ended; operations that draw may run at that pull.

        Raises:
            tf.errors.OutOfRangeError: The iterator has ended.
        """
        if self._copy is None and self._iterator is not None:
            iterator, self._iterator = self._iterator, None
            self._function(iterator)

    def _make_copy(self) -> Copy | None:
        if not hasattr(self._function, "get_concrete_function"):
            return None
        try:
            # This makes no new trace, because the function has just run with this signature.
            return without_pull(self._function.get_concrete_function(self._iterator), self._spec)
        except Exception as error:  # noqa: BLE001 - without a copy, the function itself is used
            swallow(error)
            return None


def own_function(function: Any, spec: Any) -> OwnFunction:
    """Return the ``OwnFunction`` of a function for batches of a specification, in this thread.

    Args:
        function: Takes an iterator and pulls from it.
        spec: Specification (``element_spec``) of the batches, without the guard's tag.
    """
    # Stored on the function, which `compile()` replaces, so that both are freed together. One for each specification,
    # because TensorFlow chooses a trace by it, and traces may differ in more than their shapes.
    ways: dict[Any, OwnFunction] = getattr(function, WAYS, {})
    key = threading.get_ident(), repr(spec)
    if key not in ways:
        if len(ways) >= MAX_WAYS:
            ways.clear()
        ways[key] = OwnFunction(function, spec)
        setattr(function, WAYS, ways)
    return ways[key]


class Copy:
    """A copy of a traced function that takes a batch as its argument instead of pulling it."""

    def __init__(self, original: Any, function: Callable[..., Any]) -> None:
        self._original, self._function = original, function
        self._outputs = original.structured_outputs

    def __call__(self, batch: Any) -> Any:
        """Return the outputs for one batch."""
        nest = sys.modules["tensorflow"].nest
        outputs = self._function(self._original.captured_inputs, nest.flatten(batch))
        return nest.pack_sequence_as(self._outputs, outputs, expand_composites=True)


def without_pull(concrete: Any, spec: Any) -> Copy | None:
    """Copy a function of an iterator into one that takes a batch instead; None if that is not possible.

    Args:
        concrete: A ``ConcreteFunction`` that takes an iterator.
        spec: Specification of the elements of an iterator that it takes.
    """
    tf = sys.modules["tensorflow"]
    graph = concrete.graph.as_graph_def()
    stateful = [node.op for node in nodes_of(graph) if is_stateful(node.op) and node.op not in ON_VARIABLES]
    pulls = [node for node in graph.node if node.op == PULL]
    dense = all(type(part) is tf.TensorSpec for part in tf.nest.flatten(spec))
    if stateful != [PULL] or not pulls or not dense:
        return None
    # Shapes from the graph itself, which may be more general than those of `spec`.
    shapes, types = pulls[0].attr["output_shapes"].list.shape, pulls[0].attr["output_types"].list.type
    parts = [tf.TensorSpec(tf.TensorShape(shape), dtype) for shape, dtype in zip(shapes, types, strict=True)]
    # The iterator is the only argument; the inputs after it are captured.
    iterator, *captured = (placeholder.op.name for placeholder in concrete.inputs)
    gone = {iterator, pulls[0].name}
    outputs = [output.name for output in concrete.outputs]
    kept = [node for node in graph.node if node.name not in gone]
    for node in kept:
        node.input[:] = [name for name in node.input if name[0] != "^" or name[1:] not in gone]
    graph = tf.compat.v1.GraphDef(node=kept, library=graph.library, versions=graph.versions)
    # `import_graph_def` rejects inputs that the graph does not use, such as the targets in `predict`.
    used = {name if ":" in name else f"{name}:0" for node in kept for name in node.input}
    fed = [f"{name}:0" for name in captured], [f"{pulls[0].name}:{number}" for number in range(len(parts))]

    def compute(*given: Any) -> Any:
        replaced = {
            name: value
            for names, values in zip(fed, given, strict=True)
            for name, value in zip(names, values, strict=True)
        }
        inputs = {name: value for name, value in replaced.items() if name in used}
        return tf.graph_util.import_graph_def(graph, input_map=inputs, return_elements=outputs, name="")

    function = tf.function(compute, autograph=False)
    traced = function.get_concrete_function(list(concrete.captured_inputs), parts)
    return Copy(concrete, traced)


def _iterator(batches: deque[Any], spec: Any) -> Any:
    """A TensorFlow iterator that emits the batches in the deque, as they are added; it does not read ahead."""
    tf = sys.modules["tensorflow"]

    def given() -> Iterator[Any]:
        while batches:
            yield batches.popleft()

    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return iter(tf.data.Dataset.from_generator(given, output_signature=spec).with_options(options))
