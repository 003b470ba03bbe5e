"""Patched calls go to the session of their context."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ClassVar, Protocol

from evalguard.capture.engines import ENGINES, patching
from evalguard.capture.engines.direct import is_user_call
from evalguard.capture.engines.taps import paused
from evalguard.core.policy import Policy
from evalguard.core.shown_keys import keys_shown
from evalguard.core.trace import FIT
from evalguard.errors import SinkError
from evalguard.guards.calls import CALL, ROW_METHODS
from evalguard.guards.fit_validations import current_fit
from evalguard.guards.outcome import Outcomes
from evalguard.guards.overrides import OverrideCall
from evalguard.tracking.logging_model import logs_a_model


class GuardSession(Protocol):
    """What an entry into a guard does with the calls made in its context."""

    outcomes: Outcomes
    policy: Policy
    # Methods for which it is asked before other sessions of the context.
    priority_methods: ClassVar[tuple[str, ...]]

    def guards(self, model: Any, method: str) -> bool:
        """Whether calls of this method of this model are guarded."""

    def run(
        self,
        model: Any,
        method: str,
        original: Callable[..., Any],
        args: Any,
        kwargs: Any,
        part_of: OverrideCall | None = None,
    ) -> Any:
        """Make one guarded call, as a part of another if one is given; return what the caller gets."""

    def conclude_override(self, call: OverrideCall, x: Any, result: Any) -> Any:
        """Judge the call of a method that the model's class overrides; return what the caller gets."""

    def end(self) -> None:
        """Judge what has not been judged yet."""

    def end_early(self) -> None:
        """Record what is known where the caller's code raised."""


# `fit` is guarded so that an `evaluate` inside it is recognised as its validation.
OVERRIDABLE = ("predict", "evaluate", "predict_on_batch", "test_on_batch")
METHODS = (*OVERRIDABLE, CALL, FIT)
# A context variable and not a global: other threads and asyncio tasks are not inside this `with` block.
active_sessions: ContextVar[tuple[GuardSession, ...]] = ContextVar("evalguard_active", default=())
# For guards that apply in every thread: the model, and the block that a call in another thread joins.
every_thread: list[tuple[Any, Callable[[], AbstractContextManager[Any] | None]]] = []
# The call of an overriding method that is running, if any: its calls of this model are parts of it.
_override: ContextVar[OverrideCall | None] = ContextVar("evalguard_override", default=None)
# True while a guarded call runs. Inside it Keras calls guarded methods itself: `predict_step` calls `model(x)`, `fit`
# calls `evaluate` (keras 3.15, backend/tensorflow/trainer.py). These calls are not separate evaluations.
_in_call: ContextVar[bool] = ContextVar("evalguard_in_call", default=False)


