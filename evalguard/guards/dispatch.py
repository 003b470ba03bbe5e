"""Patched calls go to the session of their context."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ClassVar, Protocol

from evalguard.capture.engines import ENGINES, patching
from evalguard.capture.engines.direct import is_user_call
from evalguard.core.epochs import FIT
from evalguard.errors import SinkError
from evalguard.guards.calls import CALL
from evalguard.guards.fit_validations import current_fit
from evalguard.guards.outcome import Outcomes
from evalguard.tracking.logging_model import logs_a_model


class GuardSession(Protocol):
    """What an entry into a guard does with the calls made in its context."""

    outcomes: Outcomes
    # Methods for which it is asked before other sessions of the context.
    priority_methods: ClassVar[tuple[str, ...]]

    def guards(self, model: Any, method: str) -> bool:
        """Whether calls of this method of this model are guarded."""

    def run(self, model: Any, method: str, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Make one guarded call; what the caller gets."""

    def end(self) -> None:
        """Judge what has not been judged yet."""


METHODS = ("predict", "evaluate", "predict_on_batch", "test_on_batch", CALL, FIT)
active_sessions: ContextVar[tuple[GuardSession, ...]] = ContextVar("evalguard_active", default=())
# True while a guarded call runs: what Keras calls inside it is no evaluation of its own.
_in_call: ContextVar[bool] = ContextVar("evalguard_in_call", default=False)


def dispatch(model: Any, method: str, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Guard the call if a guard of this context wants it; calls made inside a guarded call are Keras' own."""
    if _in_call.get():
        fit = current_fit() if method == "evaluate" else None
        if fit is not None and fit.is_validation_of_fit(model, kwargs):
            return fit.validate(functools.partial(original, model), args, kwargs)
        return original(model, *args, **kwargs)
    wanting = [session for session in reversed(active_sessions.get()) if session.guards(model, method)]
    if not wanting or logs_a_model() or (method == CALL and not is_user_call(model, args, kwargs)):
        return original(model, *args, **kwargs)
    session = next((item for item in wanting if method in item.priority_methods), wanting[0])
    token = _in_call.set(True)
    try:
        return session.run(model, method, original, args, kwargs)
    finally:
        _in_call.reset(token)


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
        self._session, self._classes, self._sink_errors = session, classes, sink_errors

    def __enter__(self) -> None:
        self._session.outcomes.begin()
        for owner in self._classes:
            patching.install(owner, METHODS, dispatch)
        self._token = active_sessions.set((*active_sessions.get(), self._session))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for owner in self._classes:
            patching.remove(owner, METHODS)
        active_sessions.reset(self._token)
        outcomes = self._session.outcomes
        try:
            if error is None:
                self._session.end()
        except BaseException as raised:
            error = raised
            raise
        finally:
            # With a verdict on record, an error that comes later is the caller's own business.
            if error is not None and not outcomes.judged:
                outcomes.failed(error)
            self._sink_errors += outcomes.sink_errors


def model_classes(model: Any) -> tuple[type, ...]:
    """The Keras model classes to guard; Keras is imported if nothing has imported it yet."""
    if model is None and not {"keras", "tf_keras"} & sys.modules.keys():
        importlib.import_module("keras")
    found = (engine.model_class() for engine in ENGINES)
    return tuple(owner for owner in found if owner is not None)
