"""What may take long, named where it happens; how it is shown is said elsewhere."""

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
# What shows stages by default; `evalguard.reporting` sets it, as core prints nothing.
_default: list[Callable[[], Show | None]] = []
# A context variable: what one thread shows is not mixed with what another one does. Empty: by default.
_show: ContextVar[tuple[Show | None, ...]] = ContextVar("evalguard_show_stages", default=())


def show_by_default(make: Callable[[], Show | None]) -> None:
    """Register what returns how stages are shown by default; None shows nothing."""
    _default[:] = [make]


@contextlib.contextmanager
def stages_shown(show: Show | None) -> Iterator[None]:
    """Within the block each stage is shown by this."""
    token = _show.set((show,))
    try:
        yield
    finally:
        _show.reset(token)


@contextlib.contextmanager
def stage(what: str, total: int | None = None) -> Iterator[Stage]:
    """A block that may take long; its rows may be counted on what it yields."""
    current, said = Stage(what, total), _show.get()
    show = said[0] if said else _default[0]() if _default else None
    if show is None:
        yield current
        return
    # Stages inside are shown by the same.
    with stages_shown(show), show(current):
        yield current
