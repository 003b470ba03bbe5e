"""evalguard proves that the predictions of a Keras model match their labels.

Importing it imports no framework. Modules that an evaluation does not need are
imported at their first use.
"""

import typing

from evalguard.capture.tags import tagged
from evalguard.core.findings import Cause, Finding, MetricImpact, Reason
from evalguard.core.policy import Policy, Proof, Verdict
from evalguard.core.report import Report
from evalguard.core.shown_keys import key_digest
from evalguard.errors import (
    ArgumentError,
    ConfigError,
    EvalGuardError,
    EvalGuardWarning,
    LabelsError,
    SinkError,
    UnsupportedSourceError,
)
from evalguard.guards.check import check
from evalguard.guards.errors import AlignmentError, MisalignmentError, UnprovenError
from evalguard.guards.guard import Guard, guard
from evalguard.guards.options import GuardOptions, MlflowTarget
from evalguard.guards.validation_guard import ValidationGuard
from evalguard.guards.wrap import GuardedModel, wrap
from evalguard.labels.collecting import collecting
from evalguard.labels.labels import Labels
from evalguard.reporting.sink import Sink

if typing.TYPE_CHECKING:
    from evalguard.tracking.gate.assessment import Evaluation, GateResult
    from evalguard.tracking.gate.gate import gate

__version__ = "0.1.0"

__all__ = [
    "AlignmentError",
    "ArgumentError",
    "Cause",
    "ConfigError",
    "EvalGuardError",
    "EvalGuardWarning",
    "Evaluation",
    "Finding",
    "GateResult",
    "Guard",
    "GuardOptions",
    "GuardedModel",
    "Labels",
    "LabelsError",
    "MetricImpact",
    "MisalignmentError",
    "MlflowTarget",
    "Policy",
    "Proof",
    "Reason",
    "Report",
    "Sink",
    "SinkError",
    "UnprovenError",
    "UnsupportedSourceError",
    "ValidationGuard",
    "Verdict",
    "__version__",
    "check",
    "collecting",
    "gate",
    "guard",
    "key_digest",
    "tagged",
    "wrap",
]


def __getattr__(name: str) -> typing.Any:
    # An evaluation does not query the gate, so the gate's modules are imported at their first use.
    if name == "gate":
        from evalguard.tracking.gate.gate import gate

        return gate
    if name in {"Evaluation", "GateResult"}:
        from evalguard.tracking.gate import assessment

        return getattr(assessment, name)
    if name == "Diagnosis":
        import warnings

        msg = "evalguard.Diagnosis is deprecated and goes away with the next release: use evalguard.Cause"
        warnings.warn(msg, DeprecationWarning, stacklevel=2)
        return Cause
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__path__"]
