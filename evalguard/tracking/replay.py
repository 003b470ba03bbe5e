"""Send the records in the spool: on request, and after each record that reached its server."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from evalguard.core.own_errors import swallow
from evalguard.errors import SinkError
from evalguard.tracking import spool
from evalguard.tracking.client import is_permanent_error, redacted_uri, short_error
from evalguard.tracking.record import Record
from evalguard.tracking.send import send


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What happened to the records in a spool.

    Attributes:
        sent: Number of records that arrived.
        superseded: Number of records that were dropped, because their run
            holds a newer verdict.
        left: Number of records that remain, because another process is sending
            them or their server does not accept them.
        failures: One error for each record that could not be sent.
    """

    sent: int
    superseded: int
    left: int
    failures: tuple[SinkError, ...]


def replay(
    directory: Path | None = None, *, server: str | None = None, retry_refused: bool = True, deadline: float = math.inf
) -> ReplayResult:
    """Send the records in the spool, oldest first.

    An older verdict never replaces a newer one; it is dropped.

    Args:
        directory: The spool; if omitted, that of ``spool_directory``.
        server: Send only records for this tracking URI.
        retry_refused: Also send the records that their server has refused permanently.
        deadline: Begin no record after this time (``time.monotonic``, seconds).
    """
    paths = list(spool.waiting(directory))
    paths += list(spool.refused_records(directory)) if retry_refused else []
    ended: Counter[str] = Counter()
    failures: list[SinkError] = []
    down: set[str] = set()
    for path in paths:
        try:
            ended[_send_one(path, server, down) if time.monotonic() < deadline else "left"] += 1
        except SinkError as error:
            failures.append(error)
            ended["left"] += 1
    return ReplayResult(ended["sent"], ended["superseded"], ended["left"], tuple(failures))


def _send_one(path: Path, server: str | None, down: set[str]) -> str:
    """Send one record; return ``sent``, ``superseded``, ``left``, or ``other`` if it is for another server or gone.

    Raises:
        SinkError: The file is not a record, or the record was not sent.
    """
    with spool.claimed(path) as mine:
        if not mine:
            return "left" if path.exists() else "other"
        try:
            record = spool.read(path)
        except SinkError as error:
            target = spool.put_aside(path, spool.CORRUPT)
            msg = f"{error}. It was renamed to {target.name}."
            raise SinkError(msg) from error
        if server is not None and record.tracking_uri != server:
            return "other"
        if record.tracking_uri in down:
            return "left"
        arrived = _try_to_send(path, record, down)
        path.unlink(missing_ok=True)
        return "sent" if arrived else "superseded"


def _try_to_send(path: Path, record: Record, down: set[str]) -> bool:
    where = f"run {record.run_id} at {redacted_uri(record.tracking_uri)}"
    try:
        return send(record) is not None
    except Exception as error:
        swallow(error)
        if is_permanent_error(error):
            target = spool.put_aside(path, spool.REFUSED)
            msg = f"{target}: {where} refuses it: {short_error(error)}. Restore the run, or remove the file."
            raise SinkError(msg) from error
        # Further records for this server are skipped, because each would wait for MLflow's retries, up to 247 s.
        down.add(record.tracking_uri)
        msg = f"{path}: {where} did not accept it: {short_error(error)}. It stays in the spool; try again later."
        raise SinkError(msg) from error
