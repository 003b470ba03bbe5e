"""``g.collecting``: what a loop is given becomes the labels of the entry that it runs in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from evalguard.errors import ConfigError
from evalguard.guards.dispatch import active_sessions
from evalguard.guards.options import GuardOptions
from evalguard.guards.outcome import Kept
from evalguard.labels.collect import BatchReader
from evalguard.labels.collecting import Collecting, Collection

if TYPE_CHECKING:
    from evalguard.guards.session import Session


def collecting_for(guard: Kept, options: GuardOptions, source: Any) -> Collecting:
    """The batches of a source, which become the labels of the guard's innermost entry of this context.

    Args:
        guard: What the guard keeps of its entries; each entry knows it.
        options: The guard's.
        source: As for ``evalguard.collecting``.

    Raises:
        ConfigError: This context has not entered the guard.
    """
    entries = [session for session in active_sessions.get() if session.outcomes.keep is guard]
    if not entries:
        msg = (
            "g.collecting(...): expected a call inside `with evalguard.guard(...) as g:`, in the thread that entered "
            "it; found one outside. For a loop elsewhere: batches = evalguard.collecting(...), and labels=batches"
        )
        raise ConfigError(msg)
    session = cast("Session", entries[-1])
    if session.collected is None:
        session.collected = Collection()
        session.capture = replace(session.capture, content="always")
    key = options.key if isinstance(options.key, str) else None
    return Collecting(source, BatchReader(key, options.fingerprint, options.pad_value), session.collected.kept)


def refuse_two_sources(*others: Any) -> None:
    """Refuse labels or a reference beside those that a loop collects: which of them are scored is not known.

    Raises:
        ConfigError: One is not None.
    """
    if any(other is not None for other in others):
        msg = (
            "collecting(...): expected neither labels nor a reference beside it, found some. The collected batches "
            "contain both: remove labels=, reference= and g.labels = ..., or remove collecting"
        )
        raise ConfigError(msg)
