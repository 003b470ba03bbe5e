"""The errors that evalguard raises on purpose.

::

    EvalGuardError
    ├── AlignmentError            carries .report and .predictions (guards/errors.py)
    │   ├── MisalignmentError     the verdict is FAIL
    │   └── UnprovenError         the verdict is UNPROVEN and on_unproven="raise"
    ├── LabelsError               the external labels cannot be used
    ├── ConfigError               an option or a step file is wrong
    │   └── ArgumentError         an argument is unknown, or is not named
    ├── UnsupportedSourceError    a source cannot be read as labels or as a reference
    └── SinkError                 a report could not be written, or MLflow could not be queried

Each message says what was expected, what was found and what to do next.
"""

from __future__ import annotations


class EvalGuardError(Exception):
    """Base of all errors that evalguard raises on purpose."""


class LabelsError(EvalGuardError, ValueError):
    """The external labels are missing, empty, ambiguous or unreadable."""


class ConfigError(EvalGuardError, ValueError):
    """An option, or a key of a step file, is unknown or has a wrong value."""


class ArgumentError(ConfigError, TypeError):
    """An argument has an unknown name, or is not named."""


class UnsupportedSourceError(EvalGuardError, TypeError):
    """A source cannot be read as labels or as a reference: it has no end, or can be read only once."""


class SinkError(EvalGuardError):
    """A report could not be written, or MLflow could not be queried. The verdict is not affected."""


class EvalGuardWarning(UserWarning):
    """A FAIL under ``on_failure="warn"``, an UNPROVEN, or a sink that failed."""
