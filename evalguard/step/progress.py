"""Show the progress of a prediction on stderr: a bar on a terminal, lines at intervals in a log, or nothing."""

from __future__ import annotations

import sys
import time
from typing import Any

from evalguard.core.plural import plural
from evalguard.reporting.long_stages import EVERY_S, Progress


def callback(progress: Progress, base: type, name: str) -> Any:
    """A Keras callback that shows progress on stderr; None if there is nothing to show.

    Args:
        progress: ``auto`` draws a bar if stderr is a terminal, and otherwise
            nothing; ``plain`` prints lines; ``none`` shows nothing.
        base: The class ``Callback`` of the model's Keras (Keras 3 or tf_keras).
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
        count = f"{batches:,} of {plural(self._total, 'batch')}" if self._total else plural(batches, "batch")
        print(f"evalguard: {self._name}: {count}", file=sys.stderr, flush=True)  # noqa: T201


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
