"""How long anybody waits for MLflow, and the mechanism that keeps to it: one thing at a time for each server.

A call that ran into its deadline goes on in its daemon thread, as MLflow's own
retries cannot be stopped. Until it ends nothing else is tried there, so a late
PENDING cannot overtake a verdict, and nobody waits a second time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from evalguard.core.own_errors import swallow
from evalguard.errors import SinkError
from evalguard.tracking.client import redacted_uri, short_error

# A verdict is on its way: an evaluation is not held up any longer. What did not arrive is kept and sent later.
SEND_S = 10.0
# One answer for somebody who asks: the gate, the view.
ASK_S = 30.0
# The first use of a local store makes its tables.
LOCAL_STORE_S = 120.0
# Between two looks at a record that another process is sending.
POLL_S = 0.02
# Two writers met in the database: each waits a random time between these before its next try.
CONFLICT_PAUSE_S = (0.01, 0.1)


class DeadlineExceeded(Exception):  # noqa: N818 - a state of the server, no fault of the work
    """The work did not end before its deadline; it may still be under way."""


class UnderWay:
    """Work that was begun on a thread of its own.

    Args:
        work: What to do.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._failure: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                self._failure.append(error)

        # A daemon: a server that hangs keeps no program alive.
        self._thread = threading.Thread(target=run, name="evalguard-mlflow", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def end(self, seconds: float | None = None) -> None:
        """Wait for its end, no longer than ``seconds``.

        Raises:
            NotInTime: It has not ended by then.
            BaseException: What ``work`` raised.
        """
        self._thread.join(seconds)
        if self.running:
            raise DeadlineExceeded
        if self._failure:
            raise self._failure[0]


class DeadlineRunner:
    """Does work for one server, one piece at a time.

    Attributes:
        server: Its tracking URI.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        self._turn = threading.Lock()
        self._overdue: UnderWay | None = None

    @property
    def stuck(self) -> bool:
        """Whether work that was given up is still under way."""
        return self._overdue is not None and self._overdue.running

    def do(self, work: Callable[[], object], seconds: float) -> None:
        """Do ``work`` on a daemon thread and wait for it, no longer than ``seconds``.

        Raises:
            NotInTime: It did not end in time, or earlier work has not ended.
            BaseException: What ``work`` raised.
        """
        deadline = time.monotonic() + seconds
        if self.stuck or not self._turn.acquire(timeout=seconds):
            raise DeadlineExceeded
        try:
            if self.stuck:
                raise DeadlineExceeded
            begun = UnderWay(work)
            try:
                begun.end(max(0.0, deadline - time.monotonic()))
            except DeadlineExceeded:
                self._overdue = begun
                raise
        finally:
            self._turn.release()


_runners: dict[str, DeadlineRunner] = {}


def deadline_runner(server: str) -> DeadlineRunner:
    """The courier of a server, one in each process."""
    return _runners.setdefault(server, DeadlineRunner(server))


def do_in_time(server: str, work: Callable[[], object], seconds: float, failed: str, then: str) -> None:
    """Do ``work`` for a server, and say it in our words if that fails.

    Args:
        server: Its tracking URI.
        work: What to do.
        seconds: Longest time to wait.
        failed: What the server did not do: ``did not take the verdict PASS``.
        then: What that means for the caller; put behind the message as it is.

    Raises:
        SinkError: It failed, or did not end in time.
    """
    try:
        deadline_runner(server).do(work, seconds)
    except DeadlineExceeded:
        msg = f"MLflow at {redacted_uri(server)} {failed} within {seconds:g} s{then}"
        raise SinkError(msg) from None
    except Exception as error:
        swallow(error)
        msg = f"MLflow at {redacted_uri(server)} {failed}: {short_error(error)}{then}"
        raise SinkError(msg) from error


if hasattr(os, "register_at_fork"):
    # A lock that another thread held at the fork would be held for ever in the child.
    os.register_at_fork(after_in_child=_runners.clear)
