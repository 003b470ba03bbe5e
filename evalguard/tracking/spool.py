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
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from evalguard.core.files import FOR_OWNER
from evalguard.errors import SinkError
from evalguard.reporting.file_sink import write_output
from evalguard.tracking.new_run import NewRun
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
    # An earlier version can read all other records.
    if record.new_run is None:
        del data["new_run"]
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


@dataclass(frozen=True, slots=True)
class SpoolCounts:
    """How many files a spool holds, by what can be done with them.

    Attributes:
        folder: The spool.
        waiting: Records to be sent.
        refused: Records that their server has refused permanently.
        corrupt: Files that are not records.
    """

    folder: Path
    waiting: int = 0
    refused: int = 0
    corrupt: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing needs attention."""
        return not (self.waiting or self.refused or self.corrupt)

    def __str__(self) -> str:
        """The counts and what to do, on one line."""
        text = (
            f"{self.folder}: {self.waiting:,} waiting, {self.refused:,} refused by their server, "
            f"{self.corrupt:,} not readable as records"
        )
        text += "; send them: evalguard replay" if self.waiting or self.refused else ""
        return text + (f"; remove the files *{CORRUPT}" if self.corrupt else "")


def counted(directory: Path | None = None) -> SpoolCounts:
    """What a spool holds; a file is counted by what is in it, as ``replay`` would find it.

    Raises:
        OSError: The spool cannot be read.
    """
    folder = directory or spool_directory()
    waiting_ones, refused = list(waiting(folder)), list(refused_records(folder))
    corrupt = list(corrupt_files(folder))
    unreadable = [path for path in (*waiting_ones, *refused) if not _is_record(path)]
    return SpoolCounts(
        folder,
        len(set(waiting_ones) - set(unreadable)),
        len(set(refused) - set(unreadable)),
        len(corrupt) + len(unreadable),
    )


def _is_record(path: Path) -> bool:
    try:
        read(path)
    except SinkError:
        return False
    return True


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
    data = {"about": {}, "alone": False, "envelope": "", "again": False, "new_run": None, **data, "metrics": metrics}
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
    return Record(**{**data, "artifacts": files, "new_run": _new_run(data)})


def _new_run(data: Any) -> NewRun | None:
    found = None if data["new_run"] is None else NewRun(**data["new_run"])
    expected = {field.name: int if field.name == "began_at_ms" else str for field in fields(NewRun)}
    if (found is None and not data["run_id"]) or (
        found is not None and not all(isinstance(getattr(found, name), kind) for name, kind in expected.items())
    ):
        msg = "a record without a run"
        raise ValueError(msg)
    return found


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
