"""Test that a model computes row by row, by computing one delivered batch again in another order.

The batch is computed in a seeded random order, and then in two halves. A row that
equals the output of another row and not its own was moved by the model. Any other
difference says nothing about the order.

A new trace of the model's own function computes, so that the traces which later
calls use stay as they are. It runs only if no operation in it keeps state, draws
random numbers or has other side effects, so nothing needs to be restored.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.engines.graphs import is_stateful, nodes_of
from evalguard.capture.moved_rows import FAR, FAR_IN_HALF_PRECISION, DeliveredRows
from evalguard.capture.recording.recorder import to_numpy
from evalguard.capture.replicas import local_batches
from evalguard.core.own_errors import not_ours, swallow
from evalguard.core.trace import ROW_WISE, Int64
from evalguard.data import tree

ON_BATCH = "predict_on_batch"


class _Untestable(Exception):  # noqa: N818 - no error: the model cannot be tested, for the reason given
    """Why the test shows nothing."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """The result of the test.

    Attributes:
        result: ``ROW_WISE``, or ``untestable: why``; empty if rows moved.
        moved: Number of rows that were the outputs of other rows.
        seconds: Time spent, in seconds.
    """

    result: str = ""
    moved: int = 0
    seconds: float = 0.0


class ModelTest:
    """Tests a model on the first delivered batch of more than one row.

    Attributes:
        kept: Whether such a batch was delivered and copied, or could not be copied.
    """

    def __init__(self) -> None:
        self.kept = False
        self._why_not = "no batch was observed"
        self._batch: Any = None
        self._outputs: list[NDArray[Any]] = []
        self._seconds = 0.0

    def keep(self, batches: list[Any], outputs: Any) -> None:
        """Copy the first batch and its outputs, because the source may overwrite its memory."""
        if self.kept:
            return
        start = time.perf_counter()
        try:
            with not_ours():
                if len(local_batches(batches[0])) > 1:
                    self._why_not = "each batch is split over several replicas"
                    return
                n = tree.same_rows(batches[0])
                self._why_not = "no batch has more than one row"
                if n > 1:
                    self.kept = True
                    self._batch = _rows_of(batches[0], np.arange(n))
                    # With several batches in one execution, Keras joins the outputs, those of the first batch in front.
                    self._outputs = [np.array(to_numpy(leaf)[:n]) for leaf in tree.leaves(outputs)]
        except Exception as error:  # noqa: BLE001 - the call goes on with a batch that cannot be copied
            self.kept, self._batch = True, None
            self._why_not = f"the batch could not be copied: {swallow(error)}"
        self._seconds += time.perf_counter() - start

    def run(self, step: Callable[[], Callable[[Any], Any]]) -> ModelResult:
        """Compute the batch again, after the call.

        Args:
            step: Returns the Python function with which the model computes a batch.
        """
        start, result, moved = time.perf_counter(), "", 0
        # Tracing runs the user's Python code, which may draw random numbers.
        of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        try:
            moved = self._moved(step)
            result = "" if moved else ROW_WISE
        except _Untestable as why:
            result = f"untestable: {why}"
        except Exception as error:  # noqa: BLE001 - the test must cost neither the predictions nor the verdict
            result = f"untestable: the batch could not be computed again: {_first_line(swallow(error))}"
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)  # noqa: NPY002
            self._batch, self._outputs = None, []
        return ModelResult(result, moved, self._seconds + time.perf_counter() - start)

    def _moved(self, step: Callable[[], Callable[[Any], Any]]) -> int:
        if self._batch is None:
            raise _Untestable(self._why_not)
        n = tree.same_rows(self._batch)
        if {len(output) for output in self._outputs} != {n}:
            msg = "an output does not have one row for each row of the batch"
            raise _Untestable(msg)
        kept = [DeliveredRows(output) for output in self._outputs]
        order = np.random.default_rng(0).permutation(n)
        with not_ours():
            function = sys.modules["tensorflow"].function(step())
        found = self._compare(function, kept, order, strict=False)
        if not found and any(output.all_equal() for output in kept):
            msg = "all rows of an output are equal in that batch"
            raise _Untestable(msg)
        if not found:
            # Both halves have the same size, so that they share one trace; of an odd number, one row is in both.
            half = (n + 1) // 2
            found = max(self._compare(function, kept, rows, strict=True) for rows in (order[:half], order[n - half :]))
        # In the order of delivery each row must equal its own; otherwise the copy is not what the model read.
        if found and self._compare(function, kept, np.arange(n), strict=False):
            msg = "a second computation of the batch in the same order gave other rows"
            raise _Untestable(msg)
        return found

    def _compare(self, function: Any, kept: list[DeliveredRows], rows: Int64, *, strict: bool) -> int:
        """Compute these rows again and return how many are the outputs of other rows."""
        again, half = _computed(function, _rows_of(self._batch, rows))
        if [len(output) for output in again] != [len(rows)] * len(kept):
            msg = "a second computation returned another number of rows"
            raise _Untestable(msg)
        far = FAR_IN_HALF_PRECISION if half else FAR
        found = [output.compare(other, rows, far=far, strict=strict) for output, other in zip(kept, again, strict=True)]
        moved = max(found, default=0)
        if moved > 0:
            return moved
        if min(found, default=0) < 0:
            way = "in parts" if strict else "in another order"
            msg = f"computed again {way}, rows have other values: they depend on the batch, or the precision is low"
            raise _Untestable(msg)
        return 0


class ModelTests:
    """The tests of one entry: one for each call of ``predict``, and one for a loop over ``predict_on_batch``."""

    def __init__(self) -> None:
        # By id, with a reference to the model, so that no other model gets its id.
        self._of_loops: dict[int, tuple[Any, str]] = {}

    def begin(self, model: Any, method: str) -> ModelTest | None:
        """Return the test to make in a call, or None."""
        return ModelTest() if method == "predict" or (method == ON_BATCH and id(model) not in self._of_loops) else None

    def end(
        self, test: ModelTest | None, model: Any, method: str, step: Callable[[], Callable[[Any], Any]]
    ) -> ModelResult:
        """Finish the test of a call and return what is known of the model."""
        if method not in {"predict", ON_BATCH}:
            return ModelResult(f"untestable: {method} returns metrics, not rows")
        if test is None:
            # `moved` stays 0 here, so that rows that moved are counted once.
            return ModelResult(self._of_loops[id(model)][1])
        tested = test.run(step)
        if test.kept:
            self._of_loops[id(model)] = model, tested.result
        return tested


def _rows_of(batch: Any, rows: Int64) -> Any:
    """Copy some rows of a batch."""
    gather = sys.modules["tensorflow"].gather
    with not_ours():
        return tree.map_leaves(
            lambda leaf: gather(leaf.get_value() if hasattr(leaf, "has_value") else leaf, rows), batch
        )


def _computed(function: Any, batch: Any) -> tuple[list[NDArray[Any]], bool]:
    """The outputs of a batch, and whether the function computes anything in half precision.

    Raises:
        _Untestable: An operation keeps state, draws random numbers or has other side effects.
    """
    tf = sys.modules["tensorflow"]
    with not_ours():
        concrete = function.get_concrete_function(batch)
    nodes = list(nodes_of(concrete.graph.as_graph_def()))
    for node in nodes:
        if is_stateful(node.op):
            msg = f"the model keeps state, draws random numbers or runs Python code when it predicts ({node.op})"
            raise _Untestable(msg)
    halves = {tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum}
    half = any(value.type in halves for node in nodes for value in node.attr.values())
    with not_ours():
        return [np.asarray(to_numpy(leaf)) for leaf in tree.leaves(concrete(batch))], half


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]
