"""One guarded call: how its source is tagged, what is recorded while it runs, and what is kept of it.

Longer than 300 lines because a call is also made again, for rows that are missing.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evalguard.capture.contract import CaptureOptions
from evalguard.capture.engines import computes_in_float64, direct, engine_of, tf_keras
from evalguard.capture.probes import KERAS3, TF_KERAS, ProbeTable, probe_for
from evalguard.capture.probes.base import PassiveProbe, Probe
from evalguard.capture.probes.batches import BatchProbe
from evalguard.capture.recording.fail_fast import FailFastCheck
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.recording.returned import compare_returned
from evalguard.capture.recording.to_trace import to_trace
from evalguard.capture.verify_model import ModelTests
from evalguard.core.own_errors import swallow
from evalguard.core.trace import Int64, Trace
from evalguard.data import tree
from evalguard.data.pandas_index import index_of
from evalguard.guards.by_index import with_names
from evalguard.guards.confirming import Columns
from evalguard.guards.model_numbers import number_of

CALL = "__call__"
# The default of Model.predict (keras 3.15, trainers/data_adapters/array_data_adapter.py; tf_keras 2.21,
# engine/data_adapter.py).
KERAS_BATCH_SIZE = 32
BATCH_METHODS = ("predict_on_batch", "test_on_batch", CALL)
# The other methods return metrics. Row order does not matter there, but each sample must be scored exactly once.
ROW_METHODS = ("predict", "predict_on_batch", CALL)
# The first arguments of each method in both Keras (keras 3.15, trainers/trainer.py; tf_keras 2.21, engine/training.py).
ARGUMENTS = {
    "predict": ("x", "batch_size", "verbose", "steps", "callbacks"),
    "evaluate": ("x", "y", "batch_size", "verbose", "sample_weight", "steps", "callbacks"),
    "predict_on_batch": ("x",),
    "test_on_batch": ("x", "y", "sample_weight"),
}


@dataclass(slots=True, eq=False)
class GuardedCall:
    """One guarded call.

    Attributes:
        trace: What the model was fed.
        predictions: What the caller got.
        recorder: What was recorded on the way; holds the specs of the inputs.
        start: When it began, in seconds of ``time.perf_counter``.
        seconds: Duration of the whole call.
        predict_again: Predicts given rows of the source as this call did, or
            None where the source is not random access.
        metrics: Names of the metrics that ``evaluate`` returned.
        source: What the caller passed as ``x``; None for one batch of a loop.
        columns: Digest of each row that was returned, one column for each output; None where there is none.
        model: Number of the model, to keep loops over several models apart.
        made_by: The thread, and the asyncio task if there is one, that made it.
    """

    trace: Trace
    predictions: Any
    recorder: Recorder
    start: float
    seconds: float
    predict_again: Callable[[Int64], tuple[Int64, GuardedCall] | None] | None = None
    metrics: tuple[str, ...] = ()
    source: Any = None
    columns: Columns | None = None
    model: int = 0
    made_by: tuple[Any, Any] = field(default_factory=lambda: (threading.current_thread(), _task()))


def signature_of(original: Callable[..., Any], method: str, n_positional: int) -> inspect.Signature:
    """The signature of a method, with a name for ``x`` also where another library made it ``(*args, **kwargs)``.

    Args:
        original: The method, unbound.
        method: Its name.
        n_positional: Arguments that are passed by position; they stay so.
    """
    signature = inspect.signature(original)
    if "x" in signature.parameters:
        return signature
    kind, names = inspect.Parameter, ARGUMENTS[method]
    empty = {"x": kind.empty}
    return inspect.Signature(
        [
            *(kind(name, kind.POSITIONAL_OR_KEYWORD) for name in ("self", *names[:n_positional])),
            kind("args", kind.VAR_POSITIONAL),
            *(kind(name, kind.KEYWORD_ONLY, default=empty.get(name)) for name in names[n_positional:]),
            kind("kwargs", kind.VAR_KEYWORD),
        ]
    )


def _task() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None


def make_call(
    model: Any,
    method: str,
    original: Callable[..., Any],
    bound: inspect.BoundArguments,
    *,
    capture: CaptureOptions,
    watch: FailFastCheck | None,
    model_tests: ModelTests | None = None,
) -> GuardedCall:
    """Make one call of ``predict``, ``evaluate`` or their ``…_on_batch`` and record what the model is fed.

    Args:
        model: A Keras model.
        method: Name of the method.
        original: The method, unbound.
        bound: Its arguments, ``x`` among them.
        capture: What is recorded of each batch.
        watch: The fail-fast check, or None.
        model_tests: Tests whether the model computes row by row, or None.
    """
    start = time.perf_counter()
    source = bound.arguments["x"]
    row_names = index_of(source)
    named = time.perf_counter() - start
    engine = engine_of(model)
    unsupported = engine.unsupported(model, method)
    probe: Probe
    if unsupported:
        # No tap runs for such a model, so a tag would reach its layers.
        probe, problem = PassiveProbe(source, dict(bound.arguments)), unsupported
    else:
        probe, problem = probe_of(method, bound.arguments, TF_KERAS if engine is tf_keras else KERAS3)
    # A probe of arrays may replace `x` by a dataset. Keras refuses `y` and `sample_weight` beside a dataset (keras
    # 3.15, trainers/data_adapters/__init__.py, `get_data_adapter`), so the probe moves them into it.
    bound.arguments.update({name: probe.call[name] for name in ("y", "sample_weight") if name in probe.call})
    bound.arguments["x"] = probe.source
    # If the source lists its keys, they are not in `x`, and the name is that of the labels' column.
    if probe.index_source == "listed" and isinstance(capture.key, str):
        capture = replace(capture, key=None, drop_key=False)
    model_test = None if model_tests is None else model_tests.begin(model, method)
    recorder = Recorder(
        capture,
        probe.stream,
        replicated=probe.replicated,
        float64=computes_in_float64(model),
        fail_fast_check=watch,
        problem=problem,
        outputs=output_names(model),
        scores=method not in ROW_METHODS,
        keep=None if model_test is None else model_test.keep,
    )
    # The tap ends with the call: Keras keeps the compiled function in `model.predict_function` for the next call
    # (keras 3.15, backend/tensorflow/trainer.py, `make_predict_function`), and that one may be unguarded.
    with engine.tap(model, recorder):
        result = original(*bound.args, **bound.kwargs)
    recorder.end()
    trace = to_trace(
        recorder,
        method=method,
        source=probe.state(len(recorder.tags)),
        index_source=probe.index_source,
        n_rows=rows_returned(result, recorder) if method in ROW_METHODS else None,
        trust_tags=probe.tags_complete(len(recorder.tags)),
        returned=compare_returned(recorder.computed, result) if method in ROW_METHODS else None,
    )
    trace = with_names(trace, row_names)
    recorder.seconds += named
    if model_tests is not None:
        tested = model_tests.end(model_test, model, method, lambda: engine.step_of(model))
        trace = replace(trace, verified=tested.result, moved_in_model=tested.moved)
        recorder.seconds += tested.seconds
    seconds = time.perf_counter() - start
    return GuardedCall(
        trace,
        result,
        recorder,
        start,
        seconds,
        predict_again=make_predict_again(original, bound, source, capture)
        if method == "predict" and probe.kind == "arrays"
        else None,
        metrics=() if method in ROW_METHODS else metric_names(model, result),
        # A loop's batches together are the whole data set: keeping them would keep it in memory.
        source=None if method in BATCH_METHODS else source,
        model=number_of(model),
    )


def make_direct_call(
    model: Any, original: Callable[..., Any], args: Any, kwargs: Any, *, capture: CaptureOptions
) -> GuardedCall:
    """Make one call ``model(x)``, most often one batch of a loop, and record its rows.

    Args:
        model: A Keras model.
        original: Its ``__call__``, unbound.
        args: Positional arguments.
        kwargs: Keyword arguments.
        capture: What is recorded of the batch.
    """
    start = time.perf_counter()
    x = direct.inputs(args, kwargs)
    row_names = index_of(x)
    probe = BatchProbe(x, {})
    recorder = Recorder(capture, probe.stream, float64=computes_in_float64(model))
    recorder.record(*probe.stream.identify((x,)))
    # `drop_key` means what it means in `predict`: the guard reads the key of this batch, the model does not get it.
    if args and capture.drop_key:
        args = (*recorder.without_key((x,)), *args[1:])
    result = original(model, *args, **kwargs)
    n_rows = rows_returned(result, recorder)
    recorder.after_step([(x,)], result)
    recorder.end()
    trace = to_trace(recorder, method=CALL, source=probe.state(1), index_source=probe.index_source, n_rows=n_rows)
    trace = with_names(trace, row_names)
    return GuardedCall(trace, result, recorder, start, time.perf_counter() - start, model=number_of(model))


def rows_returned(result: Any, recorder: Recorder) -> int:
    """Rows of the outputs: as many as were fed, or the number of the first output with more or fewer."""
    fed = recorder.tags.n_rows
    outputs = tree.leaves(result) or [result]
    sizes = [tree.n_rows(output) for output in outputs]
    if None in sizes and not recorder.problem:
        recorder.no_output_rows = True
        kind = type(outputs[sizes.index(None)]).__name__
        recorder.problem = f"an output of the model ({kind}) has no rows that can be counted"
    return next((size for size in sizes if size not in {None, fed}), fed)


def output_names(model: Any) -> tuple[str, ...]:
    """Names of the outputs of a model that returns several in order; empty for any other."""
    try:
        # A mapping of outputs has no order that callers know: both Keras sort its keys.
        return tuple(map(str, model.output_names)) if isinstance(model.output, (list, tuple)) else ()
    # A subclassed model has neither, or a property of the user's that raises.
    except Exception:  # noqa: BLE001
        return ()


def probe_of(method: str, arguments: Mapping[str, Any], table: ProbeTable) -> tuple[Probe, str]:
    """The probe of a call's source; a source that cannot be tagged is passed on unchanged."""
    source, call = arguments["x"], dict(arguments)
    if method in BATCH_METHODS:
        return BatchProbe(source, call), ""
    try:
        return probe_for(source, table)(source, call), ""
    except Exception as error:  # noqa: BLE001 - a source that Keras accepts must not fail because of us
        return PassiveProbe(source, call), f"the source could not be tagged: {swallow(error)}"


