"""``ValidationGuard``: were all epochs of a ``fit`` validated on the same samples?"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from evalguard.core.policy import OnUnproven, Require
from evalguard.errors import ConfigError
from evalguard.guards.dispatch import Entry, model_classes
from evalguard.guards.fit_callback import FitCallback
from evalguard.guards.fit_session import FitSession
from evalguard.guards.guard import about_of, guarded_function, sinks_of
from evalguard.guards.options import GuardOptions, MlflowOption, current_names
from evalguard.guards.outcome import Outcomes
from evalguard.guards.results import Reports
from evalguard.reporting.sink import Sink

P = ParamSpec("P")
R = TypeVar("R")
# No repair: a validation that has run cannot be repaired.
OnDrift = Literal["raise", "warn", "record"]


class ValidationGuard(Reports):
    """Guards the validation inside ``fit``, and reports epochs whose samples differ from the first one's.

    A queue that keeps batches of the previous epoch, a generator that continues
    where it stopped, or a part of a reshuffled set computes each epoch's
    ``val_loss`` on other samples. Such values cannot be compared, and must not
    be used for early stopping or to choose a checkpoint.

    Use it around ``fit``, or as one of its callbacks::

        with evalguard.ValidationGuard() as g:
            model.fit(x, y, validation_data=validation, validation_steps=3, epochs=5)
        g.report.verdict

        g = evalguard.ValidationGuard()
        model.fit(..., callbacks=[g.callback()])

    Rows are recognised by their content, in any order. Training is not
    observed, the validation data is not changed, and history and weights are
    equal to the bit. Each ``fit`` gives one report, with ``method`` ``"fit"``
    and the rows of each validation in ``calls``. Around ``fit``, a FAIL is
    raised when the block ends, so that the training is not lost. The callback
    raises it at the end of training, out of ``fit``: put it last, so that other
    callbacks have finished; ``error.predictions`` is the ``History``. If
    training itself raises, Keras does not notify callbacks. The model's
    ``evaluate`` is then restored when it is next called, when the callback is
    used again, or when it is freed; ``with`` restores it at once.

    Args:
        require: ``identity``: each epoch has the rows of the first.
            ``labels``: if almost no row is recognised because inputs are
            transformed at random, the same targets in the same order are
            enough.
        on_failure: What a FAIL does: ``raise``, ``warn`` or ``record``.
        on_unproven: What an UNPROVEN does, for example if there is only one
            validation.
        fingerprint: Callable that takes ``x`` and returns what identifies a row.
        pad_value: Value that pads rows, which are compared without it.
        model: Guard this model only.
        name: Name of the report.
        mlflow: As for ``evalguard.guard``.
        output: Directory for the report's files.
        sinks: Further destinations of reports.
        trace_memory: Has no effect, and will be removed in 0.2.

    Attributes:
        sink_errors: Records that could not be written.
        reports: One report for each ``fit``, oldest first.
        report: The last one; ``LookupError`` if nothing has been judged.

    Raises:
        ConfigError: An option has a value that is not allowed.
        MisalignmentError: Validations differ, under ``on_failure="raise"``.
        UnprovenError: It could not be proven, under ``on_unproven="raise"``.
    """

    _how_to_judge = "call `fit` with validation data, and leave the guard"

    def __init__(
        self,
        *,
        require: Require = "identity",
        on_failure: OnDrift = "raise",
        on_unproven: OnUnproven = "warn",
        fingerprint: Callable[[Any], Any] | None = None,
        pad_value: Any = None,
        model: Any = None,
        name: str = "validation",
        mlflow: MlflowOption = "auto",
        output: str | Path | None = None,
        sinks: Sequence[Sink] = (),
        trace_memory: Any = None,
    ) -> None:
        # `GuardOptions` allows it, and callers without a type checker may pass it.
        if str(on_failure) == "repair":
            msg = "on_failure: expected raise, warn or record; found 'repair': validations cannot be repaired"
            raise ConfigError(msg)
        if trace_memory is not None:
            current_names({"trace_memory": trace_memory}, stacklevel=3)
        self._options = GuardOptions(
            require=require,
            on_failure=on_failure,
            on_unproven=on_unproven,
            fingerprint=fingerprint,
            pad_value=pad_value,
            model=model,
            name=name,
            mlflow=mlflow,
            output=output,
            sinks=sinks,
        )
        super().__init__()
        # Entries of ``with``, by thread: the same guard may be entered in several at once.
        self._entries = threading.local()

    def callback(self) -> FitCallback:
        """A callback for ``fit`` of Keras 3 or tf_keras, which judges at the end of training."""
        return FitCallback(self)

    def is_entered(self) -> bool:
        """Whether the calling thread is inside ``with`` of this guard."""
        return bool(getattr(self._entries, "stack", []))

    def session(self) -> FitSession:
        """A new entry, whose reports are this guard's."""
        options = self._options
        sinks = sinks_of(options)
        outcomes = Outcomes(str(options.name), options.policy, self._kept, sinks, about=about_of(options, sinks))
        return FitSession(options.policy, options.capture("always"), outcomes, options.model)

    def set_model(self, model: Any) -> None:
        """Refuse to be a callback itself.

        Raises:
            ConfigError: Always; Keras calls this first for each entry of ``callbacks``.
        """
        # Without this method Keras would raise an AttributeError (keras 3.15, callbacks/callback_list.py, `set_model`),
        # which does not say what to pass instead.
        del model
        msg = "callbacks: expected [guard.callback()], found the ValidationGuard itself"
        raise ConfigError(msg)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Guard every ``fit`` inside calls of ``function``, which gets ``guard`` and ``report`` as from ``Guard``."""
        return guarded_function(function, functools.partial(self._kept.show_on, self), lambda _args, _kwargs: self)

    def __enter__(self) -> Self:
        entry = Entry(self.session(), model_classes(self._options.model), self.sink_errors)
        entry.__enter__()
        self._entries.stack = [*getattr(self._entries, "stack", []), entry]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entries.stack.pop().__exit__(kind, error, trace)

    def __repr__(self) -> str:
        """``<ValidationGuard 'validation': 1 report, last PASS>``."""
        return f"<ValidationGuard {self._options.name!r}: {self._state()}>"
