"""A sink that keeps reports in memory."""

from __future__ import annotations

from collections.abc import Mapping

from evalguard.core.report import Report


class MemorySink:
    """Keeps names, reports and errors in memory, for tests.

    Attributes:
        begun: Names of the evaluations that began.
        reports: Reports written, oldest first; of one that was confirmed the last.
        errors: Exceptions of the guarded code.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.reports: list[Report] = []
        self.errors: list[BaseException] = []
        self._n_before = 0

    def begin(self, name: str) -> None:
        """An evaluation of this name is under way."""
        self.begun.append(name)
        self._n_before = len(self.reports)

    def write(self, report: Report, artifacts: Mapping[str, str | bytes]) -> None:
        """A report is ready; what was rendered from it is dropped."""
        del artifacts
        self.reports.append(report)

    def replace(self, number: int, report: Report, artifacts: Mapping[str, str | bytes]) -> None:
        """A report of the evaluation that began last was judged by what is scored."""
        del artifacts
        self.reports[self._n_before + number] = report

    def failed(self, error: BaseException) -> None:
        """The guarded code raised."""
        self.errors.append(error)
