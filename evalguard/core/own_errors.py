"""Errors of evalguard itself: swallowed while a user evaluates, raised in tests.

A check must not cost the user the predictions, so a defect of evalguard becomes
a reason for UNPROVEN. In tests that would hide the defect: with
``EVALGUARD_STRICT=1``, ``swallow`` raises it instead.

Errors of the user's code, the user's data or another library are not defects of
evalguard. Call such code inside ``with not_ours():``. An ``EvalGuardError`` is
raised on purpose, and an ``OSError`` (a full disk, an unreachable server) is a
problem of the machine. All of these are swallowed in strict mode, too.
"""

from __future__ import annotations

import os
from types import TracebackType

from evalguard.core.shown_keys import error_text
from evalguard.errors import EvalGuardError

STRICT = "EVALGUARD_STRICT"
_FOREIGN = "_evalguard_foreign"


class OwnError(BaseException):
    """A defect of evalguard, in strict mode; its cause is the error itself.

    Not an ``Exception``: between the defect and the test, handlers of evalguard,
    Keras and MLflow would swallow it again.
    """


class not_ours:  # noqa: N801 - reads as a statement: `with not_ours():`
    """Mark every error that the block raises as foreign, and let it pass unchanged."""

    # A class, as `contextlib.contextmanager` takes three times as long, and this is entered for each batch.
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
    """The error as text, ``TypeError: …``; the caller continues without the result.

    Raises:
        OwnError: In strict mode, if the error is a defect of ours.
    """
    expected = isinstance(error, EvalGuardError | OSError) or _FOREIGN in error.__dict__
    # The environment is read here only, so that code which does not fail does not pay for it.
    if not expected and os.environ.get(STRICT) == "1":
        msg = f"evalguard swallows this error without {STRICT}=1: {type(error).__name__}: {error}"
        raise OwnError(msg) from error
    return error_text(error)
