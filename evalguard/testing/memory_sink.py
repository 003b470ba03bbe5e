"""A sink that keeps reports in memory."""

from __future__ import annotations

from collections.abc import Mapping

from evalguard.core.report import Report


class MemorySink:
    """Keeps names, reports and errors in memory, for tests.

    Attributes:
        begun: Names of the evaluations that began.
        reports: Reports written, oldest first. A report that was judged again
            after ``confirm`` replaces the earlier one.
        errors: Exceptions that the guarded code raised.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.reports: list[Report] = []
        self.errors: list[BaseException] = []
        self._n_before = 0

    def begin(self, name: str) -> None:
        """Record that an evaluation of this name has begun."""
        self.begun.append(name)
        self._n_before = len(self.reports)

    def write(self, report: Report, artifacts: Mapping[str, str | bytes]) -> None:
        """Keep a report; the files rendered from it are not kept."""
        del artifacts
        self.reports.append(report)

    def replace(self, number: int, report: Report, artifacts: Mapping[str, str | bytes]) -> None:
        """Replace a report of the evaluation that began last, because it was judged again after ``confirm``."""
        del artifacts
        self.reports[self._n_before + number] = report

    def failed(self, error: BaseException) -> None:
        """Keep the error that the guarded code raised."""
        self.errors.append(error)
