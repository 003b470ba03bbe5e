"""How long evalguard waits for MLflow: one piece of work at a time per server, each with a deadline.

A call that exceeds its deadline continues in its daemon thread, because MLflow's
own retries cannot be stopped. Until that call ends, evalguard sends nothing else
to the server: a late PENDING cannot overwrite a verdict, and no caller waits twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar
from urllib.parse import urlsplit

from evalguard.core.own_errors import swallow
from evalguard.errors import SinkError
from evalguard.tracking.client import redacted_uri, short_error

T = TypeVar("T")
# Longest time an evaluation waits for its verdict to be sent; a verdict that did not arrive stays in the spool.
# MLflow's defaults (7 retries of 120 s with growing pauses, mlflow 3.17, environment_variables.py) took 247 s with a
# server that refuses connections, and up to 1,207 s with one that accepts and never answers.
SEND_S = 10.0
# Longest time the gate and the view wait for one answer.
ASK_S = 30.0
# A store on this machine answers, but its first use creates its tables (1.5 to 6 s when idle), and a busy disk or
# another process that writes can take longer than any server should.
LOCAL_STORE_S = 120.0
# Tracking URIs of stores that are files: a path, a URI of one, or a SQLite database.
LOCAL_SCHEMES = frozenset({"", "file", "sqlite"})
# Pause between two checks of a record that another process is sending.
POLL_S = 0.02
# Two writers collided in the database: each waits a random time in this range before its next attempt.
CONFLICT_PAUSE_S = (0.01, 0.1)


def send_seconds(server: str) -> float:
    """Longest time to wait until a server accepts something.

    Args:
        server: Its tracking URI.
    """
    local = urlsplit(server).scheme in LOCAL_SCHEMES and not server.startswith("databricks")
    return LOCAL_STORE_S if local else SEND_S


class DeadlineExceeded(Exception):  # noqa: N818 - a state of the server, no fault of the work
    """The work did not end before its deadline; it may still be under way."""


def under_way(work: Callable[[], T]) -> Future[T]:
    """Begin work in a separate thread."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - `result` raises it again
            future.set_exception(error)

    # A daemon, and no ThreadPoolExecutor, whose threads are joined at exit: a server that hangs must not keep the
    # program alive.
    threading.Thread(target=run, name="evalguard-mlflow", daemon=True).start()
    return future


class DeadlineRunner:
    """Runs work for one server, one piece at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._overdue: Future[Any] | None = None

    @property
    def stuck(self) -> bool:
        """Whether work that exceeded its deadline is still running."""
        return self._overdue is not None and not self._overdue.done()

    def do(self, work: Callable[[], T], seconds: float) -> T:
        """Do ``work`` on a daemon thread and return what it gives; waits no longer than ``seconds``.

        Raises:
            DeadlineExceeded: It did not end in time, or earlier work has not ended.
            BaseException: What ``work`` raised.
        """
        deadline = time.monotonic() + seconds
        if self.stuck or not self._turn.acquire(timeout=seconds):
            raise DeadlineExceeded
        try:
            # Checked again: while this caller waited for its turn, the work before it may have exceeded its deadline.
            if self.stuck:
                raise DeadlineExceeded
            begun = under_way(work)
            wait([begun], max(0.0, deadline - time.monotonic()))
            if not begun.done():
                # The request cannot be cancelled; its thread still sends. Work behind it could arrive before it.
                self._overdue = begun
                raise DeadlineExceeded
            return begun.result()
        finally:
            self._turn.release()


_runners: dict[str, DeadlineRunner] = {}


def deadline_runner(server: str) -> DeadlineRunner:
    """The runner of a server, one in each process."""
    # `setdefault` on a dict is atomic in CPython: two threads that ask at once get the same runner.
    return _runners.setdefault(server, DeadlineRunner())


def do_in_time(server: str, work: Callable[[], T], seconds: float, failed: str, then: str) -> T:
    """Do ``work`` for a server and translate a failure into a ``SinkError``.

    Args:
        server: Its tracking URI.
        work: What to do.
        seconds: Longest time to wait.
        failed: What the server did not do: ``did not take the verdict PASS``.
        then: What that means for the caller; appended to the message unchanged.

    Raises:
        SinkError: The work failed, or did not end in time.
    """
    try:
        return deadline_runner(server).do(work, seconds)
    except DeadlineExceeded:
        msg = f"MLflow at {redacted_uri(server)} {failed} within {seconds:g} s{then}"
        raise SinkError(msg) from None
    except Exception as error:
        swallow(error)
        msg = f"MLflow at {redacted_uri(server)} {failed}: {short_error(error)}{then}"
        raise SinkError(msg) from error


if hasattr(os, "register_at_fork"):
    # A lock that another thread held at the fork is never released in the child, and the thread of overdue work does
    # not exist there: the child starts without runners.
    os.register_at_fork(after_in_child=_runners.clear)
