"""One delivered batch computed again in another order: the test that a model computes row by row.

The batch is computed in a seeded random order, and then in two halves. A row that
is the output of another row and not its own was moved by the model; any other
difference says nothing about the order.

What computes is a new trace of the model's own function, so that the traces which
later calls use stay as they are, and it runs only if no operation in it keeps
state, draws at random or acts outside: then nothing needs to be put back.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.recording.recorder import to_numpy
from evalguard.core.own_errors import not_ours, swallow
from evalguard.core.trace import ROW_WISE, Int64
from evalguard.data import tree

# Of a value, and of the large ones in its column. Seen in float32 between batches of different sizes: 4e-7.
TOLERANCE = 1e-5
# A value larger than this part of its column must not hide that the others differ.
LARGE = 0.9
# A row that is nearer to its own did not move: it was computed less precisely.
FAR, FAR_IN_HALF_PRECISION = 1e-4, 1e-2
# Few distinct values, as an argmax leaves them, may be those of other rows by chance.
MIN_DISTINCT = 3
ON_BATCH = "predict_on_batch"
# Numbers compared to find the rows that others are: about a second.
MOST_COMPARED = 1 << 28
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


class _Untestable(Exception):  # noqa: N818 - no error: the model cannot be tested, for the reason given
    """Why the test shows nothing."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What the test shows.

    Attributes:
        result: ``ROW_WISE``, or ``untestable: why``; empty where rows moved.
        moved: Rows that were the outputs of other rows.
        seconds: Time spent.
    """

    result: str = ""
    moved: int = 0
    seconds: float = 0.0


class ModelTest:
    """Tests a model on the first delivered batch of more than one row.

    Attributes:
        kept: Whether such a batch was delivered.
    """

    def __init__(self) -> None:
        self.kept = False
        self._why_not = "no batch was observed"
        self._batch: Any = None
        self._outputs: list[NDArray[Any]] = []
        self._seconds = 0.0

    def keep(self, batches: list[Any], outputs: Any) -> None:
        """Copy the first batch and its outputs: the source may overwrite its memory."""
        if self.kept:
            return
        start = time.perf_counter()
        try:
            with not_ours():
                n = tree.same_rows(batches[0])
                self._why_not = "no batch has more than one row"
                if n > 1:
                    self.kept = True
                    self._batch = _rows_of(batches[0], np.arange(n))
                    # Of several batches in one execution the outputs are joined.
                    self._outputs = [np.array(to_numpy(leaf)[:n]) for leaf in tree.leaves(outputs)]
        except Exception as error:  # noqa: BLE001 - a batch that cannot be copied must not cost the predictions
            self.kept, self._batch = True, None
            self._why_not = f"the batch could not be copied: {swallow(error)}"
        self._seconds += time.perf_counter() - start

    def run(self, step: Callable[[], Callable[[Any], Any]]) -> ModelResult:
        """Compute the batch again, after the call.

        Args:
            step: Gives the Python function with which the model computes a batch.
        """
        start, states = time.perf_counter(), (random.getstate(), np.random.get_state())  # noqa: NPY002 - what user code draws from
        result, moved = "", 0
        try:
            moved = self._moved(step)
            result = "" if moved else ROW_WISE
        except _Untestable as why:
            result = f"untestable: {why}"
        except Exception as error:  # noqa: BLE001 - the test must cost neither the predictions nor the verdict
            result = f"untestable: the batch could not be computed again: {_first_line(swallow(error))}"
        finally:
            # The user's Python code runs while it is traced, and may draw.
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            self._batch, self._outputs = None, []
        return ModelResult(result, moved, self._seconds + time.perf_counter() - start)

    def _moved(self, step: Callable[[], Callable[[Any], Any]]) -> int:
        if self._batch is None:
            raise _Untestable(self._why_not)
        n = tree.same_rows(self._batch)
        if any(len(output) != n for output in self._outputs):
            msg = "an output does not have one row for each row of the batch"
            raise _Untestable(msg)
        kept = [DeliveredRows(output) for output in self._outputs]
        order = np.random.default_rng(0).permutation(n)
        with not_ours():
            function = sys.modules["tensorflow"].function(step())
        found = self._compare(function, kept, order, strict=False)
        if found:
            return found
        if any(output.all_equal() for output in kept):
            msg = "all rows of an output are equal in that batch"
            raise _Untestable(msg)
        # Both of one size, so that one trace serves both; of an odd number, one row is in both.
        half = (n + 1) // 2
        return max(self._compare(function, kept, rows, strict=True) for rows in (order[:half], order[n - half :]))

    def _compare(self, function: Any, kept: list[DeliveredRows], rows: Int64, *, strict: bool) -> int:
        """Compute these rows again; how many are the outputs of other rows."""
        again, half = _computed(function, _rows_of(self._batch, rows))
        if [len(output) for output in again] != [len(rows)] * len(kept):
            msg = "computed again, the outputs have other rows"
            raise _Untestable(msg)
        far = FAR_IN_HALF_PRECISION if half else FAR
        found = [output.compare(other, rows, far=far, strict=strict) for output, other in zip(kept, again, strict=True)]
        moved = max(found, default=0)
        if moved > 0:
            return moved
        if min(found, default=0) < 0:
            way = "in parts" if strict else "in another order"
            msg = f"computed again {way}, rows have other values: it depends on the batch, or computes imprecisely"
            raise _Untestable(msg)
        return 0


class ModelTests:
    """The tests of one entry: of each call of ``predict``, and of one batch of a loop over ``predict_on_batch``."""

    def __init__(self) -> None:
        # With the model: or another one could get its id.
        self._of_loops: dict[int, tuple[Any, str]] = {}

    def begin(self, model: Any, method: str) -> ModelTest | None:
        """The test to make in a call, or None."""
        return ModelTest() if method == "predict" or (method == ON_BATCH and id(model) not in self._of_loops) else None

    def end(
        self, test: ModelTest | None, model: Any, method: str, step: Callable[[], Callable[[Any], Any]]
    ) -> ModelResult:
        """What is known of the model after that call."""
        if method not in {"predict", ON_BATCH}:
            return ModelResult(f"untestable: {method} returns metrics, not rows")
        if test is None:
            # Rows that moved are counted once.
            return ModelResult(self._of_loops[id(model)][1])
        tested = test.run(step)
        if test.kept:
            self._of_loops[id(model)] = model, tested.result
        return tested


class DeliveredRows:
    """The rows of one output as they were delivered."""

    def __init__(self, output: NDArray[Any]) -> None:
        self.rows = _flat(output)
        # Text and whole numbers are equal or not.
        self.scale: NDArray[Any] | None = None
        if self.rows.dtype.kind in "fc":
            sizes = np.sort(np.where(np.isfinite(self.rows), np.abs(self.rows), 0), axis=0)
            zeros = np.count_nonzero(sizes == 0, axis=0)
            large = np.minimum(zeros + (LARGE * (len(sizes) - zeros - 1)).astype(np.int64), len(sizes) - 1)
            self.scale = np.take_along_axis(sizes, large[None], axis=0)[0]

    def all_equal(self) -> bool:
        """Whether no row can be told from another."""
        return bool(self._equal(self.rows, self.rows[0], TOLERANCE).all())

    def compare(self, output: NDArray[Any], source: Int64, *, far: float, strict: bool) -> int:
        """How many of these rows are other rows and not their own; -1 where they differ in any other way.

        Args:
            output: Computed again.
            source: Which delivered row each one is.
            far: A row that moved differs from its own by more than this.
            strict: Each one that is not its own must be one other row, and no two of them the same.
        """
        again = _flat(output)
        strays = np.flatnonzero(~self._equal(again, self.rows[source], TOLERANCE))
        if not strays.size:
            return 0
        others = strays[~self._equal(again[strays], self.rows[source[strays]], far)]
        taken = np.zeros(len(self.rows), dtype=np.bool_)
        taken[np.delete(source, strays)] = True
        moved, values, one_each = 0, set(), others.size == strays.size
        for row in others[: max(1, MOST_COMPARED // max(1, self.rows.size))]:
            like = np.flatnonzero(self._equal(self.rows, again[row], TOLERANCE))
            free = like[~taken[like]]
            one_each = one_each and bool(free.size) and (not strict or like.size == 1)
            if like.size:
                moved += 1
                values.add(int(like[0]))
            taken[free[:1]] = True
        # A model that depends on the batch gives some rows the values of others by chance, and an argmax many of them.
        sure = one_each or (not strict and 2 * moved > strays.size and len(values) >= MIN_DISTINCT)
        return moved if sure else -1

    def _equal(self, ours: NDArray[Any], theirs: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
        """Which rows are equal within this tolerance."""
        same = ours == theirs
        if self.scale is not None:
            with np.errstate(invalid="ignore"):
                near = np.abs(ours - theirs) <= tolerance * (np.abs(theirs) + self.scale)
            same |= (near & np.isfinite(theirs)) | (np.isnan(ours) & np.isnan(theirs))
        equal: NDArray[np.bool_] = same.all(axis=1)
        return equal


def _flat(output: NDArray[Any]) -> NDArray[Any]:
    """One line of values for each row; all real types with a fraction as float64."""
    rows = output.reshape(len(output), -1)
    # bfloat16 has a dtype that NumPy does not know as a number.
    return rows.astype(np.float64) if "float" in rows.dtype.name else rows


def _rows_of(batch: Any, rows: Int64) -> Any:
    """Some rows of a batch, in memory of their own."""
    gather = sys.modules["tensorflow"].gather
    with not_ours():
        return tree.map_leaves(
            lambda leaf: gather(leaf.get_value() if hasattr(leaf, "has_value") else leaf, rows), batch
        )


def _computed(function: Any, batch: Any) -> tuple[list[NDArray[Any]], bool]:
    """The outputs of a batch, and whether something in the function is computed in half precision.

    Raises:
        _Untestable: Something in it keeps state, draws at random or acts outside.
    """
    tf = sys.modules["tensorflow"]
    with not_ours():
        concrete = function.get_concrete_function(batch)
    nodes = list(_nodes(concrete.graph.as_graph_def()))
    for node in nodes:
        if not _is_harmless(node.op):
            msg = f"it keeps state, draws at random or runs Python code when it predicts ({node.op})"
            raise _Untestable(msg)
    halves = {tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum}
    half = any(value.type in halves for node in nodes for value in node.attr.values())
    with not_ours():
        return [np.asarray(to_numpy(leaf)) for leaf in tree.leaves(concrete(batch))], half


def _nodes(graph: Any) -> Iterator[Any]:
    """The operations of a graph, and of the functions that it calls."""
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


def _is_harmless(operation: str) -> bool:
    """Whether an operation only computes."""
    # No public module has the definitions of operations (tensorflow 2.21, python/framework/op_def_registry.py);
    # tests/capture/test_verify_model.py notices if it goes away.
    known = sys.modules["tensorflow.python.framework.op_def_registry"].get(operation)
    return known is None or not known.is_stateful or operation in HARMLESS


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]
