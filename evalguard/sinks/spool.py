"""Records that wait on disk until they have reached their server.

A record is written whole (fsync, rename) before anything is sent, and removed
once it has arrived; what is left is sent by ``evalguard replay``.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalguard.errors import SinkError
from evalguard.sinks.files import write_atomically

VERSION = 1
SUFFIX = ".evalguard.json"


@dataclass(frozen=True, slots=True)
class Record:
    """One verdict on its way to one run.

    Attributes:
        tracking_uri: Server or store.
        run_id: Run that gets the verdict.
        name: Name of the evaluation.
        verdict: The verdict, or ERROR.
        tags: Run tags.
        metrics: Metrics; 0 is good.
        artifacts: File name → text.
        checked_at_ms: When it was judged, milliseconds since the epoch.
        version: Form of the record.
    """

    tracking_uri: str
    run_id: str
    name: str
    verdict: str
    tags: dict[str, str]
    metrics: dict[str, float]
    artifacts: dict[str, str]
    checked_at_ms: int
    version: int = VERSION


def spool_directory() -> Path:
    """``EVALGUARD_SPOOL``, or a folder of the user's state directory."""
    given = os.environ.get("EVALGUARD_SPOOL")
    if given:
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "evalguard" / "spool"


def put(record: Record, directory: Path | None = None) -> Path:
    """Write a record to the spool.

    Raises:
        SinkError: The spool cannot be written.
    """
    folder = directory or spool_directory()
    path = folder / f"{record.checked_at_ms:014d}-{uuid.uuid4().hex}{SUFFIX}"
    write_atomically(path, json.dumps({**asdict(record)}, ensure_ascii=False))
    return path


def waiting(directory: Path | None = None) -> Iterator[Path]:
    """Records in the spool, oldest first."""
    folder = directory or spool_directory()
    yield from sorted(folder.glob(f"*{SUFFIX}"))


def read(path: Path) -> Record:
    """A record from the spool.

    Raises:
        SinkError: The file is no record of this version.
    """
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data.get("version") != VERSION:
            msg = f"{path}: expected a record of version {VERSION}, found {data.get('version')!r}"
            raise SinkError(msg)
        return Record(**data)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        msg = f"{path}: expected a record that evalguard wrote, found: {error}"
        raise SinkError(msg) from error
