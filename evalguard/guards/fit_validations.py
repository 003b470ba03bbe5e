"""Observes one ``fit``: which rows each of its validations was scored on. Training is neither observed nor changed.

Keras validates by calling ``evaluate`` of the model with the ``CallbackList`` of
the ``fit`` under way (keras 3.15, ``backend/tensorflow/trainer.py``; tf_keras
2.21, ``engine/training.py``), and with keyword arguments only. These arguments
distinguish Keras' own validation from an ``evaluate`` that a user's callback makes,
and ``x`` among them is the validation source. ``tests/guards/test_fit_validations.py``
fails if that changes.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Container, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from evalguard.capture.buffer_reuse import RehashedBatches
from evalguard.capture.contract import CaptureOptions, Untagged
from evalguard.capture.engines import computes_in_float64, engine_of, tf_keras
from evalguard.capture.probes import KERAS3, TF_KERAS, probe_for
from evalguard.capture.probes.base import PassiveProbe, Probe
from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.recording.to_trace import to_trace
from evalguard.capture.replicas import is_replicated
from evalguard.core.epochs import Validation, judge_validations
from evalguard.core.judge import unproven
from evalguard.core.own_errors import swallow
from evalguard.core.policy import Policy
from evalguard.core.report import Report
from evalguard.core.trace import FIT, SourceState
from evalguard.guards.environment import versions

_current: ContextVar[FitValidations | None] = ContextVar("evalguard_fit", default=None)


def current_fit() -> FitValidations | None:
    """The ``fit`` that is observed in this context."""
    return _current.get()


class FitValidations:
    """The validations of one ``fit``.

    Attributes:
        model: The model that is trained.
        validations: Its validations, oldest first.
        recorders: The recorder of each validation.
        epoch: Number of the current epoch, from 1; 0 where no callback reported it.
    """

    def __init__(self, model: Any, capture: CaptureOptions) -> None:
        self.model = model
        self.validations: list[Validation] = []
        self.recorders: list[Recorder] = []
        self.epoch = 0
        # The key stays in `x`: training, which is not touched, feeds the model with it.
        self._capture = replace(capture, content="always", drop_key=False)

    def fit(self, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Train, and record the validations."""
        token = _current.set(self)
        try:
            history = original(self.model, *args, **kwargs)
        finally:
            _current.reset(token)
        try:
            self._number(history, inspect.signature(original).bind(self.model, *args, **kwargs).arguments)
        except Exception as error:  # noqa: BLE001 - must not stop the training; validations stay numbered by their order
            swallow(error)
        return history

    def is_validation_of_fit(self, model: Any, kwargs: Mapping[str, Any]) -> bool:
        """Whether an ``evaluate`` with these arguments is the validation of this ``fit``."""
        return model is self.model and isinstance(kwargs.get("callbacks"), _callback_lists())

    def validate(self, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Validate as Keras asked for, and record the rows."""
        # The source is observed, never replaced: Keras keeps the iterator of the first validation for all epochs and
        # ignores `x` (keras 3.15, backend/tensorflow/trainer.py, `_eval_epoch_iterator`; tf_keras 2.21,
        # engine/training.py, `_eval_data_handler`). So no tag can be added, and content identifies the rows.
        engine = engine_of(self.model)
        probe = self._probe(kwargs)
        problem = engine.unsupported(self.model, "evaluate")
        recorder = Recorder(
            self._capture,
            RehashedBatches(Untagged()),
            replicated=is_replicated(self.model),
            float64=computes_in_float64(self.model),
            problem=problem,
        )
        with engine.tap(self.model, recorder):
            metrics = original(*args, **kwargs)
        recorder.end()
        state = _state(probe, len(recorder.tags))
        trace = to_trace(recorder, method=FIT, source=state, index_source="stated", n_rows=None)
        # Around `fit` no callback reports the epoch; `_number` corrects this number when training has ended.
        self.validations.append(Validation(self.epoch or len(self.validations) + 1, trace))
        self.recorders.append(recorder)
        return metrics

    def _probe(self, kwargs: Mapping[str, Any]) -> Probe:
        """The probe that reads the kind and the settings of the source; the source itself is not replaced."""
        source, call = kwargs.get("x"), {"self": self.model, **kwargs}
        try:
            return probe_for(source, TF_KERAS if engine_of(self.model) is tf_keras else KERAS3)(source, call)
        except Exception as error:  # noqa: BLE001 - a source that Keras accepts must not fail because of us
            swallow(error)
            return PassiveProbe(source, call)

    def _number(self, history: Any, arguments: Mapping[str, Any]) -> None:
        """Give each validation the number of its epoch, as Keras counts them."""
        # `History.epoch` counts from 0 and begins at `initial_epoch`, `validation_freq` counts from 1: `_should_eval`
        # in trainers/trainer.py (keras 3.15) and engine/training.py (tf_keras 2.21).
        ran = [int(epoch) + 1 for epoch in getattr(history, "epoch", [])]
        every = arguments.get("validation_freq", 1)
        due = [epoch for epoch in ran if (epoch in every if isinstance(every, Container) else epoch % every == 0)]
        # They differ where a callback stopped or changed the training; a guess could name the wrong epoch.
        if len(due) == len(self.validations):
            self.validations = [replace(item, epoch=epoch) for item, epoch in zip(self.validations, due, strict=True)]


def judge_fit(epochs: FitValidations, policy: Policy, name: str) -> Report:
    """Compare the validations of one ``fit`` with the first one."""
    start = time.perf_counter()
    context = _context(name)
    # Both options are about predictions that answer labels; a validation is compared with another validation.
    policy = replace(policy, padding="forbid", scope="call")
    try:
        report = judge_validations(epochs.validations, policy, **context)
    except Exception as error:  # noqa: BLE001 - an internal error must neither stop the training nor be a PASS
        reason = f"evalguard could not judge this validation: {swallow(error)}"
        report = replace(unproven(None, policy, reason, **context), method=FIT)
    guard_seconds = sum(recorder.seconds for recorder in epochs.recorders) + time.perf_counter() - start
    cost = {"seconds": round(guard_seconds, 6), "bytes": sum(item.trace.n_bytes for item in epochs.validations)}
    return replace(report, cost=cost)


def no_fit(policy: Policy, name: str) -> Report:
    """The report of an entry in which no ``fit`` was observed."""
    reason = (
        "no fit was observed: `fit` of a Keras model was not called in this context. Calls in other threads need "
        "`callbacks=[guard.callback()]`"
    )
    return replace(unproven(None, policy, reason, **_context(name)), method=FIT)


def _context(name: str) -> dict[str, Any]:
    return {"name": name, "versions": versions(), "checked_at_ms": int(time.time() * 1000)}


def _state(probe: Probe, delivered: int) -> SourceState:
    """Kind and settings of the source, without its position."""
    try:
        state = probe.state(delivered)
    except Exception as error:  # noqa: BLE001 - it only supports a cause
        swallow(error)
        return SourceState(type_name=type(probe.original).__name__)
    # A generator that continues from epoch to epoch is the fault to be found here. Its position alone is not one, and
    # would show up as a hazard of every report.
    return replace(state, started=False, calls_before=0, pulled_before=0, pulled=None, exhausted=False)


def _callback_lists() -> tuple[type, ...]:
    # The model's framework has been imported by the code that built the model; the other one may not be installed.
    modules = (sys.modules.get(name) for name in ("keras", "tf_keras"))
    return tuple(module.callbacks.CallbackList for module in modules if module is not None)
