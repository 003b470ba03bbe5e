"""Limit how long evalguard waits for MLflow: one piece of work at a time for each server, each with a deadline.

A call that exceeds its deadline continues in its daemon thread, because MLflow's
own retries cannot be stopped. Until that call ends, evalguard sends nothing else
to the server: a late PENDING cannot overwrite a verdict, and no caller waits twice.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar
from urllib.parse import urlsplit

from evalguard.core.own_errors import swallow
from evalguard.errors import EvalGuardError, SinkError
from evalguard.tracking.answers import ANSWER_S, obstacle, refusal
from evalguard.tracking.client import is_permanent_error, redacted_uri, short_error

T = TypeVar("T")
# Longest time an evaluation waits for its verdict to be sent; a verdict that did not arrive stays in the spool.
# MLflow's defaults (7 retries of 120 s with growing pauses, mlflow 3.17, environment_variables.py) took 247 s with a
# server that refuses connections, and up to 1,207 s with one that accepts and never answers.
SEND_S = 10.0
# Longest time the gate and the view wait for one answer.
ASK_S = 30.0
# A store on this machine does answer, but its first use creates its tables (1.5 to 6 s on an idle machine), and a busy
# disk or another process that writes can delay it for longer than SEND_S.
LOCAL_STORE_S = 120.0
# Tracking URIs of stores that are files: a path, a URI of one, or a SQLite database.
LOCAL_SCHEMES = frozenset({"", "file", "sqlite"})
# Pause between two checks of a record that another process is sending.
POLL_S = 0.02
# If two writers collide in the database, each waits a random time in this range before its next attempt, seconds.
CONFLICT_PAUSE_S = (0.01, 0.1)


def send_seconds(server: str) -> float:
    """Longest time to wait until a server accepts something, seconds.

    Args:
        server: The server's tracking URI.
    """
    local = urlsplit(server).scheme in LOCAL_SCHEMES and not server.startswith("databricks")
    return LOCAL_STORE_S if local else SEND_S


class DeadlineExceeded(Exception):  # noqa: N818 - a state of the server, no fault of the work
    """The work did not end before its deadline; it may still be running. Its text says what answers there instead."""


def under_way(work: Callable[[], T]) -> Future[T]:
    """Begin work in a separate thread."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - `result` raises it again
            future.set_exception(error)

    # A daemon thread, and not a ThreadPoolExecutor, whose threads are joined at exit: a server that hangs must not keep
    # the program alive.
    threading.Thread(target=run, name="evalguard-mlflow", daemon=True).start()
    return future


class DeadlineRunner:
    """Runs work for one server, one piece at a time."""

    def __init__(self, server: str = "") -> None:
        self._server, self._why = server, ""
        self._turn = threading.Lock()
        self._overdue: Future[Any] | None = None

    @property
    def stuck(self) -> bool:
        """Whether work that exceeded its deadline is still running."""
        return self._overdue is not None and not self._overdue.done()

    def do(self, work: Callable[[], T], seconds: float) -> T:
        """Run ``work`` on a daemon thread and return its result, waiting no longer than ``seconds``.

        Raises:
            DeadlineExceeded: The work did not end in time, or earlier work is still running.
            BaseException: The error that ``work`` raised.
        """
        deadline = time.monotonic() + seconds
        if self.stuck or not self._turn.acquire(timeout=seconds):
            raise DeadlineExceeded(self._why)
        try:
            # Checked again, because the work before may have exceeded its deadline while this caller waited.
            if self.stuck:
                raise DeadlineExceeded(self._why)
            begun = under_way(work)
            # MLflow repeats the request, and its error would come minutes later. What answers there is asked beside it,
            # in the last part of the time.
            asked_s = min(ANSWER_S, seconds / 2)
            wait([begun], max(0.0, deadline - time.monotonic() - asked_s))
            asked = None if begun.done() else under_way(functools.partial(obstacle, self._server, asked_s * 0.9))
            wait([begun], max(0.0, deadline - time.monotonic()))
            if not begun.done():
                # The request cannot be cancelled, and its thread still sends. Later work could arrive before it.
                self._overdue = begun
                self._why = asked.result() if asked is not None and asked.done() else ""
                raise DeadlineExceeded(self._why)
            self._why = ""
            return begun.result()
        finally:
            self._turn.release()


_runners: dict[str, DeadlineRunner] = {}


def deadline_runner(server: str) -> DeadlineRunner:
    """The runner of a server, one in each process."""
    # `setdefault` on a dict is atomic in CPython, so two threads get the same runner.
    return _runners.setdefault(server, DeadlineRunner(server))


def do_in_time(server: str, work: Callable[[], T], seconds: float, failed: str, then: str) -> T:
    """Run ``work`` for a server, return its result, and translate a failure into a ``SinkError``.

    Args:
        server: The server's tracking URI.
        work: Function without arguments.
        seconds: Longest time to wait, seconds.
        failed: What the server did not do, such as ``did not accept the verdict PASS``.
        then: What that means for the caller; appended to the message unchanged.

    Raises:
        SinkError: The work failed, or did not end in time.
    """
    why = ""

    def explained() -> T:
        nonlocal why
        try:
            return work()
        except Exception as error:
            why = explanation(server, error)
            raise

    try:
        return deadline_runner(server).do(explained, seconds)
    except DeadlineExceeded as error:
        said = f": {error}" if str(error) else ""
        msg = f"MLflow at {redacted_uri(server)} {failed} within {seconds:g} s{said}{then}"
        raise SinkError(msg) from None
    except Exception as error:
        swallow(error)
        msg = f"MLflow at {redacted_uri(server)} {failed}: {why or short_error(error)}{then}"
        raise SinkError(msg) from error


def explanation(server: str, error: Exception) -> str:
    """Why a request failed and what to do, if it is more than MLflow's own error says; else empty."""
    if isinstance(error, EvalGuardError):
        return str(error)
    if is_permanent_error(error):
        return ""
    return refusal(error) or obstacle(server)


if hasattr(os, "register_at_fork"):
    # The child process starts without runners: a lock that another thread held at the fork is never released there, and
    # the thread of overdue work does not exist.
    os.register_at_fork(after_in_child=_runners.clear)
