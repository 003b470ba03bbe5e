"""Send records by way of the spool: a new one, and on request, or after one that arrived, those that wait."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evalguard.core.own_errors import swallow
from evalguard.errors import SinkError
from evalguard.tracking import spool
from evalguard.tracking.answers import obstacle, refusal
from evalguard.tracking.client import is_permanent_error, log, redacted_uri, short_error
from evalguard.tracking.deadline import POLL_S, SEND_S, DeadlineExceeded, deadline_runner, explanation
from evalguard.tracking.record import Record
from evalguard.tracking.send import send, with_run


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
    directory: Path | None = None,
    *,
    server: str | None = None,
    retry_refused: bool = True,
    new_runs: bool = True,
    deadline: float = math.inf,
) -> ReplayResult:
    """Send the records in the spool, oldest first.

    An older verdict never replaces a newer one; it is dropped.

    Args:
        directory: The spool; if omitted, that of ``spool_directory``.
        server: Send only records for this tracking URI.
        retry_refused: Also send the records that their server has refused permanently.
        new_runs: Also send the records whose run evalguard creates or ends.
        deadline: Begin no record after this time (``time.monotonic``, seconds).
    """
    paths = list(spool.waiting(directory))
    paths += list(spool.refused_records(directory)) if retry_refused else []
    ended: Counter[str] = Counter()
    failures: list[SinkError] = []
    # What answers instead of MLflow, by tracking URI.
    obstacles: dict[str, str] = {}
    for path in paths:
        try:
            ended[_send_one(path, server, obstacles, new_runs=new_runs) if time.monotonic() < deadline else "left"] += 1
        except SinkError as error:
            failures.append(error)
            ended["left"] += 1
    return ReplayResult(ended["sent"], ended["superseded"], ended["left"], tuple(failures))


def _send_one(path: Path, server: str | None, obstacles: dict[str, str], *, new_runs: bool) -> str:
    """Send one record; return ``sent``, ``superseded``, ``left``, or ``other`` if it is not asked for or gone.

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
        if (server is not None and record.tracking_uri != server) or (record.new_run is not None and not new_runs):
            return "other"
        if obstacles.get(record.tracking_uri):
            return "left"
        arrived = _try_to_send(path, record, obstacles)
        path.unlink(missing_ok=True)
        return "sent" if arrived else "superseded"


def _try_to_send(path: Path, record: Record, obstacles: dict[str, str]) -> bool:
    uri = record.tracking_uri
    where = f"{f'run {record.run_id}' if record.run_id else 'a new run'} at {redacted_uri(uri)}"
    later = "It stays in the spool; try again later."
    # Asked once before anything is sent, as each request would wait for MLflow's retries, up to 247 s.
    if uri not in obstacles and (why := obstacles.setdefault(uri, obstacle(uri, SEND_S))):
        msg = f"{path}: {where} did not accept it: {why}. {later}"
        raise SinkError(msg)
    try:
        return send(record) is not None
    except Exception as error:
        swallow(error)
        if is_permanent_error(error):
            target = spool.put_aside(path, spool.REFUSED)
            why = short_error(error).rstrip(".")
            msg = f"{target}: {where} refuses it: {why}. Restore the run or its experiment, or remove the file."
            raise SinkError(msg) from error
        why = explanation(uri, error) or short_error(error)
        # Further records for this server are skipped, unless only this run is not this user's to write to.
        obstacles[uri] = "" if refusal(error) else why
        msg = f"{path}: {where} did not accept it: {why}. {later}"
        raise SinkError(msg) from error


def deliver(record: Record, spooled: Path | None, deadline: float, first: Callable[[str], None] | None = None) -> str:
    """Send a record, remove it from the spool, and return the id of its run, if that is known.

    A record that is not spooled is not sent after the deadline.
    """
    if spooled is None:
        record = with_run(record)
        if first is not None:
            first(record.run_id)
        send(record, deadline)
        return record.run_id
    while True:
        with spool.claimed(spooled) as mine:
            if mine:
                record = with_run(record)
                send(record)
                spooled.unlink(missing_ok=True)
                return record.run_id
        if not spooled.exists():
            # A replay in another process has sent it.
            return record.run_id
        time.sleep(POLL_S)


def replay_waiting(tracking_uri: str, deadline: float, *, new_runs: bool) -> None:
    """Send the records that the server did not accept before, until the deadline; called when the server answers.

    Args:
        tracking_uri: The server.
        deadline: As for ``replay``.
        new_runs: As for ``replay``. MLflow's client prints the address of a run that it ends, in the user's process.
    """
    # Without this check each verdict would start one more thread, for an empty folder.
    if next(spool.waiting(), None) is None:
        return

    def work() -> None:
        for failure in replay(server=tracking_uri, retry_refused=False, new_runs=new_runs, deadline=deadline).failures:
            log.warning("evalguard: %s", failure)

    with contextlib.suppress(DeadlineExceeded):
        deadline_runner(tracking_uri).do(work, deadline - time.monotonic())
