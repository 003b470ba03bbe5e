"""Where reports go. A sink is told what was decided; it cannot change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evalguard.core.report import Report

Artifacts = Mapping[str, str | bytes]


class Sink(Protocol):
    """A place that reports are written to.

    Each method raises ``SinkError`` if it could not do its work; nothing else
    may come out of it.
    """

    def begin(self, name: str) -> None:
        """An evaluation is under way: until it is judged, nothing may look like a PASS."""

    def write(self, report: Report, artifacts: Artifacts) -> None:
        """A report is ready, with the files rendered from it: file name → content."""

    def failed(self, error: BaseException) -> None:
        """The guarded code itself raised; there is no report."""
