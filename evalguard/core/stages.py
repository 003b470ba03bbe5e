"""What may take long, named where it happens; shown only where somebody asked for that, as the command line does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Stage:
    """One thing that is being done.

    Attributes:
        what: What is done, with its object: ``reading labels.csv``.
        total: Rows that it is done for; None where that is not known.
        rows: Those that are done.
    """

    what: str
    total: int | None = None
    rows: int = 0

    def __str__(self) -> str:
        if not self.rows:
            return self.what
        return f"{self.what}: {self.rows:,}{f' of {self.total:,}' if self.total else ''} rows"


Show = Callable[[Stage], AbstractContextManager[object]]
# A context variable: a guard in another thread has nobody who asked.
_show: ContextVar[Show | None] = ContextVar("evalguard_show_stages", default=None)


@contextlib.contextmanager
def stages_shown(show: Show | None) -> Iterator[None]:
    """Within the block each stage is shown by this."""
    token = _show.set(show)
    try:
        yield
    finally:
        _show.reset(token)


@contextlib.contextmanager
def stage(what: str, total: int | None = None) -> Iterator[Stage]:
    """A block that may take long; its rows may be counted on what it yields."""
    current, show = Stage(what, total), _show.get()
    with contextlib.nullcontext() if show is None else show(current):
        yield current
