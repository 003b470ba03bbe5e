"""Everything evalguard raises on purpose.

::

    EvalGuardError
    ├── AlignmentError            carries .report and .predictions
    │   ├── MisalignmentError     the verdict is FAIL
    │   └── UnprovenError         the verdict is UNPROVEN and on_unproven="raise"
    ├── LabelsError               the external labels cannot be used
    ├── ConfigError               an option or a step file is wrong
    ├── UnsupportedSourceError    no probe for this kind of source
    └── SinkError                 a report could not be written

Each message says what was expected, what was found and what to do next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalguard.core.report import Report


class EvalGuardError(Exception):
    """Base of all errors that evalguard raises on purpose."""


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


class MisalignmentError(AlignmentError):
    """Predictions and labels are not one-to-one."""


class UnprovenError(AlignmentError):
    """Nothing wrong was seen, but the proof is weaker than required."""


class LabelsError(EvalGuardError, ValueError):
    """The external labels are missing, empty, ambiguous or unreadable."""


class ConfigError(EvalGuardError, ValueError):
    """An option, or a key of a step file, is unknown or has a wrong value."""


class UnsupportedSourceError(EvalGuardError, TypeError):
    """The source is of a kind that no probe can observe."""


class SinkError(EvalGuardError):
    """A report could not be written; the verdict in it stands."""


class EvalGuardWarning(UserWarning):
    """A FAIL under ``on_failure="warn"``, an UNPROVEN, or a sink that failed."""
