"""``ValidationGuard``: were all epochs of a ``fit`` validated on the same samples?"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from evalguard.capture.contract import Wanted
from evalguard.capture.engines.callbacks import Hooks
from evalguard.capture.engines.patching import replaced_on
from evalguard.core.columns.storage import size_in_bytes
from evalguard.core.epochs import FIT
from evalguard.core.policy import OnUnproven, Policy, Require
from evalguard.errors import ConfigError
from evalguard.guards.fit_validations import Epochs, current, judge_epochs
from evalguard.guards.guard import Guard
from evalguard.guards.outcome import Outcome
from evalguard.guards.session import Session
from evalguard.reporting.sink import Sink

# No repair: what was validated cannot be put right.
OnDrift = Literal["raise", "warn", "record"]


@dataclass(slots=True, eq=False)
class FitSession(Session):
    """Watches ``fit`` alone: the validations of each are compared with one another when the guard ends.

    Attributes:
        fits: What was seen of each ``fit``, with what it returned.
    """

    fits: list[tuple[Epochs, Any]] = field(default_factory=list)
    first_for: ClassVar[tuple[str, ...]] = (FIT,)

    def guards(self, model: Any, method: str) -> bool:
        """Whether calls of this method of this model are watched."""
        # Named, since a dataclass with slots is another class than the one that a bare super() means.
        return method == FIT and Session.guards(self, model, method)

    def run(self, model: Any, method: str, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Train, and note what each validation is scored on."""
        del method
        epochs = Epochs(model, self.wanted)
        history = epochs.fit(original, args, kwargs)
        self.fits.append((epochs, history))
        return history

    def end(self) -> None:
        """Judge each ``fit``; all are recorded before one of them raises."""
        if not self.fits and not self.outcomes:
            reason = "no fit of a Keras model was seen in this guard (another thread, another model, or none made)"
            self.finish(Outcome(replace(self.unproven(None, reason), method=FIT), None, None, None))
            return
        judged = [Outcome(judge_epochs(epochs, self.policy, self.name), None, None, fit) for epochs, fit in self.fits]
        self.fits = []
        for outcome in judged:
            self.record(outcome)
        for outcome in judged:
            self.act(outcome)


