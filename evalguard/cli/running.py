"""What all commands share: exit codes for errors and signals, and logging."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from evalguard.core.own_errors import swallow
from evalguard.core.shown_keys import trace_text
from evalguard.errors import ConfigError, LabelsError, SinkError, UnsupportedSourceError
from evalguard.step.exit_codes import ExitCode

LEVELS = ("debug", "info", "warning", "error")
_log = logging.getLogger("evalguard")
# Sent by a supervisor, or by a terminal that closes. Windows has no SIGHUP.
STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


# Values of options that look like passwords, and the login in an address.
_SECRET = re.compile(r"((?:password|passwd|secret|token|api_?key|credentials?)\w*=)[^\s']+", re.IGNORECASE)
_LOGIN = re.compile(r"(://)[^/@\s]*@")


class Terminated(KeyboardInterrupt):
    """The process received a signal to stop."""


class Stopped(SystemExit):
    """The end of a command that a signal stopped."""


def leave_at_once(stopped: Stopped) -> NoReturn:
    """End the process, with the code of ``stopped``, without waiting for the threads and processes that load data.

    At Python's own end, TensorFlow waits for each of them, and one that is still loading may take forever.
    """
    for child in multiprocessing.active_children():
        child.terminate()
    for stream in (sys.stdout, sys.stderr):
        # A closed pipe.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(int(stopped.code or 0))


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Turn an error of a command into a message and an exit code, without a traceback."""
    with _stopped_by_signals():
        try:
            yield
        except (ConfigError, LabelsError, UnsupportedSourceError) as error:
            click.echo(f"evalguard: {error}", err=True)
            sys.exit(ExitCode.USAGE)
        except SinkError as error:
            click.echo(f"evalguard: {error}", err=True)
            sys.exit(ExitCode.NOT_LOGGED)
        except KeyboardInterrupt as error:
            how = "terminated" if isinstance(error, Terminated) else "interrupted"
            click.echo(f"evalguard: {how}; no verdict", err=True)
            raise Stopped(ExitCode.NOT_JUDGED) from None
        except Exception as error:  # noqa: BLE001 - Python's own exit code after an exception, 1, means FAIL
            _log.debug("%s", trace_text(error))
            click.echo(
                f"evalguard: unexpected error: {swallow(error)} (--log-level debug shows where); no verdict", err=True
            )
            sys.exit(ExitCode.NOT_JUDGED)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an exception during the block, so that files and records are completed."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Terminated

    # A signal that is ignored, such as SIGHUP under `nohup`, stays ignored.
    stopping = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        before = {number: signal.signal(number, stop) for number in stopping}
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command_line() -> str:
    """The command as it was typed, without what looks like a password, because reports are shared."""
    program = Path(sys.argv[0])
    words = ["python", "-m", program.parent.name] if program.stem == "__main__" else [program.stem]
    return _SECRET.sub(r"\1…", _LOGIN.sub(r"\1", shlex.join([*words, *sys.argv[1:]])))


def with_logging(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--log-level`` to a command."""
    return click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default="warning",
        show_default=True,
        expose_value=False,
        callback=lambda _context, _option, level: _set_level(level),
        help="Least level of the messages on stderr.",
    )(command)


class _Formatter(logging.Formatter):
    """Messages begin with the name of the product, because in a program they stand among those of others."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace(": evalguard: ", ": ", 1)


def _set_level(level: str) -> None:
    if not _log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_Formatter("evalguard: %(levelname)s: %(message)s"))
        _log.addHandler(handler)
    _log.setLevel(level.upper())
