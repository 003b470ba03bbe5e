"""A sink that keeps reports in memory."""

from __future__ import annotations

from collections.abc import Mapping

from evalguard.core.report import Report


class MemorySink:
    """Keeps names, reports and errors in memory, for tests.

    Attributes:
        begun: Names of the evaluations that began.
        reports: Reports written, oldest first.
        errors: Exceptions of the guarded code.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.reports: list[Report] = []
        self.errors: list[BaseException] = []

    def begin(self, name: str) -> None:
        """An evaluation of this name is under way."""
        self.begun.append(name)

    def write(self, report: Report, artifacts: Mapping[str, str | bytes]) -> None:
        """A report is ready; what was rendered from it is dropped."""
        del artifacts
        self.reports.append(report)

    def failed(self, error: BaseException) -> None:
        """The guarded code raised."""
        self.errors.append(error)
