"""A model's own compiled function, run on batches that a tap has pulled.

A function that pulls inside its graph holds more than the model's arithmetic:
``tf.random`` keeps its state in it, and what was drawn while it was traced is a
constant there. So this function computes, never another trace of the model. It
pulls from an iterator with the signature of Keras' own, which costs some 300 us
a batch. Where the graph keeps no such state, a copy of it without the pull is
called with the batch instead.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from evalguard.capture.engines.graphs import is_stateful, nodes_of
from evalguard.core.own_errors import swallow

COPIES = "_evalguard_copies"
PULL = "IteratorGetNext"
# Stateful operations whose state lies in variables, which all functions of a model share.
ON_VARIABLES = frozenset({"AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp"})


class OwnFunction:
    """A model's own function for one source.

    Attributes:
        source: The iterator that Keras made.
    """

    def __init__(self, function: Any, source: Any, spec: Any) -> None:
        """Prepare the function.

        Args:
            function: Takes an iterator and pulls from it.
            source: The iterator that Keras made.
            spec: Specification of its elements, without the guard's tag.
        """
        self.source = source
        self._function, self._spec = function, spec
        # Stored on the function: so `compile()` discards the copies, and they are freed with the model.
        copies = getattr(function, COPIES, ())
        self._copy: Copy | None = next((copy for copy in copies if _covers(copy.spec, spec)), None)
        self._batches: deque[Any] = deque()
        self._iterator: Any = None

    def __call__(self, batches: list[Any]) -> Any:
        """The outputs of one execution."""
        if self._copy is not None and len(batches) == 1:
            return self._copy(batches[0])
        first = self._iterator is None
        if first:
            self._iterator = _iterator(self._batches, self._spec)
        self._batches.extend(batches)
        outputs = self._function(self._iterator)
        if first and len(batches) == 1 and hasattr(self._function, "get_concrete_function"):
            self._copy = self._make_copy()
        return outputs

    def _make_copy(self) -> Copy | None:
        try:
            # Not a new trace: the function has just run with this signature.
            copy = without_pull(self._function.get_concrete_function(self._iterator), self._spec)
        except Exception as error:  # noqa: BLE001 - the function itself then goes on
            swallow(error)
            return None
        if copy is not None:
            setattr(self._function, COPIES, (copy, *getattr(self._function, COPIES, ())))
        return copy


class Copy:
    """A traced function that takes the elements that the original pulled.

    Attributes:
        spec: Specification of these elements.
    """

    def __init__(self, spec: Any, original: Any, function: Callable[..., Any]) -> None:
        self.spec = spec
        self._original, self._function = original, function
        self._outputs = original.structured_outputs

    def __call__(self, batch: Any) -> Any:
        """The outputs for one batch."""
        nest = sys.modules["tensorflow"].nest
        outputs = self._function(self._original.captured_inputs, nest.flatten(batch))
        return nest.pack_sequence_as(self._outputs, outputs, expand_composites=True)


def without_pull(concrete: Any, spec: Any) -> Copy | None:
    """A copy of a function of one iterator that takes a batch instead; None if it cannot be made.

    Args:
        concrete: A ``ConcreteFunction``, which pulls once.
        spec: Specification of the elements of some iterator that it takes.
    """
    tf = sys.modules["tensorflow"]
    graph = concrete.graph.as_graph_def()
    stateful = [node.op for node in nodes_of(graph) if is_stateful(node.op) and node.op not in ON_VARIABLES]
    pulls = [node for node in graph.node if node.op == PULL]
    dense = all(type(part) is tf.TensorSpec for part in tf.nest.flatten(spec))
    if stateful != [PULL] or not pulls or not dense:
        return None
    # Of the graph itself: its shapes are those of all batches it was traced for.
    shapes, types = pulls[0].attr["output_shapes"].list.shape, pulls[0].attr["output_types"].list.type
    parts = [tf.TensorSpec(tf.TensorShape(shape), dtype) for shape, dtype in zip(shapes, types, strict=True)]
    # The iterator is the one argument; what follows is captured.
    iterator, *captured = (placeholder.op.name for placeholder in concrete.inputs)
    gone = {iterator, pulls[0].name}
    outputs = [output.name for output in concrete.outputs]
    kept = [node for node in graph.node if node.name not in gone]
    for node in kept:
        node.input[:] = [name for name in node.input if name[0] != "^" or name[1:] not in gone]
    graph = tf.compat.v1.GraphDef(node=kept, library=graph.library, versions=graph.versions)
    # Only what is used may be replaced: `predict` ignores targets.
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
    return Copy(tf.nest.pack_sequence_as(spec, parts), concrete, traced)


def _iterator(batches: deque[Any], spec: Any) -> Any:
    """TensorFlow's iterator over batches that are put in one by one; it pulls nothing ahead."""
    tf = sys.modules["tensorflow"]

    def given() -> Iterator[Any]:
        while batches:
            yield batches.popleft()

    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return iter(tf.data.Dataset.from_generator(given, output_signature=spec).with_options(options))


def _covers(general: Any, special: Any) -> bool:
    """Whether every batch of one specification is one of the other."""
    nest = sys.modules["tensorflow"].nest
    try:
        nest.assert_same_structure(general, special)
    except (TypeError, ValueError):
        return False
    pairs = zip(nest.flatten(special), nest.flatten(general), strict=True)
    return all(
        type(one) is type(other) and one.dtype == other.dtype and one.shape.is_subtype_of(other.shape)
        for one, other in pairs
    )
