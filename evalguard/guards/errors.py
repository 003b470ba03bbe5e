"""Errors of a judged call; they carry its report and its predictions."""

from __future__ import annotations

from functools import partial
from typing import Any

from evalguard.core.report import Report
from evalguard.errors import EvalGuardError


class AlignmentError(EvalGuardError):
    """The verdict does not allow the predictions to be scored.

    Attributes:
        report: The full report of the judged call or session.
        predictions: What the guarded call returned, untouched: the work is
            not lost. A list with one entry per call where several were judged
            together.
    """

    def __init__(self, message: str, *, report: Report, predictions: Any = None) -> None:
        super().__init__(message)
        self.report = report
        self.predictions = predictions

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is rebuilt from its `args`, which lack the report; a process pool would lose both. What else
        # was set on it, such as the notes of `add_note`, is in its `__dict__`, and so are report and predictions.
        return partial(type(self), report=self.report), self.args, self.__dict__


class MisalignmentError(AlignmentError):
    """Predictions and labels are not one-to-one."""


class UnprovenError(AlignmentError):
    """No error was found, but the proof is weaker than required."""
