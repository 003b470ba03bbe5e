"""Stages that take long, on stderr: one line on a terminal, lines in a log at intervals, or nothing."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Literal

from evalguard.core.stages import Show, Stage, show_by_default, stages_shown
from evalguard.core.visible import visible

Progress = Literal["auto", "plain", "none"]
# Seconds between two lines in a log.
EVERY_S = 10.0
# Seconds until anything is shown, and between two updates of the line on a terminal.
AFTER_S, UPDATE_S = 2.0, 0.5
CLEAR = "\r\x1b[K"


@contextlib.contextmanager
def long_stages(progress: Progress, name: str) -> Iterator[None]:
    """Show on stderr what takes longer than two seconds inside the block, with the seconds it has taken.

    Args:
        progress: ``auto`` updates one line where stderr is a terminal and is
            silent elsewhere; ``plain`` prints lines.
        name: Name of the evaluation.
    """
    silent = progress == "none" or (progress == "auto" and not sys.stderr.isatty())
    with stages_shown(None if silent else _Ticker(name, on_terminal=progress == "auto")):
        yield


class _Ticker:
    """Shows the innermost stage, by a thread that runs while there is one."""

    def __init__(self, name: str = "", *, on_terminal: bool = True) -> None:
        self._name, self._on_terminal = name and f"{name}: ", on_terminal
        self._open: list[tuple[Stage, float]] = []

    @contextlib.contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        self._open.append((stage, time.monotonic()))
        ended, thread = threading.Event(), None
        if len(self._open) == 1:
            thread = threading.Thread(target=self._tick, args=(ended,), daemon=True)
            thread.start()
        try:
            yield
        finally:
            self._open.pop()
            ended.set()
            # The thread clears its line first, so that the next output does not end up on it.
            if thread is not None:
                thread.join()

    def _tick(self, ended: threading.Event) -> None:
        shown, wait = False, AFTER_S
        while not ended.wait(wait):
            for stage, began in self._open[-1:]:
                seconds = f"{time.monotonic() - began:.0f} s"
                line = visible(f"evalguard: {self._name}{stage} … {seconds}", shutil.get_terminal_size().columns - 2)
                shown = self._write(f"{CLEAR}{line}" if self._on_terminal else f"{line}\n")
            wait = UPDATE_S if self._on_terminal else EVERY_S
        if shown and self._on_terminal:
            self._write(CLEAR)

    def _write(self, text: str) -> bool:
        # A terminal that is gone, or cannot write a character, must not end the thread with a traceback.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
        return True


def _on_a_terminal() -> Show | None:
    """What a guard in a program shows of a stage; nothing in a log or a notebook, where a line cannot be cleared."""
    return _Ticker() if sys.stderr is not None and sys.stderr.isatty() else None


show_by_default(_on_a_terminal)
