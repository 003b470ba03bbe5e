"""Errors of evalguard itself: swallowed while a user evaluates, loud in tests.

Checking must not cost the user the predictions, so a defect of ours ends as a
reason for UNPROVEN. In the tests that would hide it: with ``EVALGUARD_STRICT=1``
``swallow`` raises it instead.

What the user's code, the user's data or a foreign library raises is no defect
of ours. Call such code inside ``with not_ours():``. An ``EvalGuardError`` is
raised on purpose, and an ``OSError`` (a full disk, a server that is down) is a
fact about the machine. All of these are swallowed in strict mode, too.
"""

from __future__ import annotations

import os
from types import TracebackType

from evalguard.errors import EvalGuardError

STRICT = "EVALGUARD_STRICT"
_FOREIGN = "_evalguard_foreign"


class OwnError(BaseException):
    """A defect of evalguard, in strict mode; its cause is the error itself.

    Not an ``Exception``: between the defect and the test there are other
    handlers, of ours, of Keras and of MLflow, that would swallow it again.
    """


class not_ours:  # noqa: N801 - reads as a statement: `with not_ours():`
    """Within the block the code is not ours: mark what it raises, and let it pass unchanged."""

    # A class and not `contextlib.contextmanager`, which takes three times as long: it is entered for each batch.
    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Mark the error."""
        if error is not None:
            error.__dict__[_FOREIGN] = True


def swallow(error: Exception) -> str:
    """The error in words, ``TypeError: …``; the caller goes on without what it wanted to do.

    Raises:
        OwnError: In strict mode, if the error is a defect of ours.
    """
    expected = isinstance(error, EvalGuardError | OSError) or _FOREIGN in error.__dict__
    # Asked here only, so that code which does not fail does not pay for it.
    if not expected and os.environ.get(STRICT) == "1":
        msg = f"evalguard swallows this error without {STRICT}=1: {type(error).__name__}: {error}"
        raise OwnError(msg) from error
    return f"{type(error).__name__}: {error}"
