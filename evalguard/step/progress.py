"""Progress on stderr: a bar or one line on a terminal, lines in a log at intervals, or nothing."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

from evalguard.core.stages import Stage, stages_shown
from evalguard.core.visible import visible

Progress = Literal["auto", "plain", "none"]
# Seconds between two lines in a log.
EVERY_S = 10.0
# Seconds until anything is shown, and between two updates of the line on a terminal.
AFTER_S, UPDATE_S = 2.0, 0.5
CLEAR = "\r\x1b[K"


@contextlib.contextmanager
def long_stages(progress: Progress, name: str) -> Iterator[None]:
    """Within the block whatever takes longer than two seconds is shown on stderr, with the seconds it has taken.

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

    def __init__(self, name: str, *, on_terminal: bool) -> None:
        self._name, self._on_terminal = name, on_terminal
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
            # What is printed next must not be on its line.
            if thread is not None:
                thread.join()

    def _tick(self, ended: threading.Event) -> None:
        shown, wait = False, AFTER_S
        while not ended.wait(wait):
            for stage, began in self._open[-1:]:
                seconds = f"{time.monotonic() - began:.0f} s"
                line = visible(f"evalguard: {self._name}: {stage} … {seconds}", shutil.get_terminal_size().columns - 2)
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


def callback(progress: Progress, base: type, name: str) -> Any:
    """A Keras callback that shows progress on stderr; None if there is nothing to show.

    Args:
        progress: ``auto`` draws a bar where stderr is a terminal and is silent
            elsewhere; ``plain`` prints lines.
        base: ``Callback`` of the model's own Keras.
        name: Name of the evaluation.
    """
    terminal = sys.stderr.isatty()
    if progress == "none" or (progress == "auto" and not terminal):
        return None
    shown: _Lines | _Bar = _Bar(name) if progress == "auto" else _Lines(name)

    class Shown(base):
        def on_predict_begin(self, logs: Any = None) -> None:
            del logs
            shown.begin((self.params or {}).get("steps"))

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            del logs
            shown.done(batch + 1)

        def on_predict_end(self, logs: Any = None) -> None:
            del logs
            shown.end()

    return Shown()


class _Lines:
    def __init__(self, name: str) -> None:
        self._name, self._batches = name, 0
        self._total: int | None = None
        self._last = time.monotonic()

    def begin(self, total: int | None) -> None:
        self._total = total
        self._tell(0)

    def done(self, batches: int) -> None:
        self._batches = batches
        if time.monotonic() - self._last >= EVERY_S:
            self._tell(batches)

    def end(self) -> None:
        self._tell(self._batches)

    def _tell(self, batches: int) -> None:
        self._last = time.monotonic()
        total = f" of {self._total:,}" if self._total else ""
        print(f"evalguard: {self._name}: {batches:,}{total} batches", file=sys.stderr, flush=True)  # noqa: T201


class _Bar:
    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(escape(name), total=None)

    def begin(self, total: int | None) -> None:
        self._bar.update(self._task, total=total)
        self._bar.start()

    def done(self, batches: int) -> None:
        self._bar.update(self._task, completed=batches)

    def end(self) -> None:
        self._bar.stop()