class ValidationGuard(Hooks, Guard):
    """Watches the validation inside ``fit``, and reports epochs whose samples differ from the first one's.

    A queue that keeps what the epoch before did not use, a generator that goes
    on where it stopped, or a part of a set that is shuffled anew give each
    epoch's ``val_loss`` on other samples; such figures cannot be compared, and
    neither early stopping nor the choice of a checkpoint can rest on them.

    Use it around ``fit``, or as one of its callbacks::

        with evalguard.ValidationGuard() as g:
            model.fit(x, y, validation_data=validation, validation_steps=3, epochs=5)
        g.report.verdict

        model.fit(..., callbacks=[evalguard.ValidationGuard()])

    Rows are recognised by what they contain, in any order. Training is not
    watched, the validation data is handed on as it is, and history and weights
    are the same to the bit. Each ``fit`` gives one report, with ``method``
    ``"fit"`` and the rows of each validation in ``calls``. Around ``fit`` a
    FAIL is raised when the block ends, so that nothing trained is lost. As a
    callback it is raised at the end of training, out of ``fit``: put the guard
    last, so that other callbacks have finished; ``error.predictions`` is the
    ``History``. Where training itself raises, a callback is not told: the
    model's ``evaluate`` is put back when it is next called, or the guard is
    used again or freed. ``with`` puts it back at once.

    Args:
        require: ``identity``: each epoch holds the rows of the first.
            ``labels``: where next to none is recognised, since inputs are
            transformed at random, the same targets in the same order will do.
        on_failure: What a FAIL does: ``raise``, ``warn`` or ``record``.
        on_unproven: What an UNPROVEN does, e.g. where there is but one validation.
        fingerprint: Callable that takes ``x`` and returns what identifies a row.
        pad_value: Value that pads rows, which are compared without it.
        trace_memory: What one validation may keep in memory: bytes, or text
            such as ``512 MiB``. Beyond it, fingerprints go to a temporary file.
        model: Watch this model only.
        name: Name of the report.
        mlflow: ``auto`` (the active run, or ``MLFLOW_RUN_ID``), a run id, or False.
        output: Directory for the report's files.
        sinks: Further places that reports go to.

    Raises:
        ConfigError: An option has a value that is not allowed.
        MisalignmentError: Validations differ, under ``on_failure="raise"``.
        UnprovenError: It could not be told, under ``on_unproven="raise"``.
    """

    def __init__(
        self,
        *,
        require: Require = "identity",
        on_failure: OnDrift = "raise",
        on_unproven: OnUnproven = "warn",
        fingerprint: Callable[[Any], Any] | None = None,
        pad_value: Any = None,
        trace_memory: int | str = "1 GiB",
        model: Any = None,
        name: str = "validation",
        mlflow: str | Literal[False] = "auto",
        output: str | Path | None = None,
        sinks: tuple[Sink, ...] = (),
    ) -> None:
        if str(on_failure) == "repair":  # where nobody checks types
            msg = "on_failure: expected raise, warn or record; found 'repair': what was validated cannot be put right"
            raise ConfigError(msg)
        super().__init__(
            fingerprint=fingerprint,
            pad_value=pad_value,
            trace_memory=size_in_bytes(trace_memory),
            policy=Policy(require, on_failure, on_unproven),
            model=model,
            name=name,
            mlflow=mlflow,
            output=output,
            sinks=sinks,
        )
        self._trained: Any = None
        self._training: tuple[FitSession, Epochs] | None = None
        self._undo: weakref.finalize[..., Any] | None = None

    def _session(self, given: Any, name: str) -> FitSession:
        del given
        session = FitSession(
            policy=self.policy,
            wanted=Wanted(
                "always", fingerprint=self._fingerprint, pad_value=self._pad_value, memory=self._trace_memory
            ),
            name=name,
            find_labels=lambda _: None,
            reference=None,
            sinks=self._make_sinks(name),
            model=self._model,
        )
        return self._sharing(session)

    # -- As a callback: Keras calls these, each once, from the thread of ``fit`` ---------------------------------------

    def set_model(self, model: Any) -> None:
        """Keras tells which model is trained."""
        self._trained = model

    def on_train_begin(self, logs: Any = None) -> None:
        """Watch, unless this ``fit`` is inside ``with`` of this very guard."""
        del logs
        self._stop()
        watched = current()
        if self._entered_here() or not (self._model is None or self._model is self._trained):
            return
        session = self._session(None, self.name or "validation")
        session.begin()
        if watched is None or watched.model is not self._trained:
            watched = Epochs(self._trained, session.wanted)
            self._undo = weakref.finalize(self, _watch(self._trained, watched))
        self._training = session, watched

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the number of the epoch."""
        del logs
        if self._training is not None:
            self._training[1].epoch = epoch + 1

    def on_train_end(self, logs: Any = None) -> None:
        """Judge what was seen, and act on it."""
        del logs
        if self._training is None:
            return
        session, epochs = self._training
        self._stop()
        try:
            report = judge_epochs(epochs, self.policy, session.name)
            session.finish(Outcome(report, None, None, getattr(self._trained, "history", None)))
        finally:
            self.sink_errors += session.sink_errors

    def _stop(self) -> None:
        """Leave the model as it was; a ``fit`` that raised has not come to its end."""
        if self._undo is not None:
            self._undo()
        self._undo = self._training = None


def _watch(model: Any, epochs: Epochs) -> Callable[[], None]:
    """Let this one model's own validations pass through ``epochs``; what puts the model back."""

    def evaluate(original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if not _trains(model):
            undo()
        return epochs.validate(original, args, kwargs) if epochs.is_own(model, kwargs) else original(*args, **kwargs)

    undo = replaced_on(model, "evaluate", evaluate)
    return undo


def _trains(model: Any) -> bool:
    """Whether ``fit`` of the model is under way in this thread: one that raised told no callback of its end."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return True
        frame = frame.f_back
    return False
