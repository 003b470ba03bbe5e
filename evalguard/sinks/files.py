"""Reports as files in a folder, each written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from evalguard.core.report import Report
from evalguard.errors import SinkError
from evalguard.sinks import Artifacts


class FileSink:
    """Writes each artifact into one folder; the next report takes the place of the last.

    Attributes:
        directory: The folder, made when it is needed.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def begin(self, name: str) -> None:
        """Take away the last report: it must not pass for this one."""
        for stale in ("report.json", "report.txt"):
            with contextlib.suppress(OSError):
                (self.directory / stale).unlink()

    def write(self, report: Report, artifacts: Artifacts) -> None:
        """Write every artifact.

        Raises:
            SinkError: The folder or a file could not be written.
        """
        for name, content in artifacts.items():
            write_atomically(self.directory / name, content)

    def failed(self, error: BaseException) -> None:
        """Nothing to write: there is no report."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part.

    Raises:
        SinkError: It could not be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        msg = f"could not write {path}: {error}. The verdict stands; give another output folder."
        raise SinkError(msg) from error
