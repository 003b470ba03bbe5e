"""Work that may hang, with a deadline for whoever waits: one thing at a time for each server.

A call that ran into its deadline goes on in its daemon thread, as MLflow's own
retries cannot be stopped. Until it ends nothing else is tried there, so a late
PENDING cannot overtake a verdict, and nobody waits a second time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable


class NotInTime(Exception):  # noqa: N818 - a state of the server, no fault of the work
    """The work did not end before its deadline; it may still be under way."""


class Courier:
    """Does work for one server, one piece at a time.

    Attributes:
        server: Tracking URI, for the name of the thread.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        self._turn = threading.Lock()
        self._late: threading.Thread | None = None

    @property
    def stuck(self) -> bool:
        """Whether work that was given up is still under way."""
        return self._late is not None and self._late.is_alive()

    def do(self, work: Callable[[], object], seconds: float) -> None:
        """Do ``work`` on a daemon thread and wait for it, no longer than ``seconds``.

        Raises:
            NotInTime: It did not end in time, or earlier work has not ended.
            Exception: What ``work`` raised.
        """
        deadline = time.monotonic() + seconds
        if self.stuck or not self._turn.acquire(timeout=seconds):
            raise NotInTime
        try:
            if self.stuck:
                raise NotInTime
            self._run(work, deadline)
        finally:
            self._turn.release()

    def _run(self, work: Callable[[], object], deadline: float) -> None:
        failure: list[Exception] = []

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever a store raises is handed to the one who waits
                failure.append(error)

        thread = threading.Thread(target=run, name="evalguard-mlflow", daemon=True)
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            self._late = thread
            raise NotInTime
        if failure:
            raise failure[0]


_couriers: dict[str, Courier] = {}


def courier(server: str) -> Courier:
    """The courier of a server, one in each process."""
    return _couriers.setdefault(server, Courier(server))


if hasattr(os, "register_at_fork"):
    # A lock that another thread held at the fork would be held for ever in the child.
    os.register_at_fork(after_in_child=_couriers.clear)
