"""evalguard proves that the predictions of a Keras model stand at their own labels.

Importing it imports no framework, and what an evaluation does not need only
when it is asked for.
"""

import typing

from evalguard.capture.tags import tagged
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.report import Diagnosis, Report
from evalguard.errors import (
    AlignmentError,
    ConfigError,
    EvalGuardError,
    EvalGuardWarning,
    LabelsError,
    MisalignmentError,
    SinkError,
    UnprovenError,
    UnsupportedSourceError,
)
from evalguard.guards.guard import Guard, GuardedModel, check, guard, wrap
from evalguard.guards.validation_guard import ValidationGuard
from evalguard.labels.labels import Labels

if typing.TYPE_CHECKING:
    from evalguard.tracking.gate.gate import Evaluation, GateResult, gate

__version__ = "0.1.0"

__all__ = [
    "AlignmentError",
    "ConfigError",
    "Diagnosis",
    "EvalGuardError",
    "EvalGuardWarning",
    "Evaluation",
    "GateResult",
    "Guard",
    "GuardedModel",
    "Labels",
    "LabelsError",
    "MisalignmentError",
    "Policy",
    "Proof",
    "Report",
    "SinkError",
    "UnprovenError",
    "UnsupportedSourceError",
    "ValidationGuard",
    "Verdict",
    "__version__",
    "check",
    "gate",
    "guard",
    "tagged",
    "wrap",
]


def __getattr__(name: str) -> typing.Any:
    if name in {"Evaluation", "GateResult", "gate"}:
        from evalguard.tracking.gate import gate as module

        return getattr(module, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__path__"]
