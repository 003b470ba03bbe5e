"""Hide standard output and standard error of everything but the command itself, so that `-q` prints one line."""

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
    """Hide during the block what Python code, its loggers and libraries in C print.

    If the block raises an error that is not an ``EvalGuardError``, the hidden text is printed, as it may show why.

    Yields:
        A function that returns the hidden text.
    """
    kept = _kept()
    start = kept.seek(0, os.SEEK_END)

    def said() -> str:
        kept.seek(start)
        text = kept.read()
        # Back to the end, because loggers append to the file.
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
    """The file for the hidden text. The process has one, because loggers that a block creates keep writing to it."""
    file = tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115 - see above
    atexit.register(file.close)
    return file


@contextlib.contextmanager
def _descriptors_to(target: int) -> Iterator[None]:
    """Redirect the descriptors 1 and 2, to which libraries in C write, to another one."""
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
