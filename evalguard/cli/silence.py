"""Standard output and standard error of everything but the command itself, kept away: `-q` prints one line."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import TextIO

from evalguard.errors import EvalGuardError


@contextlib.contextmanager
def silenced() -> Iterator[Callable[[], str]]:
    """Within the block nothing is printed: by Python code, by its loggers, or by libraries in C.

    If the block raises what evalguard did not raise on purpose, what was kept away is printed: it may say why.

    Yields:
        A function that returns what was kept away.
    """
    kept = _kept()
    start = kept.seek(0, os.SEEK_END)

    def said() -> str:
        kept.seek(start)
        text = kept.read()
        # Loggers append to it.
        kept.seek(0, os.SEEK_END)
        return text

    try:
        with _descriptors_to(kept.fileno()), contextlib.redirect_stdout(kept), contextlib.redirect_stderr(kept):
            yield said
    except Exception as error:
        if not isinstance(error, EvalGuardError):
            sys.stderr.write(said())
        raise


@functools.cache
def _kept() -> TextIO:
    """The file that takes everything: one for the process, as loggers that are made in a block go on writing to it."""
    file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115 - see above
    atexit.register(file.close)
    return file


@contextlib.contextmanager
def _descriptors_to(target: int) -> Iterator[None]:
    """Let the descriptors 1 and 2, which libraries in C write to, lead to another one."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved: dict[int, int] = {}
    for number in (1, 2):
        with contextlib.suppress(OSError):  # closed, as in a daemon
            saved[number] = os.dup(number)
            os.dup2(target, number)
    try:
        yield
    finally:
        for number, before in saved.items():
            os.dup2(before, number)
            os.close(before)
