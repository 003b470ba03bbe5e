"""Likely causes of a misalignment."""

from __future__ import annotations

from evalguard.core.labels import Labels
from evalguard.core.report import Diagnosis
from evalguard.core.trace import Int64, Trace


def diagnose(trace: Trace, samples: Int64 | None, labels: Labels) -> tuple[Diagnosis, ...]:
    """Causes that fit, most likely first; ``samples`` is None where identity is unknown."""
    del trace, samples, labels
    return ()
