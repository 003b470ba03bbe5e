"""``ValidationGuard`` as one of ``fit``'s callbacks."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from evalguard.capture.engines.callbacks import Hooks
from evalguard.capture.engines.patching import replace_on_instance
from evalguard.core.trace import FIT
from evalguard.guards.fit_session import FitSession
from evalguard.guards.fit_validations import FitValidations, current_fit

if TYPE_CHECKING:
    from evalguard.guards.validation_guard import ValidationGuard


class FitCallback(Hooks):
    """Keras calls each method from the thread of ``fit``. Made by ``ValidationGuard.callback``.

    Args:
        guard: Keeps the reports.
    """

    def __init__(self, guard: ValidationGuard) -> None:
        self._guard = guard
        self._model: Any = None
        self._training: tuple[FitSession, FitValidations] | None = None
        self._undo: weakref.finalize[..., Any] | None = None

    def set_model(self, model: Any) -> None:
        """Keras passes the model that is trained."""
        self._model = model

    def on_train_begin(self, logs: Any = None) -> None:
        """Observe the validations, unless a ``with`` block around this ``fit`` does already."""
        del logs
        # A `fit` that raised has not called `on_train_end`: Keras has no `try` around its loop (keras 3.15,
        # backend/tensorflow/trainer.py, `fit`; tf_keras 2.21, engine/training.py, `fit`).
        self._stop()
        session, watched = self._guard.session(), current_fit()
        # With a `with` block of the same guard around it, the same training would be reported twice.
        if self._guard.is_entered() or not session.guards(self._model, FIT):
            return
        session.outcomes.begin()
        # A plain guard around this `fit` records the validations already; one tap per model is enough.
        if watched is None or watched.model is not self._model:
            watched = FitValidations(self._model, session.capture)
            # Keras does not notify callbacks when training raises. The finalizer restores the model when this callback
            # is freed, and keeps neither of them alive.
            self._undo = weakref.finalize(self, _observe(self._model, watched))
        self._training = session, watched

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Record the number of the epoch."""
        del logs
        if self._training is not None:
            # Keras passes epochs from 0 and prints them from 1.
            self._training[1].epoch = epoch + 1

    def on_train_end(self, logs: Any = None) -> None:
        """Judge what was observed, and act on it."""
        del logs
        if self._training is None:
            return
        session, epochs = self._training
        self._stop()
        try:
            # `fit` has not returned yet; its `History` is already an attribute of the model (keras 3.15,
            # callbacks/callback_list.py, `set_model`; tf_keras 2.21, callbacks.py).
            session.outcomes.finish(session.judge(epochs, getattr(self._model, "history", None)))
        finally:
            # `finish` raises on a FAIL.
            self._guard.sink_errors += session.outcomes.sink_errors

    def _stop(self) -> None:
        """Leave the model as it was; a ``fit`` that raised has not come to its end."""
        if self._undo is not None:
            self._undo()
        self._undo = self._training = None


def _observe(model: Any, epochs: FitValidations) -> Callable[[], None]:
    """Pass the validations of this one model through ``epochs``; returns a callable that restores the model."""

    def evaluate(original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        # Left over from a `fit` that raised: restore the model at its first use after that.
        if not _is_training(model):
            undo()
        return (
            epochs.validate(original, args, kwargs)
            if epochs.is_validation_of_fit(model, kwargs)
            else original(*args, **kwargs)
        )

    # On this instance and not on the class: a callback belongs to one `fit`, and other models train meanwhile.
    undo = replace_on_instance(model, "evaluate", evaluate)
    return undo


def _is_training(model: Any) -> bool:
    """Whether this thread is inside ``fit`` of the model."""
    # Neither Keras has a flag for it that is reset when `fit` raises, so the stack is searched.
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return True
        frame = frame.f_back
    return False