def make_predict_again(
    original: Callable[..., Any], bound: inspect.BoundArguments, source: Any, capture: CaptureOptions
) -> Callable[[Int64], tuple[Int64, GuardedCall] | None]:
    """Predict some rows of arrays as the call did, in whole batches of the same size, and record them.

    The function returns the rows that it predicted, in order, with the call that
    did; None where the arrays do not hold all of the rows asked for.
    """
    # The batch size as Keras chooses it: another size may round differently. See `batch_size` in
    # trainers/data_adapters/array_data_adapter.py (keras 3.15) and engine/data_adapter.py (tf_keras 2.21).
    size = bound.arguments.get("batch_size") or KERAS_BATCH_SIZE
    steps = bound.arguments.get("steps")
    total = tree.n_rows(source)
    if total is None or (steps and not bound.arguments.get("batch_size")):
        size = -(-(total or 1) // int(steps or 1))
    # Callbacks and `steps` belong to the caller's own run and are left out.
    model, verbose = bound.args[0], {name: bound.arguments[name] for name in ("verbose",) if name in bound.arguments}

    def predict(rows: Int64) -> tuple[Int64, GuardedCall] | None:
        # The array may be shorter than the labels: it has no row for some of the samples that are missing.
        if total is None or rows.max() >= total:
            return None
        # The last, partial batch stays the last one, so its size is as in the whole run.
        starts = np.unique(rows // size) * size
        inputs = np.concatenate([np.arange(start, min(start + size, total)) for start in starts])
        chosen = tree.map_leaves(lambda leaf: (leaf.iloc if hasattr(leaf, "iloc") else leaf)[inputs], source)
        again = bound.signature.bind(model, x=chosen, batch_size=size, **verbose)
        return inputs, make_call(model, "predict", original, again, capture=capture, watch=None)

    return predict


def metric_names(model: Any, result: Any) -> tuple[str, ...]:
    """Names of the metrics that ``evaluate`` returned."""
    if isinstance(result, dict):
        return tuple(result)
    names = tuple(map(str, model.metrics_names))
    # Keras 3 lists all compiled metrics under one name, "compile_metrics" (keras 3.15, trainers/trainer.py,
    # `metrics_names`; trainers/compile_utils.py, `CompileMetrics`), but returns one value for each.
    if "compile_metrics" not in names:
        return names
    try:
        return tuple(map(str, model.get_metrics_result()))
    except Exception:  # noqa: BLE001 - the user may have overridden it, and it gives names only
        return names
