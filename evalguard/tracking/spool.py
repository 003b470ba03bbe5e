"""The spool: records on disk that their server has not received yet.

A record is written completely (fsync, rename) before it is sent, and removed once
it has arrived; ``evalguard replay`` sends the rest. The process that sends a
record locks its file; the system releases that lock if the process is killed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from evalguard.core.files import FOR_OWNER
from evalguard.errors import SinkError
from evalguard.reporting.file_sink import write_output
from evalguard.tracking.record import VERSION, Record

SUFFIX = ".evalguard.json"
# Suffixes of files that are not sent again automatically: a file that is not a record, and a record that its server
# refuses permanently, for example because the run was deleted.
CORRUPT, REFUSED = ".corrupt", ".refused"


def spool_directory() -> Path:
    """The folder of the spool: ``EVALGUARD_SPOOL``, or a folder in the user's state directory."""
    given = os.environ.get("EVALGUARD_SPOOL")
    if given:
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "evalguard" / "spool"


def put(record: Record, directory: Path | None = None) -> Path:
    """Write a record to the spool, readable only by its owner, because reports name samples; return its path.

    Raises:
        SinkError: The spool cannot be written.
    """
    folder = directory or spool_directory()
    # The time comes first, so that `sorted` gives the oldest record first. 14 digits last until the year 5138.
    path = folder / f"{record.checked_at_ms:014d}-{uuid.uuid4().hex}{SUFFIX}"
    data = asdict(record)
    data["figures"] = data.pop("metrics")
    # JSON and not a pickle, because another version of evalguard must be able to read the file, and reading it must be
    # safe.
    data["artifacts"] = {name: base64.b64encode(content).decode() for name, content in record.artifacts.items()}
    write_output(path, json.dumps(data), FOR_OWNER)
    return path


def waiting(directory: Path | None = None) -> Iterator[Path]:
    """Yield the records to be sent, oldest first."""
    yield from sorted((directory or spool_directory()).glob(f"*{SUFFIX}"))


def refused_records(directory: Path | None = None) -> Iterator[Path]:
    """Yield the records that their server has refused permanently, oldest first."""
    yield from sorted((directory or spool_directory()).glob(f"*{SUFFIX}{REFUSED}"))


def corrupt_files(directory: Path | None = None) -> Iterator[Path]:
    """Yield the files that were found not to be records, oldest first."""
    yield from sorted((directory or spool_directory()).glob(f"*{SUFFIX}{CORRUPT}"))


def read(path: Path) -> Record:
    """A record from the spool.

    Raises:
        SinkError: The file is not a record of this version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return _record(data)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        msg = f"{path}: expected a record that evalguard wrote, found: {error}"
        raise SinkError(msg) from error


def _record(data: Any) -> Record:
    if data.get("version") != VERSION:
        msg = f"a record of version {data.get('version')!r}, not {VERSION}"
        raise ValueError(msg)
    # In the file the metrics keep the key of earlier releases; the oldest files have no metrics.
    metrics = data.pop("figures", {})
    data = {"about": {}, "alone": False, "envelope": "", "again": False, **data, "metrics": metrics}
    texts = ("tracking_uri", "run_id", "name", "token", "envelope")
    wrong = [name for name in texts if not isinstance(data[name], str)]
    wrong += [name for name in ("began_at_ms", "checked_at_ms") if not isinstance(data[name], int)]
    if wrong or "verdict" not in data["fields"] or data.keys() != {item.name for item in fields(Record)}:
        msg = f"a record whose entries are not those of version {VERSION}"
        raise ValueError(msg)
    files = {name: base64.b64decode(text, validate=True) for name, text in data["artifacts"].items()}
    # The names become paths when the record is sent, and anyone who can write to the spool can choose them.
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
        msg = "a file name outside of its folder"
        raise ValueError(msg)
    return Record(**{**data, "artifacts": files})


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Lock a record during the block; False if another process or thread has locked it, or it is gone."""
    try:
        stream = path.open("rb")
    except OSError:
        yield False
        return
    # Existence is checked after the lock, because another process may have sent and removed the file before it.
    with stream:
        yield _lock(stream.fileno()) and path.exists()


def _lock(handle: int) -> bool:
    """Lock an open file until it is closed; False if it is locked. True on systems without locks.

    Without locks a record may be sent twice, which changes nothing.
    """
    # Windows has no `fcntl`, and its locks would prevent the sender itself from removing the open file.
    if sys.platform == "win32":
        return True
    import fcntl

    # `flock` and not `lockf`, because its lock belongs to the open file: it also excludes another thread of this
    # process, and closing another handle of the same file does not release it.
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def put_aside(path: Path, why: str) -> Path:
    """Rename a file that cannot be sent, so that it is reported only once; return its new path."""
    target = path.with_name(path.name.removesuffix(REFUSED) + why)
    with contextlib.suppress(OSError):
        path.replace(target)
    return target
