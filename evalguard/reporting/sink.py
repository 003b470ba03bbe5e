"""Where reports go. A sink receives the verdict and cannot change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from evalguard.core.report import Report

Artifacts = Mapping[str, str | bytes]


class Sink(Protocol):
    """A destination of reports: an element of ``sinks=``.

    Any object with these three methods is a sink; there is no base class. A method that fails raises ``SinkError``
    and no other exception. The verdict stands either way.

    A sink may also have ``replace(number, report, artifacts)``. It is called after ``Guard.confirm``, and replaces the
    report of the evaluation with this number (from 0). A sink without it gets another ``write``.
    """

    def begin(self, name: str) -> None:
        """An evaluation begins. Until it is judged, nothing may look like a PASS.

        Args:
            name: Name of the evaluation.
        """

    def write(self, report: Report, artifacts: Artifacts) -> None:
        """A report is ready.

        Args:
            report: What was decided.
            artifacts: The files rendered from it: file name → content.
        """

    def failed(self, error: BaseException) -> None:
        """The guarded code itself raised; there is no report.

        Args:
            error: What it raised.
        """
