"""One guarded call: what was asked, what was observed, and how its source is tagged."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evalguard import nests, predictions
from evalguard.core.trace import Trace
from evalguard.engines.recorder import Recorder
from evalguard.errors import UnsupportedSourceError
from evalguard.probes import ProbeTable, probe_for
from evalguard.probes.base import PassiveProbe, Probe
from evalguard.probes.batches import BatchProbe

CALL = "__call__"
BATCH_METHODS = ("predict_on_batch", "test_on_batch", CALL)
# The others return metrics: order does not matter to them, each sample once does.
ROWS_RETURNED = ("predict", "predict_on_batch", CALL)


@dataclass(slots=True, eq=False)
class Call:
    """One guarded call.

    Attributes:
        trace: What was delivered.
        predictions: What the caller was given.
        recorder: What was noted on the way; holds how the inputs looked.
        seconds: Duration of the whole call.
        again: Predicts given inputs as this call did, or None where the
            source is not random access.
        metrics: Names of the figures that ``evaluate`` gave.
        source: What the caller passed as ``x``; None for one batch of a loop.
        model: Tells calls of one model from those of another.
    """

    trace: Trace
    predictions: Any
    recorder: Recorder
    seconds: float
    again: Callable[[Any], Any] | None = None
    metrics: tuple[str, ...] = ()
    source: Any = None
    model: int = 0


def probe_of(method: str, arguments: Mapping[str, Any], table: ProbeTable) -> tuple[Probe, str]:
    """The probe of a call's source; a source that cannot be tagged is handed on as it is."""
    source, call = arguments["x"], dict(arguments)
    if method in BATCH_METHODS:
        return BatchProbe(source, call), ""
    try:
        return probe_for(source, table)(source, call), ""
    except UnsupportedSourceError:
        raise
    except Exception as error:  # noqa: BLE001 - a source that Keras takes must not fail because of us
        return PassiveProbe(source, call), f"the source could not be tagged: {type(error).__name__}: {error}"


def predicts_again(original: Callable[..., Any], bound: inspect.BoundArguments, source: Any, probe: Probe) -> Any:
    """Predict some rows of a random-access source as the call did: whole batches, the same size."""
    if probe.kind != "arrays":
        return None
    size = bound.arguments.get("batch_size") or predictions.KERAS_BATCH_SIZE
    steps = bound.arguments.get("steps")
    total = nests.n_rows(source)
    if total is None or (steps and not bound.arguments.get("batch_size")):
        size = -(-(total or 1) // int(steps or 1))
    fixed = {name: value for name, value in bound.arguments.items() if name in {"self", "verbose"}}

    def predict(rows: Any) -> Any:
        return predictions.predict_rows(lambda x: original(**fixed, x=x, batch_size=size), source, rows, size)

    return predict


def metric_names(model: Any, result: Any) -> tuple[str, ...]:
    """Names of the figures; ``metrics_names`` of Keras 3 has one name for all the compiled ones."""
    if isinstance(result, dict):
        return tuple(result)
    names = tuple(map(str, model.metrics_names))
    if "compile_metrics" not in names:
        return names
    try:
        return tuple(map(str, model.get_metrics_result()))
    except Exception:  # noqa: BLE001 - a user's own override, and only names are at stake
        return names