def dispatch(model: Any, method: str, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Guard the call if a guard of this context takes it; calls made inside a guarded call pass through."""
    if _is_traced(method):
        return original(model, *args, **kwargs)
    if _in_call.get():
        fit = current_fit() if method == "evaluate" else None
        if fit is not None and fit.is_validation_of_fit(model, kwargs):
            return fit.validate(functools.partial(original, model), args, kwargs)
        return original(model, *args, **kwargs) if method == CALL else _unobserved(model, original, args, kwargs)
    session = _session(model, method)
    if session is None and (block := _of_all_threads(model)) is not None:
        with block:
            # Still None if the guard of this context does not take the call.
            if _session(model, method) is not None:
                return dispatch(model, method, original, args, kwargs)
    # Keras calls sub-models, and models under a gradient tape, by the same `__call__` (keras 3.15, layers/layer.py).
    if session is None or (method == CALL and not is_user_call(model, args, kwargs)):
        return original(model, *args, **kwargs)
    token = _in_call.set(True)
    try:
        with keys_shown(session.policy.show_keys):
            return session.run(model, method, original, args, kwargs, _part_of(session, method))
    finally:
        _in_call.reset(token)


def dispatch_override(model: Any, method: str, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Guard the call of a method that the model's class overrides: it is one call, whatever it calls itself."""
    if _is_traced(method):
        return original(model, *args, **kwargs)
    if _in_call.get():
        return _unobserved(model, original, args, kwargs)
    session = _session(model, method)
    if session is None and (block := _of_all_threads(model)) is not None:
        with block:
            # Still None if the guard of this context does not take the call.
            if _session(model, method) is not None:
                return dispatch_override(model, method, original, args, kwargs)
    if session is None or _part_of(session, method) is not None:
        return original(model, *args, **kwargs)
    call = OverrideCall(model, method, session)
    token = _override.set(call)
    try:
        result = original(model, *args, **kwargs)
    finally:
        _override.reset(token)
    with keys_shown(session.policy.show_keys):
        return session.conclude_override(call, args[0] if args else kwargs.get("x"), result)


def _is_traced(method: str) -> bool:
    """Whether the call becomes a part of a graph, or raises Keras' error inside a ``tf.function``."""
    tf = sys.modules.get("tensorflow")
    return tf is not None and (not tf.executing_eagerly() if method == CALL else tf.inside_function())


def _unobserved(model: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Make a call inside a guarded one, whose rows are not those of the guarded one."""
    token = paused.set(True)
    try:
        return original(model, *args, **kwargs)
    finally:
        paused.reset(token)


def _part_of(session: GuardSession, method: str) -> OverrideCall | None:
    """The call that a call of this method is a part of; rows that an ``evaluate`` predicts are judged by themselves."""
    override = _override.get()
    if override is None or override.session is not session:
        return None
    return override if (override.method in ROW_METHODS) == (method in ROW_METHODS) else None


def _of_all_threads(model: Any) -> AbstractContextManager[Any] | None:
    """The block of a guard of this model that holds in every thread; None where there is none."""
    return next((join() for guarded, join in reversed(every_thread) if guarded is model), None)


def _session(model: Any, method: str) -> GuardSession | None:
    """The session of this context that judges the call; None where it is not guarded."""
    # Innermost first. One call is judged once, by the guard nearest to it.
    wanting = [session for session in reversed(active_sessions.get()) if session.guards(model, method)]
    if not wanting or logs_a_model():
        return None
    # A `ValidationGuard` takes `fit` also where a plain guard was entered after it: that one does not judge training.
    return next((item for item in wanting if method in item.priority_methods), wanting[0])


class Entry:
    """One entry into a guard: sends calls of the model classes made in this context to the session.

    A class, not a generator: a process that is forked inside the block (tf_keras
    does so for ``use_multiprocessing``) drops its copy of the stack, which closes
    generators as if the block had been left with an error there.

    Args:
        session: Guards the calls.
        classes: Model classes whose methods are patched while the entry lasts.
        sink_errors: The guard's list, which gets those of the session.
    """

    def __init__(self, session: GuardSession, classes: tuple[type, ...], sink_errors: list[SinkError]) -> None:
        self.session, self._classes, self._sink_errors = session, classes, sink_errors

    def is_of_this_context(self) -> bool:
        """Whether the calling code is inside the block, or runs in a copy of its context."""
        return self.session in active_sessions.get()

    def join(self) -> Callable[[], None]:
        """Guard what happens in this context, too, until the function that this returns is called."""
        return functools.partial(active_sessions.reset, active_sessions.set((*active_sessions.get(), self.session)))

    def __enter__(self) -> None:
        self.session.outcomes.begin()
        for owner in self._classes:
            patching.install(owner, METHODS, dispatch)
        self._overrides = [found for owner in self._classes for found in patching.overrides(owner, OVERRIDABLE)]
        for owner, names in self._overrides:
            patching.install(owner, names, dispatch_override, overrides=True)
        self._leave = self.join()
        self._began = self.session.outcomes.keep.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Before judging: labels that come late are read by calling the user's code, which is no longer guarded.
        for owner in self._classes:
            patching.remove(owner, METHODS)
        for owner, names in self._overrides:
            patching.remove(owner, names)
        self._leave()
        outcomes = self.session.outcomes
        try:
            with keys_shown(self.session.policy.show_keys):
                if error is None:
                    self.session.end()
                else:
                    self.session.end_early()
        except BaseException as raised:
            error = raised
            raise
        finally:
            # Once a verdict is recorded, the sinks keep it: a later error of the caller's code does not replace it.
            if error is not None and not outcomes.judged:
                outcomes.failed(error)
            self._sink_errors += outcomes.sink_errors
            outcomes.ended = True
            outcomes.keep.entry = self.session
            outcomes.keep.end(self._began)


def model_classes(model: Any) -> tuple[type, ...]:
    """The Keras model classes to guard; Keras is imported if nothing has imported it yet."""
    # Patching needs the class. If nobody has imported Keras yet, the block itself will.
    if model is None and not {"keras", "tf_keras"} & sys.modules.keys():
        importlib.import_module("keras")
    # Both frameworks where both are imported: the model may be an object of either.
    found = (engine.model_class() for engine in ENGINES)
    return tuple(owner for owner in found if owner is not None)
