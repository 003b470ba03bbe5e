"""Reports as files in a folder, each written completely or not at all."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from evalguard.core.files import FOR_ALL, as_bytes, whole_file
from evalguard.core.report import Report
from evalguard.errors import SinkError
from evalguard.reporting.sink import Artifacts

# File names of reports: report.json for the first one of an evaluation, report-2.json for the second, …
OURS = re.compile(r"(report|junit|wrong_rows|attestation)(-\d+)?\.(json|txt|html|md|xml|csv|svg|png)")


class FileSink:
    """Writes each artifact into one folder.

    The first report of an evaluation is ``report.json``, the second one
    ``report-2.json`` and so on, so that a later PASS does not hide a FAIL. The
    next evaluation replaces these files.

    Attributes:
        directory: The folder, created when needed.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._written = 0

    def begin(self, name: str) -> None:
        """Remove earlier reports, so that they cannot be mistaken for the new one.

        Raises:
            SinkError: One of them cannot be removed.
        """
        self._written = 0
        try:
            for path in list(self.directory.iterdir()) if self.directory.is_dir() else []:
                if OURS.fullmatch(path.name):
                    path.unlink(missing_ok=True)
        except OSError as error:
            msg = (
                f"could not remove an earlier report from {self.directory}: {error}. "
                "It is not the report of this evaluation; choose another output folder."
            )
            raise SinkError(msg) from error

    def write(self, report: Report, artifacts: Artifacts) -> None:
        """Write every artifact.

        Raises:
            SinkError: The folder or a file could not be written.
        """
        self._written += 1
        self.replace(self._written - 1, report, artifacts)

    def replace(self, number: int, report: Report, artifacts: Artifacts) -> None:
        """Write the files of an earlier report again: it was judged by what is scored.

        Args:
            number: The report in this evaluation, counted from 0.
            report: What was decided now.
            artifacts: As for ``write``.

        Raises:
            SinkError: The folder or a file could not be written.
        """
        del report
        for name, content in artifacts.items():
            write_output(self.directory / _numbered(name, number + 1), content)

    def failed(self, error: BaseException) -> None:
        """Nothing to write: there is no report."""


def _numbered(name: str, count: int) -> str:
    stem, dot, suffix = name.partition(".")
    return name if count == 1 else f"{stem}-{count}{dot}{suffix}"


@contextlib.contextmanager
def output_file(path: Path, mode: int = FOR_ALL) -> Iterator[BinaryIO]:
    """Open an output file that is written completely or not at all; its folder is created.

    Raises:
        SinkError: It could not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, mode) as stream:
            yield stream
    except OSError as error:
        msg = f"could not write {path}: {error}. The verdict stands; choose another output folder."
        raise SinkError(msg) from error


def write_output(path: Path, content: str | bytes, mode: int = FOR_ALL) -> None:
    """Write an output file completely or not at all; its folder is created.

    Raises:
        SinkError: It could not be written.
    """
    with output_file(path, mode) as stream:
        stream.write(as_bytes(content))
